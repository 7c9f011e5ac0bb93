"""Odometry: five-frame error; trajectories, their fit, KITTI's drift, and files."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.odometry import (
    camera_positions,
    chain,
    drift,
    fit_motion,
    measure,
    read_trajectory,
    relative_poses,
    scaled,
    snippet_errors,
    trajectory_error,
    write_kitti,
    write_tum,
)
from system.errors import InputError


def rotation_about_y(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def drive(frames=1200, step=1.0, turn=0.0):
    """A car that drives ``step`` metres forward per frame and turns by ``turn`` radians."""
    motion = np.eye(4)
    motion[:3, :3], motion[2, 3] = rotation_about_y(turn), step
    poses = [np.eye(4)]
    for _ in range(frames - 1):
        poses.append(poses[-1] @ motion)
    return np.stack(poses)


def random_rotation(rng):
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q *= np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def test_relative_poses_chain_to_the_trajectory():
    trajectory = drive(50, turn=0.03)
    np.testing.assert_allclose(chain(relative_poses(trajectory)), trajectory, atol=1e-9)
    # A point 5 m ahead of the earlier camera is 4 m ahead of the later one.
    later_T_earlier = relative_poses(drive(2))[0]
    np.testing.assert_allclose(later_T_earlier @ [0, 0, 5, 1], [0, 0, 4, 1], atol=1e-12)


@pytest.mark.parametrize("with_scale", [True, False])
def test_the_fit_recovers_a_known_motion(with_scale):
    rng = np.random.default_rng(0)
    points, rotation = rng.standard_normal((40, 3)), random_rotation(rng)
    scale = 2.5 if with_scale else 1.0
    target = scale * points @ rotation.T + [1, -2, 3]
    found = fit_motion(points, target, with_scale)
    np.testing.assert_allclose(found.params[:3, :3], scale * rotation, atol=1e-9)
    np.testing.assert_allclose(found(points), target, atol=1e-9)


def test_the_fit_does_not_mirror():
    points = np.random.default_rng(1).standard_normal((30, 3))
    found = fit_motion(points, points * [1, 1, -1], with_scale=False)
    assert np.linalg.det(found.params[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("with_scale", [True, False])
@pytest.mark.parametrize("direction", [[0, 0, 1], [0.3, -1.2, 0.5]])
def test_points_on_a_line_are_fitted(direction, with_scale):
    line = np.arange(20)[:, None] * np.array(direction)
    turned = line @ random_rotation(np.random.default_rng(2)).T + 5
    found = fit_motion(line / 4 if with_scale else line, turned, with_scale)
    np.testing.assert_allclose(found(line / 4 if with_scale else line), turned, atol=1e-9)


@pytest.mark.parametrize("with_scale", [True, False])
def test_points_that_all_coincide_are_moved_to_the_middle(with_scale):
    target = np.random.default_rng(3).standard_normal((10, 3))
    found = fit_motion(np.ones((10, 3)), target, with_scale)
    np.testing.assert_allclose(found(np.ones((10, 3))), np.tile(target.mean(0), (10, 1)))


def test_the_absolute_error_is_what_no_motion_can_explain():
    driven = drive(100, turn=0.02)
    truth = driven.copy()
    truth[:, :3] = rotation_about_y(1.0) @ driven[:, :3]
    truth[:, :3, 3] += 7
    figures, trajectory, aligned = measure(relative_poses(driven), truth, with_scale=False)
    assert figures["absolute_error_metres"] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(trajectory, driven, atol=1e-9)
    np.testing.assert_allclose(aligned, truth[:, :3, 3], atol=1e-9)
    truth[::2, 1, 3] += 0.1
    truth[1::2, 1, 3] -= 0.1
    figures, _, _ = measure(relative_poses(driven), truth, with_scale=False)
    assert figures["absolute_error_metres"] == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("turn", [0, 0.02])
def test_a_fitted_scale_is_that_of_the_truth(turn):
    truth = drive(100, turn=turn)
    figures, trajectory, aligned = measure(relative_poses(scaled(truth, 0.07)), truth, True)
    assert figures["five_frame_error"]["mean"] == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(trajectory, truth, atol=1e-9)
    np.testing.assert_allclose(aligned, truth[:, :3, 3], atol=1e-9)


def test_one_percent_of_scale_is_one_percent_of_drift():
    truth = drive()
    percent, degrees = drift(scaled(truth, 1.01), truth)
    # A subsequence ends at the first frame beyond its length: 101 m for 100 m.
    lengths = np.arange(100, 900, 100)
    assert percent == pytest.approx(np.mean(0.01 * (lengths + 1) / lengths * 100), rel=0.02)
    assert degrees == pytest.approx(0, abs=1e-6)
    assert drift(truth, truth) == pytest.approx((0, 0), abs=1e-4)


def test_a_constant_turn_is_drift_of_rotation():
    truth, turn = drive(), np.radians(0.001)
    _, degrees = drift(drive(turn=turn), truth)
    assert degrees == pytest.approx(0.1, rel=0.02)  # 0.001 degrees per metre


def test_a_short_drive_has_no_drift():
    assert drift(drive(90), drive(90)) is None


def test_files_return_what_was_written(tmp_path):
    trajectory = drive(20, turn=0.1)
    write_kitti(tmp_path / "k.txt", trajectory)
    np.testing.assert_allclose(read_trajectory(tmp_path / "k.txt"), trajectory, atol=1e-8)
    seconds = np.arange(20) / 10
    write_tum(tmp_path / "t.txt", trajectory, seconds)
    rows = np.loadtxt(tmp_path / "t.txt")
    np.testing.assert_allclose(rows[:, 0], seconds)
    np.testing.assert_allclose(rows[:, 1:4], trajectory[:, :3, 3], atol=1e-8)
    np.testing.assert_allclose(rows[5, 4:], [0, np.sin(0.25), 0, np.cos(0.25)], atol=1e-8)


def test_quaternions_are_those_of_the_rotations(tmp_path):
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (6, 1, 1))
    poses[:5, :3, :3] = [random_rotation(rng) for _ in range(5)]
    poses[5, :3, :3] = np.diag([1.0, -1, -1])
    write_tum(tmp_path / "t.txt", poses, np.arange(6))
    quaternions = np.loadtxt(tmp_path / "t.txt")[:, 4:]
    x, y, z, w = quaternions.T
    again = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    np.testing.assert_allclose(np.moveaxis(again, 2, 0), poses[:, :3, :3], atol=1e-8)
    assert (w >= 0).all()
    np.testing.assert_allclose(quaternions[5], [1, 0, 0, 0], atol=1e-8)


@pytest.mark.parametrize("content", ["", "1 2 3\n4 5 6\n", "a b\n", "1 " * 12, "nan " * 12 + "\n"])
def test_files_of_something_else_are_refused(content, tmp_path):
    (tmp_path / "p.txt").write_text(content)
    with pytest.raises(InputError, match=r"p\.txt"):
        read_trajectory(tmp_path / "p.txt")
    with pytest.raises(InputError, match="no such file"):
        read_trajectory(tmp_path / "gone.txt")


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
