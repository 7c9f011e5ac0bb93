"""The seven error metrics of Eigen et al. (NIPS 2014), which depth papers are compared by."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

import numpy as np


@dataclass(frozen=True)
class DepthMetrics:
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

    def as_array(self) -> np.ndarray:
        """Return the metrics in the order of :data:`METRIC_NAMES`, float64 [7]."""
        return np.array(astuple(self), np.float64)


METRIC_NAMES = tuple(field.name for field in fields(DepthMetrics))


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
