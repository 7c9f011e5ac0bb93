"""Are the objects of a picture in its predicted depth: cars, poles and trees, one by one.

Mean errors over all pixels hardly notice a pole: a map of road, facades and sky without any object
scores well. Here each object counts as one. It is *found* if

- the median of the predicted depth on its pixels is within 20 % of the median of the true one, and
- it stands out: the predicted step in inverse depth from the object to what is seen behind it is at
  least half of the true step.

What is behind is the ring of pixels around the object's visible silhouette, 1.5 % of the picture's
width wide, as far as their *true* depth is at least 1.2 times the object's median: the road at
its wheels and what stands before it are no part of it. Steps are differences of medians, so that
the few pixels across which a network draws an edge do not decide, and of inverse depths, so that
sky, infinitely far, is an ordinary 0. The object's own pixels are all that show it. With less than
20 pixels behind it, as for a car right before a wall, the depth alone decides.

Only objects that cover at least 1 % of the picture are judged. One that is cut by the border or
partly hidden counts by what is seen of it. NumPy and OpenCV only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

SMALLEST_SHARE = 0.01  # of the picture's pixels
DEPTH_TOLERANCE = 0.2  # of the true median
STEP_SHARE = 0.5  # of the true step
RING_SHARE, NARROWEST_RING = 0.015, 3  # of the picture's width; pixels
BEHIND = 1.2  # times the object's median depth
FEWEST_BEHIND = 20  # pixels
FARTHEST_SCALED = 80.0  # m; the cap of the published evaluation


@dataclass(frozen=True)
class ObjectScore:
    """How one object of a picture was predicted; depths in metres, steps in 1 / metre.

    Attributes:
        number: the object's number in the picture.
        kind: such as ``car``.
        share: of the picture's pixels that show it.
        true_depth, predicted_depth: medians over its pixels.
        relative_error: of the predicted median, at least 0.
        true_step, predicted_step: its median inverse depth minus that of what is behind it; None
            if (nearly) nothing is seen behind it.
        depth_right: the error is at most :data:`DEPTH_TOLERANCE`.
        stands_out: the predicted step is at least :data:`STEP_SHARE` of the true one; None without.
    """

    number: int
    kind: str
    share: float
    true_depth: float
    predicted_depth: float
    relative_error: float
    true_step: float | None
    predicted_step: float | None
    depth_right: bool
    stands_out: bool | None

    @property
    def found(self) -> bool:
        """Whether the object is in the predicted map."""
        return self.depth_right and self.stands_out is not False


def object_scores(
    predicted_depth: np.ndarray,
    true_depth: np.ndarray,
    object_numbers: np.ndarray,
    kinds: Mapping[int, str],
) -> list[ObjectScore]:
    """Judge every object that covers at least 1 % of a picture, in the order of their numbers.

    Args:
        predicted_depth: metres, positive, infinite where it is unlimited, [h, w]. Of another size
            than the truth, its inverse is resized bilinearly, as in the metric evaluation.
        true_depth: metres, infinite for the sky, [H, W].
        object_numbers: which object a pixel shows, integers [H, W].
        kinds: the kinds of the objects; pixels of other numbers are background.

    Raises:
        ValueError: the shapes do not fit, or a depth is not positive.
    """
    if true_depth.shape != object_numbers.shape or true_depth.ndim != 2:
        raise ValueError(
            f"expected true depth and object numbers of one shape [H, W], got "
            f"{list(true_depth.shape)} and {list(object_numbers.shape)}"
        )
    if predicted_depth.ndim != 2 or not (predicted_depth > 0).all():
        raise ValueError("expected positive predicted depths [h, w]")
    if not (true_depth > 0).all():
        raise ValueError("expected positive true depths [H, W]")
    predicted_inverse = resized_inverse(predicted_depth, true_depth.shape)
    true_inverse = 1 / true_depth.astype(np.float64)
    numbers, counts = np.unique(object_numbers, return_counts=True)
    large = numbers[counts >= SMALLEST_SHARE * object_numbers.size]
    return [
        _score(number, kinds[number], object_numbers == number, predicted_inverse, true_inverse)
        for number in map(int, large)
        if number in kinds
    ]


def resized_inverse(depth: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The inverse of a depth map [h, w] in another shape (H, W), bilinearly, float64."""
    inverse = 1 / depth.astype(np.float64)
    if inverse.shape == tuple(shape):
        return inverse
    return cv2.resize(inverse, (shape[1], shape[0]))


