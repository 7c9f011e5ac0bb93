"""Signs that training goes nowhere, in words, while there is still time to stop it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from paddle import Tensor

from datasets.loader import Batch

FLATTEST = 0.02  # deviation of disparity, share of its mean
FEWEST_MOVING = 0.05  # share of the pixels that are not auto-masked
FEWEST_KNOWN = 0.001  # share of the pixels whose depth is known
MOST_OUTSIDE = 0.05  # share of the known pixels
LOOKS = 4  # in a row, before it is said

Signs = Mapping[str, "str | None"]  # what is bad about a batch in words, None where it is good


@dataclass
class Health:
    """Remembers how often in a row each sign was bad, and says each of them once."""

    _bad: dict[str, int] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def look(self, signs: Signs) -> list[str]:
        """What is to be said after another look."""
        messages = []
        for name, words in signs.items():
            self._bad[name] = self._bad.get(name, 0) + 1 if words is not None else 0
            if self._bad[name] >= LOOKS and name not in self._said:
                self._said.add(name)
                messages.append(words)
        return messages


def signs_of_frames(
    disp: Tensor, warped: Sequence[Tensor], automask: Tensor | None, batch: Batch
) -> Signs:
    """Of self-supervised training.

    Args:
        disp: sigmoid disparity, [B, 1, H, W].
        warped: sources warped to the target, [B, 3, H, W] each.
        automask: [B, 1, H, W], or None without auto-masking.
        batch: what it was computed from.
    """
    spread = _spread(disp.numpy()[:, 0])
    target = batch["target"].astype(np.float32) / 255
    sources = batch["sources"].astype(np.float32) / 255
    errors = [np.abs(image.numpy() - target).mean(axis=1) for image in warped]
    still = [np.abs(sources[:, i] - target).mean(axis=1) for i in range(sources.shape[1])]
    # Error of the sources as they are over that of the best warped one; above 1 is good.
    gain = np.min(still, axis=0).mean() / max(np.min(errors, axis=0).mean(), 1e-6)
    moving = 1.0 if automask is None else float(automask.mean())
    signs: dict[str, str | None] = dict.fromkeys(("flat", "masked", "unwarped"))
    if spread < FLATTEST:
        signs["flat"] = (
            f"the predicted depth is nearly the same everywhere ({spread:.1%} deviation): it has "
            "collapsed, or has not begun to be learnt; look at the frames' motion, the intrinsics "
            "and --learning_rate, or try --initial_disparity 0.05"
        )
    if moving < FEWEST_MOVING:
        signs["masked"] = (
            f"auto-masking leaves out {1 - moving:.0%} of the pixels: the camera hardly moves "
            "between these frames, or turns only; take frames that are farther apart"
        )
    if gain < 1:
        signs["unwarped"] = (
            f"warped frames fit no better than frames as they are ({gain:.2f} of their error): "
            "wrong intrinsics, frames in the wrong order, or footage without parallax"
        )
    return signs


def signs_of_depth(
    inverse_depth: np.ndarray, depth: np.ndarray, depth_range: tuple[float, float] | None
) -> Signs:
    """Of training on known depth.

    Args:
        inverse_depth: predicted, [B, H, W].
        depth: known, [B, H, W] metres, 0 elsewhere.
        depth_range: nearest and farthest depth that the network can say, metres; None where it
            has no such limits.
    """
    spread = _spread(inverse_depth)
    known = depth > 0
    low, high = depth_range or (0, np.inf)
    metres = depth[known]
    outside = float(((metres < low) | (metres > high)).mean()) if len(metres) else 0.0
    signs: dict[str, str | None] = dict.fromkeys(("flat", "unknown", "outside"))
    if spread < FLATTEST:
        signs["flat"] = (
            f"the predicted depth is nearly the same everywhere ({spread:.1%} deviation): it "
            "has collapsed, or has not begun to be learnt; lower --learning_rate, try another "
            "--seed, or start from trained weights (--weights_init)"
        )
    if known.mean() < FEWEST_KNOWN:
        signs["unknown"] = (
            f"depth is known at {known.mean():.2%} of the pixels; look at the depth files and "
            "what depth.json says of them"
        )
    if outside > MOST_OUTSIDE:
        signs["outside"] = (
            f"{outside:.0%} of the known depth is outside of {low:g} to {high:g} m, which the "
            "network cannot say; set --min_depth and --max_depth, or correct the unit in "
            "depth.json"
        )
    return signs


def _spread(maps: np.ndarray) -> float:
    """Deviation over mean size of maps [B, H, W], mean of the images."""
    mean = np.maximum(np.abs(maps).mean(axis=(1, 2)), 1e-9)
    return float(np.mean(maps.std(axis=(1, 2)) / mean))
