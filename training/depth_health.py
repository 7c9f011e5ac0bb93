"""Signs that training on known depth goes nowhere, in words."""

from __future__ import annotations

import numpy as np

from training.health import FLATTEST, Lasting

FEWEST_KNOWN = 0.001  # share of the pixels
MOST_OUTSIDE = 0.05  # share of the known pixels


class DepthHealth:
    """Remembers how often in a row each sign was bad, and says each of them once.

    Args:
        depth_range: nearest and farthest depth that the network can say, metres; None where it
            has no such limits.
    """

    def __init__(self, depth_range: tuple[float, float] | None) -> None:
        self.depth_range = depth_range
        self._lasting = Lasting()

    def look(self, inverse_depth: np.ndarray, depth: np.ndarray) -> list[str]:
        """What is to be said after another batch.

        Args:
            inverse_depth: predicted, [B, H, W].
            depth: known, [B, H, W] metres, 0 elsewhere.
        """
        mean = np.maximum(np.abs(inverse_depth).mean(axis=(1, 2)), 1e-9)
        spread = float(np.mean(inverse_depth.std(axis=(1, 2)) / mean))
        known = depth > 0
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
        outside = self._outside(depth[known])
        if outside > MOST_OUTSIDE:
            low, high = self.depth_range
            signs["outside"] = (
                f"{outside:.0%} of the known depth is outside of {low:g} to {high:g} m, which the "
                "network cannot say; set --min_depth and --max_depth, or correct the unit in "
                "depth.json"
            )
        return self._lasting.look(signs)

    def _outside(self, metres: np.ndarray) -> float:
        """Share of known depth that is out of the network's range."""
        if self.depth_range is None or not len(metres):
            return 0.0
        low, high = self.depth_range
        return float(((metres < low) | (metres > high)).mean())
