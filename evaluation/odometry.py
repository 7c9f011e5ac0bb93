"""Odometry on KITTI, measured on short snippets as Zhou et al. (CVPR 2017) do."""

from __future__ import annotations

import numpy as np

SNIPPET_FRAMES = 5


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
    steps = frames - 1
    return np.array(
        [
            trajectory_error(
                camera_positions(gt_local[start : start + steps]),
                camera_positions(pred_local[start : start + steps]),
            )
            for start in range(len(gt_local))
        ]
    )


def camera_positions(local_poses: np.ndarray) -> np.ndarray:
    """Chain relative poses [N,4,4] into the positions [N+1,3] seen from the first frame."""
    first_T_camera = np.eye(4)
    positions = [first_T_camera[:3, 3]]
    for pose in local_poses:
        first_T_camera = first_T_camera @ pose
        positions.append(first_T_camera[:3, 3])
    return np.stack(positions)


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
