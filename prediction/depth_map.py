"""What is predicted of one picture: disparity, and depth in the unit that it has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

METRES, RELATIVE, RELATIVE_INVERSE = "m", "relative", "relative inverse depth"


@dataclass(frozen=True)
class InverseDepth:
    """How disparity becomes inverse depth: ``scale * disparity + shift``, per unit of depth."""

    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class DepthMap:
    """Depth of a picture, pixel by pixel.

    Attributes:
        disparity: [H, W] float32, inverse depth in the model's unit: near is large.
        unit: ``m``; ``relative`` when depth is known up to a factor only; ``relative inverse
            depth`` when inverse depth is, and up to a shift, too.
        inverse_depth: from ``disparity`` to the inverse of :attr:`depth`.
    """

    disparity: np.ndarray
    unit: str = RELATIVE
    inverse_depth: InverseDepth = InverseDepth()

    @property
    def metric(self) -> bool:
        """Whether depth is in metres."""
        return self.unit == METRES

    @property
    def depth(self) -> np.ndarray:
        """[H, W] float32 along the camera's axis, in ``unit``; infinite where nothing is met."""
        inverse = self.inverse_depth.scale * self.disparity + self.inverse_depth.shift
        with np.errstate(divide="ignore"):
            return np.where(inverse > 0, 1 / np.maximum(inverse, 0), np.inf).astype(np.float32)
