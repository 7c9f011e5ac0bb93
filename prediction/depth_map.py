"""How a depth network is given a picture, and what its output means: disparity, and depth."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from datasets.conventions import change_of_shape, scaled_disparity
from datasets.lanczos import resize_lanczos
from networks.input_sizes import bounded_size, midas_size
from networks.kinds import DEPTH_ANYTHING, KINDS, MIDAS_SMALL, MONODEPTH
from weight_files.model_info import ModelInfo

logger = logging.getLogger(__name__)

METRES, RELATIVE, RELATIVE_INVERSE = "m", "relative", "relative inverse depth"
Size = tuple[int, int]  # width, height
BAND = 256  # rows that are enlarged at once
LONGEST = 4  # longest side of an input of Depth Anything, in sides that it was trained on
PADDING = 115  # of 255: the mean that encoders subtract, so that they see 0, as around any image


@dataclass(frozen=True)
class ScaleShift:
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
    inverse_depth: ScaleShift = ScaleShift()

    @property
    def metric(self) -> bool:
        """Whether depth is in metres."""
        return self.unit == METRES

    @property
    def depth(self) -> np.ndarray:
        """[H, W] float32 along the camera's axis, in ``unit``; infinite where nothing is met."""
        inverse = self.inverse_depth.scale * self.disparity
        inverse += self.inverse_depth.shift
        depth = np.full(inverse.shape, np.inf, np.float32)
        return np.divide(1, inverse, out=depth, where=inverse > 0)


@dataclass(frozen=True)
class Family:
    """A kind of depth network.

    Attributes:
        input_size: from what is known of the model, the size of a picture and the longest side
            that is asked for (None: the model's own), to the size that the network is given.
        shrink: brings a picture [H, W, 3] uint8 to a size.
        pixels: the type that comes out of it, and that the network is given: levels of 0 to 255,
            which fractional ones may pass at edges.
        enlarge: brings the output [h, w] to the picture's size.
        disparity: from the output to inverse depth in the model's unit, near is large.
        unit: of what comes out, as long as it is not aligned.
    """

    input_size: Callable[[ModelInfo, Size, int | None], Size]
    shrink: Callable[[np.ndarray, Size], np.ndarray]
    pixels: type
    enlarge: Callable[[np.ndarray, Size], np.ndarray]
    disparity: Callable[[ModelInfo, np.ndarray], np.ndarray]
    unit: str


def _cubic(picture: np.ndarray, size: Size) -> np.ndarray:
    # In fractions, as published: in whole numbers, edges lose what overshoots 0 and 255.
    return cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_CUBIC)


def _scaled_disparity(info: ModelInfo, sigmoid: np.ndarray) -> np.ndarray:
    return scaled_disparity(sigmoid, info.min_depth, info.max_depth).astype(np.float32, copy=False)


def _as_it_is(_info: ModelInfo, inverse_depth: np.ndarray) -> np.ndarray:
    # The bicubic enlargement may overshoot below the network's 0.
    return np.maximum(inverse_depth, 0).astype(np.float32)


def _own_size(info: ModelInfo, _picture: Size, _side: int | None) -> Size:
    return info.width, info.height


