from __future__ import annotations

import numpy as np
import pytest

from evaluation.metrics import (
    depth_by_scale_shift,
    depth_metrics,
    mean_errors,
    relative_errors,
)


def test_perfect_prediction():
    gt = np.array([1.0, 5.0, 80.0])
    assert depth_metrics(gt, gt) == (0, 0, 0, 0, 1, 1, 1)


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


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((0,), (0,))])
def test_what_cannot_be_compared_is_refused(shapes):
    gt, pred = (np.ones(shape) for shape in shapes)
    with pytest.raises(ValueError, match="shape"):
        depth_metrics(gt, pred)


DEPTH = np.random.default_rng(0).uniform(0.5, 9, (12, 16))


def test_the_truth_up_to_scale_and_shift_is_perfect():
    errors = relative_errors(7 / DEPTH + 3, DEPTH)
    assert errors["abs_rel"] == pytest.approx(0, abs=1e-9)
    assert errors["a1"] == 1


def test_the_fit_is_that_of_least_squares():
    prediction = 0.01 * np.random.default_rng(1).random(50) + 1 / DEPTH.ravel()[:50]
    depth = DEPTH.ravel()[:50]
    slope, intercept = np.polyfit(prediction, 1 / depth, 1)
    np.testing.assert_allclose(
        1 / depth_by_scale_shift(prediction, depth), slope * prediction + intercept, rtol=1e-6
    )


def test_unknown_pixels_do_not_count():
    some = DEPTH.copy()
    some[::2] = 0
    prediction = 1 / DEPTH
    prediction[::2] = 99
    assert relative_errors(prediction, some)["abs_rel"] == pytest.approx(0, abs=1e-9)
    assert relative_errors(prediction, 0 * DEPTH) is None
    one, two = ({"abs_rel": v} for v in (1.0, 3.0))
    rest = dict.fromkeys(("sq_rel", "rmse", "rmse_log", "a1", "a2", "a3"), 0.0)
    assert mean_errors([{**rest, **one}, {**rest, **two}])["abs_rel"] == 2


def test_predictions_beyond_the_farthest_are_taken_for_this_far():
    depth, prediction = np.full((4, 4), 5.0), np.full((4, 4), 1 / 20)
    errors = relative_errors(prediction, depth, farthest=10, alignment="none")
    assert errors["abs_rel"] == pytest.approx(1)
    assert errors["rmse_log"] == pytest.approx(np.log(2))


def test_only_the_pixels_that_count_are_fitted_and_measured():
    counted = np.zeros(DEPTH.shape, bool)
    counted[3:7, 2:9] = True
    prediction = np.where(counted, 2 / DEPTH - 1, 50)
    assert relative_errors(prediction, DEPTH, counted)["abs_rel"] == pytest.approx(0, abs=1e-9)
    assert relative_errors(prediction, DEPTH)["abs_rel"] > 0.01
