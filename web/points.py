"""What visitors ask of points in a picture, checked; and what is told of them, in words."""

from __future__ import annotations

import math

import numpy as np

from datasets.camera import Camera, camera_of_angle
from prediction.depth_map import METRES, RELATIVE, RELATIVE_INVERSE, DepthMap
from web.refusals import Refusal
from web.words import say

ANGLES = (20, 150)  # degrees of view that can be chosen
UNIT_WORDS = {METRES: "metres", RELATIVE: "relative", RELATIVE_INVERSE: "inverse"}


def depth_in_words(depth_map: DepthMap, number: int, language: object) -> str:
    """The depth at a pixel of a map [1, N], in words."""
    inverse = depth_map.unit == RELATIVE_INVERSE
    value = float((depth_map.disparity if inverse else depth_map.depth)[0, number])
    unit = say(language, UNIT_WORDS[depth_map.unit])
    return f"{value:.4g} {unit}" if math.isfinite(value) else say(language, "infinite")


def distances_in_words(
    camera: Camera, pixels: list[tuple[int, int]], depth: np.ndarray, language: object
) -> list[str]:
    """How far each of some pixels (x, y) with depth [N] is from the one before, in words."""
    rays = np.linalg.inv(camera.K) @ np.array([[*pixel, 1] for pixel in pixels]).T
    with np.errstate(invalid="ignore"):  # of two infinite ones
        apart = np.linalg.norm(np.diff(rays * depth, axis=1), axis=0)
    metres = say(language, "metres")
    return [
        f"{each:.4g} {metres}" if math.isfinite(each) else say(language, "infinite")
        for each in apart.tolist()
    ]


def pair_of(point: object) -> tuple[object, object]:
    """The two parts of a point, None for what is none."""
    is_pair = isinstance(point, (list, tuple)) and len(point) == 2
    return (point[0], point[1]) if is_pair else (None, None)


def pixel_of(x: object, y: object, size: tuple[int, int], language: object) -> tuple[int, int]:
    """The pixel at x and y, or the one nearest to there, of a picture of (width, height)."""
    if not (_is_number(x) and _is_number(y)):
        raise Refusal(language, "no_point")
    return min(max(int(x), 0), size[0] - 1), min(max(int(y), 0), size[1] - 1)


def chosen_camera(size: tuple[int, int], degrees: object, unit: str, language: object) -> Camera:
    """A camera of pictures of (width, height) that sees so many degrees across."""
    low, high = ANGLES
    if not (_is_number(degrees) and low <= degrees <= high):
        raise Refusal(language, "no_angle", low=low, high=high)
    return camera_of_angle(size, degrees, f"{degrees:g}{unit}")


def _is_number(value: object) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and (isinstance(value, int) or math.isfinite(value))
