"""Trajectories: alignment, absolute error, KITTI's drift, and files."""

from __future__ import annotations

import numpy as np
import pytest

from errors import InputError
from evaluation.trajectory import (
    absolute_error,
    align,
    chain,
    drift,
    quaternion,
    read_trajectory,
    relative_poses,
    scaled,
    write_kitti,
    write_tum,
)


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
def test_alignment_recovers_a_known_motion(with_scale):
    rng = np.random.default_rng(0)
    points, rotation = rng.standard_normal((40, 3)), random_rotation(rng)
    scale = 2.5 if with_scale else 1.0
    target = scale * points @ rotation.T + [1, -2, 3]
    found = align(points, target, with_scale)
    assert found.scale == pytest.approx(scale)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-9)
    np.testing.assert_allclose(found.apply(points), target, atol=1e-9)


def test_alignment_does_not_mirror():
    points = np.random.default_rng(1).standard_normal((30, 3))
    found = align(points, points * [1, 1, -1], with_scale=False)
    assert np.linalg.det(found.rotation) == pytest.approx(1)


def test_absolute_error_is_what_alignment_cannot_explain():
    truth = drive(100, turn=0.02)
    moved = truth.copy()
    moved[:, :3] = (rotation_about_y(1.0) @ truth[:, :3]) * 1.0
    moved[:, :3, 3] += 7
    rigid = align(moved[:, :3, 3], truth[:, :3, 3], with_scale=False)
    assert absolute_error(moved, truth, rigid) == pytest.approx(0, abs=1e-9)
    shaken = truth.copy()
    shaken[::2, 1, 3] += 0.1
    shaken[1::2, 1, 3] -= 0.1
    level = align(truth[:, :3, 3], truth[:, :3, 3], with_scale=False)
    assert absolute_error(shaken, truth, level) == pytest.approx(0.1)


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


@pytest.mark.parametrize("seed", range(5))
def test_quaternions_are_those_of_the_rotation(seed):
    rotation = random_rotation(np.random.default_rng(seed))
    x, y, z, w = quaternion(rotation)
    again = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    np.testing.assert_allclose(again, rotation, atol=1e-12)
    np.testing.assert_allclose(quaternion(np.diag([1.0, -1, -1])), [1, 0, 0, 0], atol=1e-12)


@pytest.mark.parametrize("content", ["", "1 2 3\n4 5 6\n", "a b\n", "1 " * 12, "nan " * 12 + "\n"])
def test_files_of_something_else_are_refused(content, tmp_path):
    (tmp_path / "p.txt").write_text(content)
    with pytest.raises(InputError, match=r"p\.txt"):
        read_trajectory(tmp_path / "p.txt")
    with pytest.raises(InputError, match="no such file"):
        read_trajectory(tmp_path / "gone.txt")
