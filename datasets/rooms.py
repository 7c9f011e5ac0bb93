"""Generated rooms: pictures with exact depth, to train and test relative depth on.

    python -m datasets.rooms data/rooms

Boxes for furniture in a box for the room, seen by a camera anywhere in it. Each of ``train``,
``val`` and ``test`` holds ``rgb/000000.jpg`` and ``depth/000000.png`` in millimetres, and
``depth.json``, which says so.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from system.command_line import path_of
from system.errors import InputError, run_command
from system.files import folder_written_whole
from system.terminal import offer_verbose

logger = logging.getLogger(__name__)

PARTS = ("train", "val", "test")
MILLIMETRES = 1000
CLEAR = 1.0  # metres between the camera and the furniture
AMBIENT, LAMP = 0.45, 0.9  # light from everywhere, and of the lamp below the ceiling's middle
LAMP_REACH = 2.5  # metres to where the lamp is half as bright
PLAIN = 0.3  # contrast of walls and ceiling, share of that of other faces


@dataclass(frozen=True)
class Room:
    """Boxes, each by two opposite corners; the first one is the room, seen from inside."""

    low: np.ndarray  # [N, 3] metres; x and y on the floor, z up
    high: np.ndarray  # [N, 3]
    colors: np.ndarray  # [N, 3, 3] RGB in [0, 1] per box and axis of the face
    waves: np.ndarray  # [N, 3, 4] of the texture: two frequencies, contrast, phase


@dataclass(frozen=True)
class View:
    """Where a camera stands, in which direction it looks, and how wide."""

    place: np.ndarray  # [3] metres
    rotation: np.ndarray  # [3, 3], from camera (x right, y down, z forward) to room
    focal: float  # in widths of the picture


def draw_room(rng: np.random.Generator) -> tuple[Room, View]:
    """A room with its furniture, and a camera in it."""
    size = rng.uniform((3, 3, 2.3), (7, 8, 3.2))
    place = rng.uniform((0.6, 0.6, 0.9), (size[0] - 0.6, size[1] - 0.6, 1.8))
    low, high = [np.zeros(3)], [size]
    for _ in range(int(rng.integers(5, 14))):
        extent = rng.uniform((0.3, 0.3, 0.3), (1.3, 1.3, 1.3))
        corner = rng.uniform((0, 0, 0), np.maximum(size - extent, 0.01))
        corner[2] = 0  # all furniture stands on the floor
        end = np.minimum(corner + extent, size)
        if np.all((place > corner - CLEAR) & (place < end + CLEAR)):
            continue
        low.append(corner)
        high.append(end)
    count = len(low)
    waves = rng.uniform((8, 8, 0.2, 0), (12, 12, 0.5, 6.3), (count, 3, 4))
    room = Room(np.array(low), np.array(high), paint(rng.uniform(0.15, 0.95, (count, 3, 3))), waves)
    across = size / 2 - place
    yaw = np.arctan2(across[1], across[0]) + rng.normal(0, 0.5)  # mostly towards the middle
    pitch = rng.uniform(-0.4, 0.0)
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
    rotation = np.stack([right, np.cross(forward, right), forward], axis=1)
    return room, View(place, rotation, float(rng.uniform(0.7, 1.1)))


def paint(drawn: np.ndarray) -> np.ndarray:
    """Colours [N, 3, 3] of random ones: pale walls, a dull floor, furniture of one colour each."""
    colors = np.repeat(drawn[:, :1], 3, axis=1)
    colors[0, :2] = 0.6 + 0.35 * drawn[0, 0]
    colors[0, 2] = 0.2 + 0.4 * drawn[0, 2] * (1, 0.8, 0.6)
    return colors


def render(room: Room, view: View, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """What a camera sees: RGB uint8 [H, W, 3], and depth along its axis [H, W] in metres."""
    focal = view.focal * width
    u, v = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
    rays = np.stack([u / focal, v / focal, np.ones_like(u)], axis=-1) @ view.rotation.T
    with np.errstate(divide="ignore"):
        inverse = 1 / np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    depth = np.full((height, width), np.inf)
    surface = np.zeros((height, width), int)
    axis = np.zeros((height, width), int)
    for index, (low, high) in enumerate(zip(room.low, room.high)):
        first, second = (low - view.place) * inverse, (high - view.place) * inverse
        enter, leave = np.minimum(first, second), np.maximum(first, second)
        near, far = enter.max(axis=-1), leave.min(axis=-1)
        if index == 0:  # the room is met where it is left
            distance, met, faces = far, far > 0, leave.argmin(axis=-1)
        else:
            distance, met, faces = near, (near > 0) & (near <= far), enter.argmax(axis=-1)
        closer = met & (distance < depth)
        depth = np.where(closer, distance, depth)
        surface, axis = np.where(closer, index, surface), np.where(closer, faces, axis)
    points = view.place + rays * depth[..., None]
    return _shade(room, points, surface, axis), depth.astype(np.float32)


def _shade(room: Room, points: np.ndarray, surface: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Colours of points on their faces: a texture of waves, lit by a lamp; a pale ceiling."""
    across = np.take_along_axis(points, ((axis + 1) % 3)[..., None], axis=-1)[..., 0]
    along = np.take_along_axis(points, ((axis + 2) % 3)[..., None], axis=-1)[..., 0]
    one, two, contrast, phase = np.moveaxis(room.waves[surface, axis], -1, 0)
    wave = np.sin(one * across + phase) * np.sin(two * along) + 0.3 * np.sin(7 * one * along + two)
    shell = surface == 0
    ceiling = shell & (axis == 2) & (points[..., 2] > room.high[0, 2] / 2)
    contrast = np.where(ceiling | (shell & (axis < 2)), PLAIN * contrast, contrast)
    color = room.colors[surface, axis]
    color = np.where(ceiling[..., None], 0.75 + 0.2 * color, color)
    lamp = (room.low[0] + room.high[0]) / 2
    lamp[2] = room.high[0, 2] - 0.3
    towards = lamp - points  # nothing throws a shadow
    distance = np.linalg.norm(towards, axis=-1)
    slant = np.abs(np.take_along_axis(towards, axis[..., None], axis=-1)[..., 0]) / distance
    light = AMBIENT + LAMP * slant / (1 + (distance / LAMP_REACH) ** 2)
    shade = light * (1 - contrast * (0.5 + 0.4 * wave))
    return (255 * np.clip(color * shade[..., None], 0, 1)).round().astype(np.uint8)


