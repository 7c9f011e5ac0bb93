"""Depth against known depth after alignment: MiDaS's by scale and shift of inverse depth per image.

Inverse depth is aligned and compared as Ranftl et al. (TPAMI 2020) do; metric models may be
measured by the median, or as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Callable, NamedTuple

import numpy as np

from evaluation.metrics import METRIC_NAMES, depth_metrics

SMALLEST_DEPTH, LARGEST_DEPTH = 1e-3, 1e3  # metres
SMALLEST_INVERSE = 1e-12
SCALE_SHIFT, MEDIAN, NONE = "scale_shift", "median", "none"


def align(prediction: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Depth in metres of relative inverse depth, fitted by least squares to known depth; all [N].

    Inverse depth that is not positive after the fit is as far as :data:`LARGEST_DEPTH`.
    """
    inverse = 1 / depth.astype(np.float64)
    columns = np.stack([prediction.astype(np.float64), np.ones(len(prediction))], axis=1)
    (scale, shift), *_ = np.linalg.lstsq(columns, inverse, rcond=None)
    fitted = np.clip(scale * columns[:, 0] + shift, 1 / LARGEST_DEPTH, 1 / SMALLEST_DEPTH)
    return 1 / fitted


def align_median(prediction: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Depth of inverse depth up to scale, brought to the median of known depth; all [N]."""
    predicted = unaligned(prediction, depth)
    return predicted * (np.median(depth) / np.median(predicted))


def unaligned(prediction: np.ndarray, _depth: np.ndarray) -> np.ndarray:
    """Depth in metres of inverse metres; both [N]."""
    return 1 / np.maximum(prediction.astype(np.float64), SMALLEST_INVERSE)


class Alignment(NamedTuple):
    """How a prediction becomes comparable: in words, and from (inverse depth, depth) to depth."""

    words: str
    apply: Callable[[np.ndarray, np.ndarray], np.ndarray]


ALIGNMENTS = {
    SCALE_SHIFT: Alignment("scale and shift of inverse depth, least squares, per image", align),
    MEDIAN: Alignment("median of depth, per image", align_median),
    NONE: Alignment("none, the model's own metres", unaligned),
}


def relative_errors(
    prediction: np.ndarray,
    depth: np.ndarray,
    counted: np.ndarray | None = None,
    farthest: float = LARGEST_DEPTH,
    alignment: str = SCALE_SHIFT,
) -> dict[str, float] | None:
    """The seven metrics of one image after alignment; None where no depth is known.

    Args:
        prediction: inverse depth [H, W], near is large; in inverse metres for :data:`NONE`.
        depth: metres [H, W], 0 where unknown.
        counted: bool [H, W], the pixels to align and measure on; None: all known ones.
        farthest: predictions beyond are taken for this far, metres.
        alignment: a key of :data:`ALIGNMENTS`.
    """
    counted = depth > 0 if counted is None else counted
    if counted.sum() < 2:
        return None
    truth = depth[counted]
    predicted = ALIGNMENTS[alignment].apply(prediction[counted], truth)
    return asdict(depth_metrics(truth, np.clip(predicted, SMALLEST_DEPTH, farthest)))


def mean_errors(errors: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric over images."""
    return {name: float(np.mean([each[name] for each in errors])) for name in METRIC_NAMES}


def percent_beyond(a1: float) -> float:
    """Percent of pixels with max(gt / pred, pred / gt) of 1.25 or more, as MiDaS publishes."""
    return 100 * (1 - a1)
