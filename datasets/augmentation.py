"""Random draws of one training item: a flip, and a colour jitter for the network's copy.

Every draw follows from (seed, epoch, index of the item) alone, so that a run repeats itself for any
number of workers and after any resume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Largest factor above and below 1, and largest turn of the hue circle, as published.
BRIGHTNESS = CONTRAST = SATURATION = 0.2
HUE = 0.1

NO_JITTER = np.array([1, 1, 1, 0, 0, 1, 2, 3], np.float32)


@dataclass(frozen=True)
class Draw:
    """The augmentation of one item.

    Attributes:
        flip: whether all of its images are mirrored left to right.
        color_jitter: [8] float32: factors of brightness, contrast and saturation, turn of the hue
            in [-0.5, 0.5], and the order in which these four (numbered 0 to 3) are applied.
    """

    flip: bool
    color_jitter: np.ndarray


def draw_augmentation(seed: int, epoch: int, index: int) -> Draw:
    """Draw for one item: both the flip and the jitter happen to every second one."""
    rng = np.random.default_rng((seed, epoch, index))
    flip, jitter = rng.random(2) < 0.5
    if not jitter:
        return Draw(bool(flip), NO_JITTER)
    reach = np.array([BRIGHTNESS, CONTRAST, SATURATION, HUE])
    factors = NO_JITTER[:4] + rng.uniform(-reach, reach)
    return Draw(bool(flip), np.concatenate([factors, rng.permutation(4)]).astype(np.float32))