def generate_rooms(out: Path, counts: Sequence[int], width: int, height: int, seed: int) -> None:
    """Write rooms in the layout that is described above; each pair has a room of its own.

    Raises:
        InputError: ``out`` is there already, or cannot be written to.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; remove it, or choose another folder")
    try:
        with folder_written_whole(out) as new:
            for part_number, (part, count) in enumerate(zip(PARTS, counts)):
                for kind in ("rgb", "depth"):
                    (new / part / kind).mkdir(parents=True)
                note = {"kind": "depth", "metres_per_step": 1 / MILLIMETRES}
                (new / part / "depth.json").write_text(json.dumps(note) + "\n")
                for number in tqdm(range(count), part):
                    rng = np.random.default_rng((seed, part_number, number))
                    _write_pair(new / part, f"{number:06d}", rng, width, height)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error}); choose another folder") from error


def _write_pair(folder: Path, name: str, rng: np.random.Generator, width: int, height: int) -> None:
    picture, depth = render(*draw_room(rng), width, height)
    grain = rng.normal(0, 3, picture.shape)
    picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
    Image.fromarray(picture).save(folder / "rgb" / f"{name}.jpg", quality=92)
    steps = np.rint(depth * MILLIMETRES).astype(np.uint16)
    _, png = cv2.imencode(".png", steps)  # OpenCV says nothing of a full disk
    (folder / "depth" / f"{name}.png").write_bytes(png.tobytes())


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and generate."""
    parser = argparse.ArgumentParser(
        prog="python -m datasets.rooms",
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    offer_verbose(parser)
    parser.add_argument("out", type=path_of, help="folder to make")
    parser.add_argument("--seed", type=int, default=0, help="draws the rooms")
    parser.add_argument("--width", type=int, default=256, help="of the pictures")
    parser.add_argument("--height", type=int, default=192, help="of the pictures")
    for part, count in zip(PARTS, (400, 40, 60)):
        parser.add_argument(f"--{part}", type=int, default=count, help=f"pairs to {part}")
    args = parser.parse_args(arguments)
    counts = [getattr(args, part) for part in PARTS]
    if min(*counts, args.width, args.height) < 1:
        raise InputError("sizes and counts must be at least 1")
    generate_rooms(args.out, counts, args.width, args.height, args.seed)
    logger.info("wrote %d pairs to %s", sum(counts), args.out)


if __name__ == "__main__":
    run_command(main)
