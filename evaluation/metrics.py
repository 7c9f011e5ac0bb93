"""The seven error metrics of Eigen et al. (NIPS 2014), which depth papers are compared by.

Metric depth is compared as it is, or scaled by :mod:`evaluation.protocols`. Relative inverse depth
is aligned and compared as Ranftl et al. (TPAMI 2020) do: by scale and shift, image by image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from system.errors import InputError

SMALLEST_DEPTH, LARGEST_DEPTH = 1e-3, 1e3  # metres, of aligned predictions
SMALLEST_INVERSE = 1e-12
SCALE_SHIFT, MEDIAN, NONE = "scale_shift", "median", "none"


class DepthMetrics(NamedTuple):
    """Errors (lower is better) and accuracies (higher is better) over a set of points.

    Attributes:
        abs_rel: mean of |gt - pred| / gt.
        sq_rel: mean of (gt - pred)^2 / gt, in metres: not squared in the denominator.
        rmse: root of the mean of (gt - pred)^2, in metres.
        rmse_log: the same of the natural logarithms.
        a1: share of the points with max(gt / pred, pred / gt) below 1.25.
        a2: below 1.25^2.
        a3: below 1.25^3.
    """

    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    a1: float
    a2: float
    a3: float


METRIC_NAMES = DepthMetrics._fields
LOG10 = "log10"


def depth_metrics(gt: np.ndarray, pred: np.ndarray) -> DepthMetrics:
    """Compare predicted with true depths: two arrays of one shape, metres, all above 0.

    Computed in the precision of the arrays; the published results are float32 ones.

    Raises:
        ValueError: the shapes differ, or there is no point.
    """
    if gt.shape != pred.shape or gt.size == 0:
        raise ValueError(
            f"expected two depth arrays of one shape with a point, got {gt.shape} and {pred.shape}"
        )
    error = gt - pred
    log_error = np.log(gt) - np.log(pred)
    ratio = np.maximum(gt / pred, pred / gt)
    return DepthMetrics(
        abs_rel=float(np.mean(np.abs(error) / gt)),
        sq_rel=float(np.mean(error**2 / gt)),
        rmse=float(np.sqrt(np.mean(error**2))),
        rmse_log=float(np.sqrt(np.mean(log_error**2))),
        a1=float(np.mean(ratio < 1.25)),
        a2=float(np.mean(ratio < 1.25**2)),
        a3=float(np.mean(ratio < 1.25**3)),
    )


def depth_by_scale_shift(prediction: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Depth in metres of relative inverse depth, fitted by least squares to known depth; all [N].

    Inverse depth that is not positive after the fit is as far as :data:`LARGEST_DEPTH`.
    """
    inverse = 1 / depth.astype(np.float64)
    columns = np.stack([prediction.astype(np.float64), np.ones(len(prediction))], axis=1)
    (scale, shift), *_ = np.linalg.lstsq(columns, inverse, rcond=None)
    fitted = np.clip(scale * columns[:, 0] + shift, 1 / LARGEST_DEPTH, 1 / SMALLEST_DEPTH)
    return 1 / fitted


def depth_by_median(prediction: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Depth of inverse depth up to scale, brought to the median of known depth; all [N]."""
    predicted = depth_unaligned(prediction, depth)
    return predicted * (np.median(depth) / np.median(predicted))


def depth_unaligned(prediction: np.ndarray, _depth: np.ndarray) -> np.ndarray:
    """Depth in metres of inverse metres; both [N]."""
    return 1 / np.maximum(prediction.astype(np.float64), SMALLEST_INVERSE)


# How a prediction becomes comparable: in words, and from (inverse depth, depth) to depth.
ALIGNMENTS = {
    SCALE_SHIFT: (
        "scale and shift of inverse depth, least squares, per image",
        depth_by_scale_shift,
    ),
    MEDIAN: ("median of depth, per image", depth_by_median),
    NONE: ("none, the model's own metres", depth_unaligned),
}


def relative_errors(
    prediction: np.ndarray,
    depth: np.ndarray,
    counted: np.ndarray | None = None,
    farthest: float = LARGEST_DEPTH,
    alignment: str = SCALE_SHIFT,
    with_log10: bool = False,
) -> dict[str, float] | None:
    """The seven metrics of one image after alignment; None where no depth is known.

    Args:
        prediction: inverse depth [H, W], near is large; in inverse metres for :data:`NONE`.
        depth: metres [H, W], 0 where unknown.
        counted: bool [H, W], the pixels to align and measure on; None: all known ones.
        farthest: predictions beyond are taken for this far, metres.
        alignment: a key of :data:`ALIGNMENTS`.
        with_log10: whether to give :data:`LOG10` too, the mean error of log10 of depth.
    """
    counted = depth > 0 if counted is None else counted
    if counted.sum() < 2:
        return None
    truth = depth[counted]
    _, align = ALIGNMENTS[alignment]
    predicted = np.clip(align(prediction[counted], truth), SMALLEST_DEPTH, farthest)
    errors = depth_metrics(truth, predicted)._asdict()
    if with_log10:
        errors[LOG10] = float(np.mean(np.abs(np.log10(truth) - np.log10(predicted))))
    return errors


def check_finite(metrics: Mapping[str, float], name: str) -> None:
    """Refuse metrics that are no numbers, so that they never enter a mean.

    Raises:
        InputError: one is infinite or not a number; ``name`` says whose.
    """
    wrong = [f"{key} is {value}" for key, value in metrics.items() if not math.isfinite(value)]
    if wrong:
        raise InputError(
            f"{name}: cannot be measured, {', '.join(wrong)}; check its depth and the prediction"
        )


def mean_errors(errors: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric over images."""
    return {name: float(np.mean([each[name] for each in errors])) for name in errors[0]}