def _midas_size(info: ModelInfo, picture: Size, side: int | None) -> Size:
    multiple = KINDS[info.kind].multiple
    longest = max(multiple, (side or info.width) // multiple * multiple)
    return midas_size(*picture, longest)


def _depth_anything_size(info: ModelInfo, picture: Size, side: int | None) -> Size:
    return bounded_size(*picture, side or LONGEST * info.width, info.width)


def _linear(output: np.ndarray, size: Size) -> np.ndarray:
    return cv2.resize(output, size, interpolation=cv2.INTER_LINEAR)


def _cubic_from_pixels(output: np.ndarray, size: Size) -> np.ndarray:
    return cv2.resize(output, size, interpolation=cv2.INTER_CUBIC)


def _linear_by_corners(output: np.ndarray, size: Size) -> np.ndarray:
    """Linearly, the corners' pixels in the corners, which OpenCV cannot."""
    width, height = size
    rows = _between_rows(output, height)
    enlarged = np.empty((height, width), np.float32)
    for top in range(0, height, BAND):  # of large pictures, not all in memory several times
        band = slice(top, top + BAND)
        enlarged[band] = _between_rows(rows[band].T, width).T
    return enlarged


def _between_rows(values: np.ndarray, count: int) -> np.ndarray:
    """``count`` rows, evenly from the first to the last of those of ``values``."""
    places = np.linspace(0, len(values) - 1, count)
    before = np.minimum(places.astype(int), max(len(values) - 2, 0))
    share = (places - before).astype(np.float32)[:, None]
    after = np.minimum(before + 1, len(values) - 1)
    return values[before] * (1 - share) + values[after] * share


FAMILIES = {
    MONODEPTH: Family(_own_size, resize_lanczos, np.uint8, _linear, _scaled_disparity, RELATIVE),
    MIDAS_SMALL: Family(
        _midas_size, _cubic, np.float32, _cubic_from_pixels, _as_it_is, RELATIVE_INVERSE
    ),
    **dict.fromkeys(
        DEPTH_ANYTHING.values(),
        Family(
            _depth_anything_size,
            _cubic,
            np.float32,
            _linear_by_corners,
            _as_it_is,
            RELATIVE_INVERSE,
        ),
    ),
}


def network_input(
    info: ModelInfo, picture: np.ndarray, side: int | None = None, keep_aspect: bool = False
) -> np.ndarray:
    """A picture [H, W, 3] uint8 in the size, and the type of pixels, that a model is given it in.

    Args:
        info: of the model.
        picture: of any size.
        side: longest side, for networks that take any size; None: the model's own.
        keep_aspect: pad it, grey, to the network's shape, in the place of squeezing it.
    """
    family = FAMILIES[info.kind]
    size = family.input_size(info, picture.shape[1::-1], side)
    if not keep_aspect:
        return family.shrink(picture, size)
    rows, columns = inside_padding(size, picture.shape[1::-1])
    padded = np.full((size[1], size[0], 3), PADDING, family.pixels)
    inner = columns.stop - columns.start, rows.stop - rows.start
    padded[rows, columns] = family.shrink(picture, inner)
    return padded


def inside_padding(size: Size, picture: Size) -> tuple[slice, slice]:
    """Rows and columns of a picture that is fitted into the middle of an image, its shape kept.

    Args:
        size: (width, height) of the image.
        picture: (width, height) of the picture.
    """
    share = min(to / of for to, of in zip(size, picture))
    inner = [max(1, round(of * share)) for of in picture]
    left, top = ((to - of) // 2 for to, of in zip(size, inner))
    return slice(top, top + inner[1]), slice(left, left + inner[0])


def squeezed(info: ModelInfo, picture: Size) -> str | None:
    """What becomes of a picture of another shape than a model's, in words; None if little does.

    Args:
        info: of the model.
        picture: (width, height).
    """
    if KINDS[info.kind].side:  # it takes any shape
        return None
    how = change_of_shape(picture, (info.width, info.height))
    if how is None:
        return None
    return (
        f"pictures of {picture[0]}x{picture[1]} are brought to the model's {info.width}x"
        f"{info.height}, where things look {how}, and depth suffers; --keep_aspect pads instead, "
        "and models for any shape need neither (docs/models.md)"
    )


def limit_side(picture: np.ndarray, max_side: int | None) -> np.ndarray:
    """A picture [H, W, 3], made smaller where its longer side has more than ``max_side`` pixels."""
    height, width = picture.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return picture
    share = max_side / max(height, width)
    return resize_lanczos(picture, (max(1, round(width * share)), max(1, round(height * share))))
