"""How to train on prepared frames: a line for these, and whether they are enough."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import Path

from datasets.conventions import change_of_shape

MULTIPLE, SMALLEST = 32, 64  # what the networks take
PIXELS = 640 * 192  # as published
LARGEST_BATCH = 12  # likewise
STEPS_AN_EPOCH = 25  # that few frames are spread over
FEW = 300  # frames


def training_size(width: int, height: int) -> tuple[int, int]:
    """Width and height to train at on frames of a size: their shape, about 640x192 pixels.

    Frames that have fewer pixels stay nearly as large as they are.
    """
    shape, pixels = width / height, min(PIXELS, width * height)
    sides = range(SMALLEST, SMALLEST + 32 * MULTIPLE, MULTIPLE)
    heights = ((max(SMALLEST, MULTIPLE * round(h * shape / MULTIPLE)), h) for h in sides)

    def unlike(size: tuple[int, int]) -> float:
        of_shape = abs(math.log(size[0] / size[1] / shape))
        return of_shape + abs(math.log(size[0] * size[1] / pixels)) / 4

    return min(heights, key=unlike)


def squeezed(frames: tuple[int, int], size: tuple[int, int]) -> str | None:
    """What training at a size does to frames of another shape, in words; None if little.

    Args:
        frames: their (width, height).
        size: (width, height) that they are brought to.
    """
    how = change_of_shape(frames, size)
    if how is None:
        return None
    width, height = training_size(*frames)
    return (
        f"frames of {frames[0]}x{frames[1]} are brought to {size[0]}x{size[1]}, where things look "
        f"{how}; --width {width} --height {height} keeps their shape"
    )


def batch_size(items: int) -> int:
    """Items of a batch where there are so many to train on."""
    return max(2, min(LARGEST_BATCH, items // STEPS_AN_EPOCH))


def training_line(out: Path, size: tuple[int, int], items: int, stereo: bool) -> str:
    """A command that trains on prepared frames of a size (width, height)."""
    width, height = training_size(*size)
    name = re.sub(r"[^\w.-]+", "_", out.resolve().name, flags=re.ASCII).strip("._-") or "mine"
    words = ["python", "train.py", "--model_name", name, "--dataset", "frames"]
    words += ["--data_path", str(out), *(["--use_stereo"] if stereo else [])]
    words += ["--height", height, "--width", width, "--batch_size", batch_size(items)]
    return shlex.join(map(str, words))


def too_few(items: int) -> str | None:
    """What will happen where so many items are too few to learn from, and what to do."""
    if items >= FEW:
        return None
    return (
        f"{items} frames are too few to learn depth from in general, hundreds are needed and "
        "thousands are better: training runs, and the loss falls, but the depth stays flat or "
        "holds for these frames only; film for minutes and in several places, or start from a "
        "trained model with --load_weights_folder"
    )
