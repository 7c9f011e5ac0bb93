"""The networks that take pictures of any size, by the name of their kind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from paddle import nn

from networks.depth_anything import DepthAnything
from networks.kinds import DEPTH_ANYTHING, MIDAS_SMALL
from networks.midas_small import MidasSmall

NETWORKS: dict[str, Callable[[], nn.Layer]] = {
    MIDAS_SMALL: MidasSmall,
    **{kind: partial(DepthAnything, size) for size, kind in DEPTH_ANYTHING.items()},
}
