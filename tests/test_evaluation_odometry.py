from __future__ import annotations

import numpy as np
import pytest

from evaluation.odometry import camera_positions, snippet_errors, trajectory_error


def forward(metres: float, yaw: float = 0.0) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = [
        [np.cos(yaw), 0, np.sin(yaw)],
        [0, 1, 0],
        [-np.sin(yaw), 0, np.cos(yaw)],
    ]
    pose[2, 3] = metres
    return pose


def test_positions_chain_the_poses():
    quarter_turn = np.pi / 2
    positions = camera_positions(np.array([forward(2, quarter_turn), forward(3)]))
    np.testing.assert_allclose(positions, [[0, 0, 0], [0, 0, 2], [3, 0, 2]], atol=1e-12)


def test_scale_does_not_matter():
    gt = np.array([forward(1, 0.1)] * 6)
    pred = gt.copy()
    pred[:, :3, 3] *= 0.07
    np.testing.assert_allclose(snippet_errors(gt, pred), 0, atol=1e-12)


def test_error_by_hand():
    gt = np.array([[0.0, 0, 0], [0, 0, 2], [0, 0, 4]])
    sideways = np.array([[0.0, 0, 0], [0, 0, 2], [2, 0, 4]])
    scale = 20 / 24  # sum(gt * pred) / sum(pred ** 2)
    error = np.sqrt(((scale * sideways - gt) ** 2).sum()) / 3
    assert trajectory_error(gt, sideways) == pytest.approx(error)
    assert trajectory_error(gt, sideways - 3) == pytest.approx(error)  # the start does not count


def test_motionless_prediction_has_an_error_not_nan():
    gt = np.array([[0.0, 0, 0], [0, 0, 3]])
    assert trajectory_error(gt, np.zeros((2, 3))) == pytest.approx(3 / 2)


def test_last_snippets_are_shorter():
    gt = np.array([forward(1)] * 6)
    pred = gt.copy()
    pred[5] = forward(1, 1.0)  # the rotation of the last step moves no position
    assert snippet_errors(gt, pred).shape == (6,)
    pred[5, 0, 3] = 1.0
    errors = snippet_errors(gt, pred)
    np.testing.assert_allclose(errors[:2], 0, atol=1e-12)
    # Two positions: (0, 0, 1) against (1, 0, 1) at the best scale, 1/2.
    assert errors[5] == pytest.approx(np.sqrt(0.5) / 2)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"\[N,4,4\]"):
        snippet_errors(np.zeros((3, 4, 4)), np.zeros((4, 4, 4)))
