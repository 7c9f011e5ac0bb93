"""Milliseconds per training item on one core: ours, cached, and a stand-in for the published work.

python -m benchmarks.loader [--small] [RESULT.json]

The stand-in is written from the paper and its supplement, without the published code, and leaves
out what that spends in PyTorch. Timed on one machine, the published loader took 198 ms where an
earlier form of this took 115: ratios to the published code are larger than those printed here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageEnhance
from skimage.transform import resize

from benchmarks.drives import DRIVE, add_sweeps, draw_sweep, write_drive
from benchmarks.measure import Cost, Row, Scale, compared, in_turns, run_part
from datasets.cache import with_cache
from datasets.items import BRIGHTNESS, CONTRAST, HUE, SATURATION, TrainingItems, make_items
from datasets.kitti import Calibration, day_folder, read_calibration
from datasets.lidar import project_sweep
from datasets.loader import make_batch
from system.memory import keep_freed_memory

HEIGHT, WIDTH, SCALES = 192, 640, 4
SOURCES = (-1, 1, "s")
ITEMS = 8
KINDS = ("area", "lanczos")
NOTE = "asked: 20 ms, or 10 times; the published code took 1.7 times an earlier stand-in"
CACHED = "asked: 2 ms"


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


def published_item(
    items: TrainingItems, index: int, height: int = HEIGHT, width: int = WIDTH
) -> list[np.ndarray]:
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
            size = (width >> scale, height >> scale)
            image = image.resize(size, Image.Resampling.LANCZOS)
            jittered = image
            for change in jitter:
                jittered = change(jittered)
            arrays += [to_floats(image), to_floats(jittered)]
    return arrays


def published_depth(sweep: np.ndarray, calibration: Calibration) -> np.ndarray:
    """The ground truth that the published loader adds to an item where its sweep is there."""
    depth = project_sweep(sweep, calibration, "l", forward_depth=True)
    size = calibration.image_size["l"]
    return resize(depth, size[::-1], order=0, preserve_range=True, mode="constant")


def rows(scale: Scale) -> Iterator[Row]:
    """Items of JPEGs and of PNGs, and cached ones."""
    cv2.setNumThreads(1)
    keep_freed_memory()  # as workers do
    for ending in ("jpg", "png"):
        with tempfile.TemporaryDirectory() as name:
            yield from rows_of(Path(name), scale, ending)


def rows_of(folder: Path, scale: Scale, ending: str) -> Iterator[Row]:
    """Items of pictures with an ending."""
    count = scale.of(ITEMS)
    lines = write_drive(folder, 3 * count, ending)[::3][:count]
    add_sweeps(folder, 1)
    sweep, calibration = draw_sweep(), read_calibration(day_folder(folder, DRIVE), with_lidar=True)
    size = scale.height, scale.width
    made = {each: make_items(folder, lines, SOURCES, *size, resize=each) for each in KINDS}
    cached = with_cache(made["area"], folder / "cache", num_threads=1)
    ways = {
        "published": lambda: [published_item(made["area"], i, *size) for i in range(count)],
        "depth": lambda: [published_depth(sweep, calibration) for _ in range(count)],
        "lanczos": lambda: make_batch(made["lanczos"], 0, range(count)),
        "area": lambda: make_batch(made["area"], 0, range(count)),
        "cached": lambda: make_batch(cached, 0, range(count)),
    }
    rounds = 2 * scale.rounds
    ms = {each: cost.times(1000 / count) for each, cost in in_turns(ways, rounds).items()}
    ms["with sweep"] = Cost(*map(sum, zip(ms["published"], ms["depth"])))
    kind = {"jpg": "JPEG"}.get(ending, ending.upper())
    rows = (
        (f"item, {kind}, ms (stand-in for the published)", "area", "published", NOTE),
        (f"item, {kind}, ms (the same, with its sweep)", "area", "with sweep", NOTE),
        (f"item, {kind}, --resize lanczos, ms (stand-in)", "lanczos", "published", ""),
        (f"item, {kind}, --cache_dir, ms (without)", "cached", "area", CACHED),
    )
    for what, ours, other, note in rows:
        yield compared(what, ms[ours], ms[other], note, rounds)


if __name__ == "__main__":
    run_part(rows)
