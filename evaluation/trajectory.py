"""Whole trajectories: files, alignment, absolute error and drift.

A trajectory is [N,4,4], float64: element i takes points of camera i into the first camera's frame,
or into the world's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from errors import InputError
from files import written_whole

# Subsequences that drift is measured on, as KITTI's benchmark does: metres, and frames between
# their starts.
LENGTHS = (100, 200, 300, 400, 500, 600, 700, 800)
START_EVERY = 10


def chain(later_T_earlier: np.ndarray) -> np.ndarray:
    """Trajectory [N+1,4,4] of relative poses [N,4,4]; element i takes points of i into i + 1."""
    poses = [np.eye(4)]
    for pose in later_T_earlier:
        poses.append(poses[-1] @ np.linalg.inv(pose))
    return np.stack(poses)


def relative_poses(trajectory: np.ndarray) -> np.ndarray:
    """Undo :func:`chain`: [N-1,4,4] of a trajectory [N,4,4]."""
    return np.linalg.inv(trajectory[1:]) @ trajectory[:-1]


def scaled(trajectory: np.ndarray, scale: float) -> np.ndarray:
    """The trajectory with all positions times ``scale``."""
    result = trajectory.copy()
    result[:, :3, 3] *= scale
    return result


@dataclass(frozen=True)
class Alignment:
    """What takes one trajectory's points to another's: x to scale * rotation @ x + translation."""

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Points [N,3] moved."""
        return self.scale * points @ self.rotation.T + self.translation


def align(source: np.ndarray, target: np.ndarray, with_scale: bool) -> Alignment:
    """The least-squares alignment of points [N,3] with others (Umeyama, PAMI 1991).

    Args:
        source: points to be moved.
        target: where they should be.
        with_scale: whether they may be scaled too; else the motion is rigid.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centred = source - source_mean
    covariance = (target - target_mean).T @ centred / len(source)
    U, singular, Vt = np.linalg.svd(covariance)
    signs = np.ones(3)
    signs[2] = np.sign(np.linalg.det(U) * np.linalg.det(Vt)) or 1.0
    rotation = U @ np.diag(signs) @ Vt
    variance = np.mean(np.sum(centred**2, axis=1))
    scale = float(singular @ signs / variance) if with_scale and variance > 0 else 1.0
    return Alignment(scale, rotation, target_mean - scale * rotation @ source_mean)


def absolute_error(trajectory: np.ndarray, truth: np.ndarray, alignment: Alignment) -> float:
    """Root mean square distance of aligned positions from the true ones, unit of ``truth``."""
    moved = alignment.apply(trajectory[:, :3, 3])
    return float(np.sqrt(np.mean(np.sum((moved - truth[:, :3, 3]) ** 2, axis=1))))


def drift(trajectory: np.ndarray, truth: np.ndarray) -> tuple[float, float] | None:
    """KITTI's drift: translation error in percent, and rotation error in degrees per 100 m.

    Means over all subsequences of :data:`LENGTHS` metres; None when the drive is shorter.
    """
    steps = np.linalg.norm(np.diff(truth[:, :3, 3], axis=0), axis=1)
    distance = np.concatenate([[0.0], np.cumsum(steps)])
    translation_errors, rotation_errors = [], []
    for first in range(0, len(truth), START_EVERY):
        for length in LENGTHS:
            last = int(np.searchsorted(distance, distance[first] + length, side="right"))
            if last >= len(truth):
                break
            moved = np.linalg.inv(trajectory[first]) @ trajectory[last]
            moved_truly = np.linalg.inv(truth[first]) @ truth[last]
            error = np.linalg.inv(moved) @ moved_truly
            # |R - 1| is 2 sqrt(2) times the sine of half the angle; sound for small angles too.
            half_sine = np.linalg.norm(error[:3, :3] - np.eye(3)) / np.sqrt(8)
            translation_errors.append(np.linalg.norm(error[:3, 3]) / length)
            rotation_errors.append(np.degrees(2 * np.arcsin(min(half_sine, 1.0))) / length)
    if not translation_errors:
        return None
    return 100 * float(np.mean(translation_errors)), 100 * float(np.mean(rotation_errors))


def read_trajectory(path: Path) -> np.ndarray:
    """Read a file of KITTI's format: 12 numbers per line, the first three rows of a pose.

    Raises:
        InputError: the file is missing, or holds something else.
    """
    try:
        rows = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of poses") from None
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as poses ({error})") from error
    if rows.shape[1:] != (12,) or len(rows) < 2 or not np.isfinite(rows).all():
        raise InputError(f"{path}: needs two lines or more of 12 finite numbers each")
    poses = np.tile(np.eye(4), (len(rows), 1, 1))
    poses[:, :3] = rows.reshape(-1, 3, 4)
    return poses


def write_kitti(path: Path, trajectory: np.ndarray) -> None:
    """Write what :func:`read_trajectory` reads."""
    with written_whole(path) as temporary:
        np.savetxt(temporary, trajectory[:, :3].reshape(-1, 12), fmt="%.9e")


def write_tum(path: Path, trajectory: np.ndarray, seconds: np.ndarray) -> None:
    """Write lines ``seconds tx ty tz qx qy qz qw``, as the tools of TUM's benchmark read them."""
    quaternions = np.stack([quaternion(pose[:3, :3]) for pose in trajectory])
    with written_whole(path) as temporary:
        columns = np.column_stack([seconds, trajectory[:, :3, 3], quaternions])
        np.savetxt(temporary, columns, fmt="%.9f")


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """A rotation matrix as unit quaternion (x, y, z, w), w not negative."""
    # The eigenvector of the largest eigenvalue (Bar-Itzhack, 2000): sound for every rotation.
    (a, b, c), (d, e, f), (g, h, i) = rotation
    K = np.array(
        [
            [a - e - i, b + d, c + g, h - f],
            [b + d, e - a - i, f + h, c - g],
            [c + g, f + h, i - a - e, d - b],
            [h - f, c - g, d - b, a + e + i],
        ]
    )
    _, vectors = np.linalg.eigh(K / 3)
    result = vectors[:, -1]
    return -result if result[3] < 0 else result
