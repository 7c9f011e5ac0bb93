"""The kinds of depth networks: how each is given pictures, and what its output means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from layers import disp_to_depth
from networks.midas_small import MULTIPLE, SIDE, input_size
from networks.model_info import MIDAS_SMALL, MONODEPTH, ModelInfo
from prediction.depth_map import RELATIVE, RELATIVE_INVERSE

Size = tuple[int, int]  # width, height


@dataclass(frozen=True)
class Family:
    """A kind of depth network.

    Attributes:
        input_size: from what is known of the model, the size of a picture and the longest side
            that is asked for (None: the model's own), to the size that the network is given.
        shrink: brings a picture [H, W, 3] uint8 to a size.
        enlarge: the interpolation, OpenCV's, that brings the output to the picture's size.
        disparity: from the output to inverse depth in the model's unit, near is large.
        unit: of what comes out, as long as it is not aligned.
    """

    input_size: Callable[[ModelInfo, Size, int | None], Size]
    shrink: Callable[[np.ndarray, Size], np.ndarray]
    enlarge: int
    disparity: Callable[[ModelInfo, np.ndarray], np.ndarray]
    unit: str


def _lanczos(picture: np.ndarray, size: Size) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _cubic(picture: np.ndarray, size: Size) -> np.ndarray:
    return cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)


def _scaled_disparity(info: ModelInfo, sigmoid: np.ndarray) -> np.ndarray:
    return disp_to_depth(sigmoid, info.min_depth, info.max_depth)[0].astype(np.float32)


def _as_it_is(_info: ModelInfo, inverse_depth: np.ndarray) -> np.ndarray:
    # The bicubic enlargement may overshoot below the network's 0.
    return np.maximum(inverse_depth, 0).astype(np.float32)


def _own_size(info: ModelInfo, _picture: Size, _side: int | None) -> Size:
    return info.width, info.height


def _midas_size(info: ModelInfo, picture: Size, side: int | None) -> Size:
    longest = max(MULTIPLE, (side or info.width or SIDE) // MULTIPLE * MULTIPLE)
    return input_size(*picture, longest)


FAMILIES = {
    MONODEPTH: Family(_own_size, _lanczos, cv2.INTER_LINEAR, _scaled_disparity, RELATIVE),
    MIDAS_SMALL: Family(_midas_size, _cubic, cv2.INTER_CUBIC, _as_it_is, RELATIVE_INVERSE),
}


def family_of(info: ModelInfo) -> Family:
    """The kind of a model."""
    return FAMILIES[info.kind]
