from __future__ import annotations

import numpy as np
import pytest

from evaluation.metrics import METRIC_NAMES, depth_metrics


def test_perfect_prediction():
    gt = np.array([1.0, 5.0, 80.0])
    assert depth_metrics(gt, gt).as_array().tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_by_hand():
    metrics = depth_metrics(np.array([2.0, 4.0]), np.array([1.0, 4.0]))
    assert metrics.abs_rel == pytest.approx((1 / 2 + 0) / 2)
    assert metrics.sq_rel == pytest.approx((1 / 2 + 0) / 2)
    assert metrics.rmse == pytest.approx(np.sqrt(1 / 2))
    assert metrics.rmse_log == pytest.approx(np.log(2) / np.sqrt(2))
    assert (metrics.a1, metrics.a2, metrics.a3) == (0.5, 0.5, 0.5)


def test_accuracies_are_strict_powers_of_1_25_in_both_directions():
    gt = np.array([1.0, 1.0, 1.0, 1.2])
    pred = np.array([1.25, 1.5, 1.9, 1.0])
    metrics = depth_metrics(gt, pred)
    assert (metrics.a1, metrics.a2, metrics.a3) == (0.25, 0.75, 1.0)


def test_errors_divide_by_the_truth():
    near_truth = depth_metrics(np.array([1.0]), np.array([3.0]))
    far_truth = depth_metrics(np.array([3.0]), np.array([1.0]))
    assert (near_truth.abs_rel, near_truth.sq_rel) == (2.0, 4.0)
    assert far_truth.abs_rel == pytest.approx(2 / 3)
    assert far_truth.sq_rel == pytest.approx(4 / 3)


def test_names_are_in_the_order_of_the_array():
    metrics = depth_metrics(np.array([2.0, 9.0]), np.array([3.0, 7.0]))
    assert [getattr(metrics, name) for name in METRIC_NAMES] == metrics.as_array().tolist()


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((0,), (0,))])
def test_what_cannot_be_compared_is_refused(shapes):
    gt, pred = (np.ones(shape) for shape in shapes)
    with pytest.raises(ValueError, match="shape"):
        depth_metrics(gt, pred)
