"""Milliseconds per training item on one core: ours, cached, and a stand-in for the published work.

python -m benchmarks.loader [RESULT.json]

The stand-in is written from the paper and its supplement, without the published code, and leaves
out what that spends in PyTorch. Timed on one machine, the published loader took 198 ms where an
earlier form of this took 115: ratios to the published code are larger than those printed here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageEnhance
from skimage.transform import resize

from benchmarks.drives import write_drive
from benchmarks.measure import compared, in_turns, report
from datasets.cache import with_cache
from datasets.items import BRIGHTNESS, CONTRAST, HUE, SATURATION, TrainingItems, make_items
from datasets.kitti import Calibration
from datasets.lidar import project_sweep
from datasets.loader import make_batch
from system.memory import keep_freed_memory

HEIGHT, WIDTH, SCALES = 192, 640, 4
SOURCES = (-1, 1, "s")
ITEMS = 8
POINTS = 115_000  # of a sweep
FOCAL, CENTRE, SIZE = 720.0, (610.0, 173.0), (1242, 375)  # of a camera like KITTI's
NOTE = "a stand-in; the published code took 1.7 times as long as one"


def turn_hue(turn: float, image: Image.Image) -> Image.Image:
    """Turn the hue circle by a share of it."""
    hue, saturation, value = image.convert("HSV").split()
    turned = (np.asarray(hue).astype(np.int16) + int(turn * 255)) % 256
    channels = (Image.fromarray(turned.astype(np.uint8)), saturation, value)
    return Image.merge("HSV", channels).convert("RGB")


def to_floats(image: Image.Image) -> np.ndarray:
    """[3, H, W] float32 in [0, 1]."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1), np.float32) / 255


def draw_jitter(rng: np.random.Generator) -> list[Callable[[Image.Image], Image.Image]]:
    """The four changes of colour of an item, by factors that are drawn, in an order that is."""
    steps = [
        partial(enhance, kind, 1 + rng.uniform(-reach, reach))
        for kind, reach in (
            (ImageEnhance.Brightness, BRIGHTNESS),
            (ImageEnhance.Contrast, CONTRAST),
            (ImageEnhance.Color, SATURATION),
        )
    ]
    steps.append(partial(turn_hue, rng.uniform(-HUE, HUE)))
    return [steps[place] for place in rng.permutation(len(steps))]


def enhance(kind: Callable[[Image.Image], Any], factor: float, image: Image.Image) -> Image.Image:
    """One of Pillow's enhancements."""
    return kind(image).enhance(factor)


def published_item(items: TrainingItems, index: int) -> list[np.ndarray]:
    """What the published loader does for an item: every frame at four scales, plain and jittered.

    As the paper's supplement describes it: each frame is decoded by Pillow, mirrored in every
    second item, and brought by Lanczos to the training size and from each scale to the next. Every
    second item has its colours changed, in each of these pictures in the same way, one operation
    after the other. All become floats, the plain ones and the changed ones.
    """
    rng = np.random.default_rng(index)
    jitter = draw_jitter(rng) if index % 2 else []
    mirror = index // 2 % 2
    arrays = []
    for path in items.paths(index):
        with Image.open(path) as file:
            image = file.convert("RGB")
        if mirror:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        for scale in range(SCALES):
            size = (WIDTH >> scale, HEIGHT >> scale)
            image = image.resize(size, Image.Resampling.LANCZOS)
            jittered = image
            for change in jitter:
                jittered = change(jittered)
            arrays += [to_floats(image), to_floats(jittered)]
    return arrays


def camera_with_lidar() -> Calibration:
    """A camera like KITTI's, and a LiDAR a little behind it that looks the same way."""
    projection = np.array([[FOCAL, 0, CENTRE[0], 0], [0, FOCAL, CENTRE[1], 0], [0, 0, 1, 0]])
    velo_to_camera = np.array([[0, -1, 0, 0], [0, 0, -1, -0.08], [1, 0, 0, -0.27], [0, 0, 0, 1]])
    return Calibration({"l": projection}, {"l": SIZE}, np.eye(4), velo_to_camera)


def draw_sweep() -> np.ndarray:
    """Points all around, float32 [N, 4], as many as in a sweep of KITTI's."""
    rng = np.random.default_rng(0)
    angle, distance = rng.uniform(0, 2 * np.pi, POINTS), rng.uniform(3, 80, POINTS)
    height = rng.uniform(-0.4, 0.03, POINTS) * distance
    around = (distance * np.cos(angle), distance * np.sin(angle), height, np.zeros(POINTS))
    return np.stack(around, axis=1).astype(np.float32)


def published_depth(sweep: np.ndarray, calibration: Calibration) -> np.ndarray:
    """The ground truth that the published loader adds to an item where its sweep is there."""
    depth = project_sweep(sweep, calibration, "l", forward_depth=True)
    return resize(depth, SIZE[::-1], order=0, preserve_range=True, mode="constant")


def main() -> None:
    """Measure and report."""
    cv2.setNumThreads(1)
    keep_freed_memory()  # as workers do
    sweep, calibration = draw_sweep(), camera_with_lidar()
    with tempfile.TemporaryDirectory() as folder:
        lines = write_drive(Path(folder), frames=3 * ITEMS)[::3][:ITEMS]
        made = {
            resize: make_items(Path(folder), lines, SOURCES, HEIGHT, WIDTH, resize=resize)
            for resize in ("area", "lanczos")
        }
        cached = with_cache(made["area"], Path(folder) / "cache", num_threads=1)
        ways = {
            "published": lambda: [published_item(made["area"], i) for i in range(ITEMS)],
            "depth": lambda: [published_depth(sweep, calibration) for _ in range(ITEMS)],
            "lanczos": lambda: make_batch(made["lanczos"], 0, range(ITEMS)),
            "area": lambda: make_batch(made["area"], 0, range(ITEMS)),
            "cached": lambda: make_batch(cached, 0, range(ITEMS)),
        }
        ms = {name: 1000 * value / ITEMS for name, value in in_turns(ways, rounds=5).items()}
    ms["published with sweeps"] = ms["published"] + ms["depth"]
    rows = (
        ("item, ms (stand-in for the published)", "area", "published", NOTE),
        ("item, ms (the same, with its sweep)", "area", "published with sweeps", NOTE),
        ("item --resize lanczos, ms (stand-in)", "lanczos", "published", NOTE),
        ("item --cache_dir, ms (without)", "cached", "area", ""),
    )
    report([compared(what, ms[ours], ms[other], note) for what, ours, other, note in rows])


if __name__ == "__main__":
    main()
