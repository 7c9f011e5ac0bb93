"""Relative depth against known depth: after the best scale and shift of inverse depth per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from evaluation.metrics import METRIC_NAMES, depth_metrics

SMALLEST_DEPTH, LARGEST_DEPTH = 1e-3, 1e3  # metres


def align(prediction: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Depth in metres of relative inverse depth, fitted by least squares to known depth; all [N].

    Inverse depth that is not positive after the fit is as far as :data:`LARGEST_DEPTH`.
    """
    inverse = 1 / depth.astype(np.float64)
    columns = np.stack([prediction.astype(np.float64), np.ones(len(prediction))], axis=1)
    (scale, shift), *_ = np.linalg.lstsq(columns, inverse, rcond=None)
    fitted = np.clip(scale * columns[:, 0] + shift, 1 / LARGEST_DEPTH, 1 / SMALLEST_DEPTH)
    return 1 / fitted


def relative_errors(prediction: np.ndarray, depth: np.ndarray) -> dict[str, float] | None:
    """The seven metrics of one image after alignment; None where no depth is known.

    Args:
        prediction: relative inverse depth [H, W], near is large.
        depth: metres [H, W], 0 where unknown.
    """
    known = depth > 0
    if known.sum() < 2:
        return None
    truth = depth[known]
    return asdict(depth_metrics(truth, align(prediction[known], truth)))


def mean_errors(errors: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric over images."""
    return {name: float(np.mean([each[name] for each in errors])) for name in METRIC_NAMES}


def whdr(
    prediction: np.ndarray, first: np.ndarray, second: np.ndarray, closer: np.ndarray
) -> float:
    """Share of ordinal labels that a prediction gets wrong (Chen et al., NeurIPS 2016).

    Args:
        prediction: relative inverse depth [H, W].
        first: pixels [N, 2], row and column.
        second: likewise.
        closer: [N], 1 where the first is nearer, -1 where the second is.
    """
    difference = prediction[tuple(first.T)] - prediction[tuple(second.T)]
    return float(np.mean(np.sign(difference) != closer))
