"""Noise that lets neither side win the auto-mask where warped and unwarped frames are as good."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import paddle
from paddle import Tensor

from training.transfer import to_device

WINDOWS = 2**20  # that the numbers of an item may be, of all that there are
STREAM = 1  # of an item's draws; its augmentation has the first one


def tie_break(seed: int, epoch: int, indices: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Noise [B, *shape] of deviation 1 for the items with these indices.

    Each item's is a window of the same normally distributed numbers, at a place that follows from
    (seed, epoch, index) alone. It costs a copy, and is the same on every device and however the
    items of a step are divided.
    """
    count = math.prod(shape)
    numbers = _numbers(count + WINDOWS - 1, paddle.device.get_device())
    starts = [place_of(seed, epoch, int(index)) for index in indices]
    windows = paddle.stack([numbers[start : start + count] for start in starts])
    return windows.reshape([len(starts), *shape])


def place_of(seed: int, epoch: int, index: int) -> int:
    """Where an item's window begins."""
    return int(np.random.default_rng((seed, epoch, index, STREAM)).integers(WINDOWS))


@lru_cache(maxsize=2)
def _numbers(count: int, device: str) -> Tensor:
    """Standard normal numbers, on the device in use; the same in every run."""
    (numbers,) = to_device([np.random.default_rng(0).standard_normal(count, np.float32)])
    return numbers
