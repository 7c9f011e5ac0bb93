"""The sizes that networks for pictures of any shape are given them in, by the published rules."""

from __future__ import annotations

import numpy as np

from networks.kinds import DEPTH_ANYTHING, KINDS, MIDAS_SMALL

MIDAS = KINDS[MIDAS_SMALL]
PATCHES = KINDS[DEPTH_ANYTHING["small"]]  # of Depth Anything, whose sizes all have the same


def midas_size(width: int, height: int, side: int = MIDAS.side) -> tuple[int, int]:
    """The size (width, height) for MiDaS small: multiples of 32 up to ``side``.

    The aspect ratio is kept as far as that goes; a side that it would round to 0 becomes 32.
    """
    scale, multiple = min(side / width, side / height), MIDAS.multiple

    def fit(length: int) -> int:
        fitted = int(np.round(scale * length / multiple)) * multiple
        if fitted > side:
            fitted = int(np.floor(scale * length / multiple)) * multiple
        return max(multiple, fitted)

    return fit(width), fit(height)


def depth_anything_size(width: int, height: int, side: int = PATCHES.side) -> tuple[int, int]:
    """The size (width, height) for Depth Anything: multiples of 14.

    The shorter side becomes ``side`` at least, and the aspect ratio is kept as far as that goes.
    """
    scale, patch = max(side / width, side / height), PATCHES.multiple

    def fit(length: int) -> int:
        fitted = int(np.round(scale * length / patch)) * patch
        return fitted if fitted >= side else int(np.ceil(scale * length / patch)) * patch

    return fit(width), fit(height)


def bounded_size(
    width: int, height: int, longest: int, side: int = PATCHES.side
) -> tuple[int, int]:
    """:func:`depth_anything_size`, but for pictures whose longer side that would make too long.

    Their longer side becomes ``longest``, rounded down to a multiple of 14, and the shorter one
    what keeps the aspect ratio, so that long, narrow pictures do not take hours.
    """
    size, patch = depth_anything_size(width, height, side), PATCHES.multiple
    longest = max(patch, longest // patch * patch)
    if max(size) <= longest:
        return size
    scale = longest / max(width, height)
    return tuple(max(patch, round(scale * length / patch) * patch) for length in (width, height))
