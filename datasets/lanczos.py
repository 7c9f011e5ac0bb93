"""Lanczos resizing as Pillow does it, to the last bit, in half the time.

Pillow adds up pixel by pixel; here a few neighbouring rows at a time are one product of matrices.
Weights are whole numbers of 2^-22 in both, so that sums are exact in whatever order. The width
comes first, as in Pillow up to 12; later ones may begin with the height, which rounds otherwise.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np

from system.cpu_math import MOST_PRODUCTS

LOBES = 3
STEPS = 2**22  # of which weights are whole numbers
ROWS = 8  # that are made together: of more, most of their weights would be 0


class Rows(NamedTuple):
    """Neighbouring rows of a result."""

    made: slice
    of: slice  # rows of what is resized
    weights: np.ndarray  # [made, of] float64


def resize_lanczos(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bring a picture [H, W, 3] uint8 to a ``size`` (width, height), as Pillow's LANCZOS does."""
    width, height = size
    if picture.shape[:2] == (height, width):
        return picture.copy()
    if picture.shape[1] != width:
        picture = _turned(_resized_rows(_turned(np.ascontiguousarray(picture)), width))
    return picture if picture.shape[0] == height else _resized_rows(picture, height)


def _turned(picture: np.ndarray) -> np.ndarray:
    """Rows as columns: [W, H, 3]."""
    return cv2.transpose(picture).reshape(picture.shape[1], picture.shape[0], 3)


def _resized_rows(picture: np.ndarray, count: int) -> np.ndarray:
    given = picture.reshape(len(picture), -1)
    made = np.empty((count, given.shape[1]), np.uint8)
    for rows in _rows(len(given), count):
        columns = max(1, MOST_PRODUCTS // rows.weights.size)
        for left in range(0, given.shape[1], columns):
            beside = slice(left, left + columns)
            sums = rows.weights @ given[rows.of, beside].astype(np.float64)
            # OpenCV rounds halves to even numbers, Pillow up: a hair more, and there are none.
            cv2.addWeighted(sums, 1, sums, 0, 0.5 / STEPS, made[rows.made, beside], cv2.CV_8U)
    return made.reshape(count, *picture.shape[1:])


@lru_cache(16)
def _rows(given: int, made: int) -> list[Rows]:
    """How ``made`` rows are made of ``given`` ones."""
    scale = given / made
    wide = max(scale, 1.0)  # so many rows are a lobe
    centres = (np.arange(made)[:, None] + 0.5) * scale
    first = np.maximum((centres - LOBES * wide + 0.5).astype(int), 0)
    end = np.minimum((centres + LOBES * wide + 0.5).astype(int), given)
    parts = []
    for top in range(0, made, ROWS):
        rows = slice(top, min(top + ROWS, made))
        of = np.arange(first[top, 0], end[rows.stop - 1, 0])
        places = (of - centres[rows] + 0.5) * (1 / wide)
        seen = (of >= first[rows]) & (of < end[rows]) & (places >= -LOBES) & (places < LOBES)
        weights = np.where(seen, np.sinc(places) * np.sinc(places / LOBES), 0)
        steps = weights / weights.sum(axis=1, keepdims=True) * STEPS
        whole = np.trunc(steps + np.copysign(0.5, steps))
        parts.append(Rows(rows, slice(of[0], of[-1] + 1), whole / STEPS))
    return parts