def _score(
    number: int, kind: str, own: np.ndarray, predicted_inverse: np.ndarray, true_inverse: np.ndarray
) -> ObjectScore:
    """Judge the object on the pixels ``own``, bool [H, W]."""
    true_own, predicted_own = np.median(true_inverse[own]), np.median(predicted_inverse[own])
    true_depth, predicted_depth = float(1 / true_own), float(1 / max(predicted_own, 1e-12))
    error = abs(predicted_depth / true_depth - 1)
    behind = surroundings(own) & (true_inverse * BEHIND <= true_own)
    true_step = predicted_step = stands_out = None
    if behind.sum() >= FEWEST_BEHIND:
        true_step = float(true_own - np.median(true_inverse[behind]))
        predicted_step = float(predicted_own - np.median(predicted_inverse[behind]))
        stands_out = predicted_step >= STEP_SHARE * true_step
    return ObjectScore(
        number,
        kind,
        float(own.mean()),
        true_depth,
        predicted_depth,
        error,
        true_step,
        predicted_step,
        error <= DEPTH_TOLERANCE,
        stands_out,
    )


def surroundings(own: np.ndarray) -> np.ndarray:
    """The ring around the visible silhouette ``own`` of an object, both bool [H, W]."""
    width = max(NARROWEST_RING, round(RING_SHARE * own.shape[1]))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    return (cv2.dilate(own.astype(np.uint8), disc) > 0) & ~own


def median_scale(predicted_depth: np.ndarray, true_depth: np.ndarray) -> float:
    """What depth without a unit is multiplied with: true over predicted median of a picture.

    Over the pixels of true depth up to 80 m, as far as the published evaluation looks.

    Args:
        predicted_depth: model units, [h, w], resized as by :func:`object_scores`.
        true_depth: metres, [H, W].

    Raises:
        ValueError: no true depth is that near.
    """
    near = true_depth <= FARTHEST_SCALED
    if not near.any():
        raise ValueError(f"expected true depths up to {FARTHEST_SCALED:g} m, got none")
    inverse = resized_inverse(predicted_depth, true_depth.shape)
    return float(np.median(true_depth[near]) * np.median(inverse[near]))


def summarise(scores: Sequence[ObjectScore]) -> dict[str, dict[str, Any]]:
    """Counts and shares of all objects (``all``) and of each kind that there is.

    Of each: ``objects``, ``found`` (both requirements), ``depth_right``, and ``stands_out`` of
    those with something behind them (None if no object has); shares in [0, 1].
    """
    kinds = sorted({score.kind for score in scores})
    groups = {kind: [score for score in scores if score.kind == kind] for kind in kinds}
    return {name: _shares(group) for name, group in {**groups, "all": list(scores)}.items()}


def _shares(scores: Sequence[ObjectScore]) -> dict[str, Any]:
    stepped = [score.stands_out for score in scores if score.stands_out is not None]
    return {
        "objects": len(scores),
        "found": _mean([score.found for score in scores]),
        "depth_right": _mean([score.depth_right for score in scores]),
        "stands_out": _mean(stepped),
    }


def _mean(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def report(summary: Mapping[str, Mapping[str, Any]]) -> str:
    """A summary as a table for people."""
    lines = [f"{'':6s}{'objects':>9s}{'found':>9s}{'depth right':>13s}{'stands out':>12s}"]
    for name, row in summary.items():
        shares = [row[key] for key in ("found", "depth_right", "stands_out")]
        words = ["-" if share is None else f"{100 * share:.0f} %" for share in shares]
        lines.append(f"{name:6s}{row['objects']:9d}{words[0]:>9s}{words[1]:>13s}{words[2]:>12s}")
    return "\n".join(lines)
