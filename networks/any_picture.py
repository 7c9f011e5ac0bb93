"""The networks that take pictures of any size, by the name of their kind."""

from __future__ import annotations

from paddle import nn

from networks.depth_anything import DepthAnything
from networks.kinds import DEPTH_ANYTHING, MIDAS_SMALL
from networks.midas_small import MidasSmall

SIZES = {kind: size for size, kind in DEPTH_ANYTHING.items()}
ANY_PICTURE = (MIDAS_SMALL, *SIZES)


def any_picture_network(kind: str, max_depth: float | None = None) -> nn.Layer:
    """A network of random weights.

    Args:
        kind: of :data:`ANY_PICTURE`.
        max_depth: farthest depth in metres of a network that says metres; None for relative ones.
    """
    return MidasSmall() if kind == MIDAS_SMALL else DepthAnything(SIZES[kind], max_depth)
