"""Milliseconds per training item on one core: the published work, ours, and ours from a cache.

python -m benchmarks.loader [RESULT.json]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageEnhance

from benchmarks.drives import write_drive
from benchmarks.measure import compared, in_turns, report
from datasets.cache import with_cache
from datasets.items import TrainingItems, make_items
from datasets.loader import make_batch

HEIGHT, WIDTH, SCALES = 192, 640, 4
SOURCES = (-1, 1, "s")
ITEMS = 8


def turn_hue(image: Image.Image, turn: float) -> Image.Image:
    """Turn the hue circle by a share of it."""
    hue, saturation, value = image.convert("HSV").split()
    turned = (np.asarray(hue).astype(np.int16) + int(turn * 255)) % 256
    channels = (Image.fromarray(turned.astype(np.uint8)), saturation, value)
    return Image.merge("HSV", channels).convert("RGB")


def to_floats(image: Image.Image) -> np.ndarray:
    """[3, H, W] float32 in [0, 1]."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1), np.float32) / 255


def published_item(items: TrainingItems, index: int) -> list[np.ndarray]:
    """What the published loader does for an item: every frame at four scales, plain and jittered.

    As the paper's supplement describes it: Lanczos from scale to scale, and the same jitter for
    each of the pictures, which happens to every second item.
    """
    arrays = []
    for path in items.paths(index):
        with Image.open(path) as file:
            image = file.convert("RGB")
        for scale in range(SCALES):
            size = (WIDTH >> scale, HEIGHT >> scale)
            image = image.resize(size, Image.Resampling.LANCZOS)
            jittered = image
            if index % 2:
                for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
                    jittered = enhance(jittered).enhance(1.1)
                jittered = turn_hue(jittered, 0.05)
            arrays += [to_floats(image), to_floats(jittered)]
    return arrays


def main() -> None:
    """Measure and report."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        lines = write_drive(Path(folder), frames=3 * ITEMS)[::3][:ITEMS]
        made = {
            resize: make_items(Path(folder), lines, SOURCES, HEIGHT, WIDTH, resize=resize)
            for resize in ("area", "lanczos")
        }
        cached = with_cache(made["area"], Path(folder) / "cache", num_threads=1)
        ways = {
            "published": lambda: [published_item(made["area"], i) for i in range(ITEMS)],
            "lanczos": lambda: make_batch(made["lanczos"], 0, range(ITEMS)),
            "area": lambda: make_batch(made["area"], 0, range(ITEMS)),
            "cached": lambda: make_batch(cached, 0, range(ITEMS)),
        }
        ms = {name: 1000 * value / ITEMS for name, value in in_turns(ways, rounds=5).items()}
    rows = {
        "item, ms (other: published work)": ("area", "published"),
        "item --resize lanczos, ms (published work)": ("lanczos", "published"),
        "item --cache_dir, ms (without)": ("cached", "area"),
    }
    report([compared(what, ms[ours], ms[other]) for what, (ours, other) in rows.items()])


if __name__ == "__main__":
    main()
