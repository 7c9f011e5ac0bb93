"""Make the example pictures of the page: python docs/examples.py; all are generated."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from datasets.camera import camera_of_angle  # noqa: E402
from datasets.rooms import Room, View, draw_room, paint, render  # noqa: E402
from datasets.streets.render import render_image  # noqa: E402
from datasets.streets.world import make_street  # noqa: E402

FOLDER = ROOT / "assets" / "examples"
QUALITY = 85


def street(seed: int, frame: int, size: tuple[int, int]) -> np.ndarray:
    """A street from a car, uint8 RGB of a size (width, height)."""
    world = make_street(np.random.SeedSequence(seed), seed, frame + 1)
    pose = world.poses[frame]
    return render_image(world, frame, pose, camera_of_angle(size, 75, "of examples"))


def room(seed: int, size: tuple[int, int]) -> np.ndarray:
    """A furnished room, uint8 RGB of a size (width, height)."""
    return render(*draw_room(np.random.default_rng(seed)), *size)[0]


def blocks(size: tuple[int, int]) -> np.ndarray:
    """Toy blocks on a floor, seen from above and close by."""
    rng = np.random.default_rng(5)
    low, high = [np.zeros(3)], [np.array([4.0, 4.0, 2.6])]
    places = (
        (1.9, 2.0, 0.0),
        (2.15, 2.2, 0.0),
        (1.92, 2.03, 0.12),
        (2.3, 1.85, 0.0),
        (1.7, 2.35, 0),
    )
    for x, y, z in places:
        low.append(np.array([x, y, z]))
        high.append(low[-1] + (0.14, 0.14, 0.12))
    count = len(low)
    waves = rng.uniform((40, 40, 0.1, 0), (60, 60, 0.3, 6.3), (count, 3, 4))
    waves[0, :, :2] /= 4
    place, aim = np.array([1.45, 1.35, 0.55]), np.array([2.05, 2.1, 0.08])
    forward = (aim - place) / np.linalg.norm(aim - place)
    right = np.cross(forward, (0, 0, 1.0))
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward], axis=1)
    colors = paint(rng.uniform(0.15, 0.95, (count, 3, 3)))
    scene = Room(np.array(low), np.array(high), colors, waves)
    return render(scene, View(place, rotation, 1.0), *size)[0]


def main() -> None:
    """Write the pictures."""
    FOLDER.mkdir(exist_ok=True)
    pictures = {
        "street": street(3, 8, (832, 256)),
        "avenue": street(11, 12, (640, 384)),
        "room": room(2, (640, 480)),
        "hall": room(7, (480, 640)),
        "blocks": blocks((640, 480)),
    }
    for name, picture in pictures.items():
        Image.fromarray(picture).save(FOLDER / f"{name}.jpg", quality=QUALITY)


if __name__ == "__main__":
    main()
