"""Odometry on KITTI: five-frame error, whole trajectories, drift; their files and their picture.

Snippets are measured as Zhou et al. (CVPR 2017) do. A trajectory is [N,4,4], float64: element i
takes points of camera i into the first camera's frame, or into the world's.
"""

from __future__ import annotations

import io
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from system.errors import InputError
from system.files import read_text, written_whole

if TYPE_CHECKING:
    from skimage.transform import EuclideanTransform

SNIPPET_FRAMES = 5
# Subsequences that drift is measured on, as KITTI's benchmark does: metres, and frames between
# their starts.
LENGTHS = (100, 200, 300, 400, 500, 600, 700, 800)
START_EVERY = 10


def measure(
    later_T_earlier: np.ndarray, truth: np.ndarray, with_scale: bool
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Compare predicted motions with the true trajectory, in metres.

    Args:
        later_T_earlier: [N-1,4,4], element i takes points of i into i + 1.
        truth: trajectory [N,4,4].
        with_scale: whether the scale is fitted; else it is what was predicted.

    Returns:
        The figures, ready for JSON; the trajectory [N,4,4] in metres; its positions [N,3] moved
        onto the true ones.
    """
    errors = snippet_errors(relative_poses(truth), later_T_earlier)
    trajectory, target = chain(later_T_earlier), truth[:, :3, 3]
    if with_scale:
        # On a line the fit may mirror what it moves, which has no effect on it.
        fit = fit_motion(trajectory[:, :3, 3], target, with_scale=True)
        trajectory = scaled(trajectory, abs(fit.scale))
    positions = trajectory[:, :3, 3]
    aligned = fit_motion(positions, target, with_scale=False)(positions)
    distances = np.linalg.norm(aligned - target, axis=1)
    figures = {
        "five_frame_error": {"mean": float(np.mean(errors)), "std": float(np.std(errors))},
        "absolute_error_metres": float(np.sqrt(np.mean(distances**2))),
    }
    drifts = drift(trajectory, truth)
    if drifts is not None:
        figures["drift"] = {"percent": drifts[0], "degrees_per_100_m": drifts[1]}
    return figures, trajectory, aligned


def report(result: dict[str, Any]) -> str:
    """The result as text for people."""
    what = result["footage"] if "footage" in result else f"sequence {result['sequence']}"
    first = f"{what}: {result['frames']} frames, scale {result['scale']}"
    if "length" in result:
        return f"{first}\nnot measured, without true poses; {result['length']:.2f} long"
    five = result["five_frame_error"]
    lines = [
        first,
        f"five-frame error {five['mean']:.4f} +- {five['std']:.4f} m (each snippet scaled)",
        f"absolute trajectory error {result['absolute_error_metres']:.3f} m after alignment",
    ]
    if "drift" in result:
        values = result["drift"]
        lines.append(
            f"drift {values['percent']:.2f} %, {values['degrees_per_100_m']:.2f} degrees per 100 m"
        )
    else:
        lines.append("drift: not measured, the sequence is shorter than 100 m")
    return "\n".join(lines)


def snippet_errors(
    gt_local: np.ndarray, pred_local: np.ndarray, frames: int = SNIPPET_FRAMES
) -> np.ndarray:
    """Return the trajectory error of the snippet that starts at each frame but the last.

    Args:
        gt_local: true relative poses [N,4,4]: element i takes points of frame i into frame
            i + 1, as published; a chain of them is a mirror of the camera's path.
        pred_local: predicted ones, of any scale.
        frames: length of a snippet. The last ``frames - 2`` snippets are shorter, as published.

    Returns:
        Errors [N], float64, in the unit of ``gt_local`` (see :func:`trajectory_error`).

    Raises:
        ValueError: the shapes are not both [N,4,4].
    """
    if gt_local.shape != pred_local.shape or gt_local.shape[1:] != (4, 4):
        raise ValueError(
            f"expected two [N,4,4] arrays of poses, got {gt_local.shape} and {pred_local.shape}"
        )
    errors = []
    for start in range(len(gt_local)):
        part = slice(start, start + frames - 1)
        positions = camera_positions(gt_local[part]), camera_positions(pred_local[part])
        errors.append(trajectory_error(*positions))
    return np.array(errors)


def camera_positions(local_poses: np.ndarray) -> np.ndarray:
    """Chain relative poses [N,4,4] into the positions [N+1,3] seen from the first frame."""
    return np.stack([*accumulate(local_poses, np.matmul, initial=np.eye(4))])[:, :3, 3]


def trajectory_error(gt_positions: np.ndarray, pred_positions: np.ndarray) -> float:
    """Return the error of a trajectory [N,3], scaled to fit the true one best.

    Both are moved to start at the same point. The error is the published one: the root of the
    sum of squares divided by N, not the root of the mean.
    """
    moved = pred_positions + (gt_positions[0] - pred_positions[0])
    squared_length = np.sum(moved**2)
    # A trajectory that stays at the origin has no scale to fit.
    scale = np.sum(gt_positions * moved) / squared_length if squared_length > 0 else 1.0
    return float(np.sqrt(np.sum((scale * moved - gt_positions) ** 2)) / len(gt_positions))


def chain(later_T_earlier: np.ndarray) -> np.ndarray:
    """Trajectory [N+1,4,4] of relative poses [N,4,4]; element i takes points of i into i + 1."""
    motions = map(np.linalg.inv, later_T_earlier)
    return np.stack([*accumulate(motions, np.matmul, initial=np.eye(4))])


def relative_poses(trajectory: np.ndarray) -> np.ndarray:
    """Undo :func:`chain`: [N-1,4,4] of a trajectory [N,4,4]."""
    return np.linalg.inv(trajectory[1:]) @ trajectory[:-1]


def length(trajectory: np.ndarray) -> float:
    """How long the way is."""
    return float(np.linalg.norm(np.diff(trajectory[:, :3, 3], axis=0), axis=1).sum())


def scaled(trajectory: np.ndarray, scale: float) -> np.ndarray:
    """The trajectory with all positions times ``scale``."""
    result = trajectory.copy()
    result[:, :3, 3] *= scale
    return result


def fit_motion(source: np.ndarray, target: np.ndarray, with_scale: bool) -> EuclideanTransform:
    """The least-squares motion of points [N,3] onto others (Umeyama, PAMI 1991), rigid or scaled.

    When it is called, it moves points [N,3].
    """
    from skimage.transform import SimilarityTransform, estimate_transform  # noqa: PLC0415 - slow

    motion = estimate_transform("similarity" if with_scale else "euclidean", source, target)
    if not motion or np.isnan(motion.params).any():  # one of both stands still
        shift = target.mean(axis=0) - source.mean(axis=0)
        motion = SimilarityTransform(translation=shift, dimensionality=3)
    return motion


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
        rows = np.loadtxt(io.StringIO(read_text(path)), dtype=np.float64, ndmin=2)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of poses") from None
    except (OSError, ValueError) as error:
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
    """Write lines ``seconds tx ty tz qx qy qz qw``, as the tools of TUM's benchmark read them.

    Of the two quaternions of a rotation it is that with qw >= 0.
    """
    from scipy.spatial.transform import Rotation  # noqa: PLC0415 - comes with scikit-image

    quaternions = Rotation.from_matrix(trajectory[:, :3, :3]).as_quat(canonical=True)
    with written_whole(path) as temporary:
        columns = np.column_stack([seconds, trajectory[:, :3, 3], quaternions])
        np.savetxt(temporary, columns, fmt="%.9f")


def plot_trajectories(
    positions: np.ndarray, truth: np.ndarray | None, path: Path, unit: str = "m"
) -> None:
    """Draw positions [N,3], and the true ones if known, from above, z (forward) up, as PNG."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow

    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    if truth is not None:
        axes.plot(truth[:, 0], truth[:, 2], "k-", label="truth")
    label = "predicted" if truth is None else "predicted, aligned"
    axes.plot(positions[:, 0], positions[:, 2], "C1-", label=label)
    axes.set(xlabel=f"x, {unit}", ylabel=f"z, {unit}", aspect="equal")
    axes.grid(alpha=0.3)
    axes.legend()
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
