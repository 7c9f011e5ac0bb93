"""LiDAR depth: reading a sweep, projecting it into a camera, and KITTI's improved depth maps."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from datasets.depth_files import KITTI_STEPS, known_depth, read_depth
from datasets.kitti import Calibration, improved_depth_path, sweep_path
from datasets.splits import SplitLine
from system.cpu_math import MOST_PRODUCTS
from system.errors import InputError
from system.files import read_bytes

BYTES_PER_POINT = 16
POINTS_AT_ONCE = MOST_PRODUCTS // (3 * 4)  # that a matrix [3, 4] projects


def truth_paths(data_path: Path, lines: Iterable[SplitLine], improved: bool) -> list[Path]:
    """The file that the ground truth of each frame is made of: its sweep, or its improved depth."""
    if improved:
        return [improved_depth_path(data_path, n.folder, n.frame, n.side) for n in lines]
    return [sweep_path(data_path, line.folder, line.frame) for line in lines]


def read_sweep(path: Path) -> np.ndarray:
    """Read a sweep: float32 [N,4], x forward, y left, z up in metres, and reflectance.

    Raises:
        InputError: the file is missing or empty, or its size is not that of whole points.
    """
    try:
        content = read_bytes(path)
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such LiDAR sweep; KITTI's raw data holds it beside the images"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) % BYTES_PER_POINT:
        raise InputError(
            f"{path}: {len(content)} bytes are no whole number of points of {BYTES_PER_POINT} "
            f"bytes; the file is truncated, fetch it again"
        )
    if not content:
        raise InputError(f"{path}: is empty; fetch it again")
    return np.frombuffer(content, "<f4").reshape(-1, 4)


def read_improved_depth(path: Path) -> np.ndarray:
    """Read a map of KITTI's improved depth (Uhrig et al., 3DV 2017).

    Returns:
        Depth in metres, float32 [H,W], 0 where unknown; the file holds 1/256 m in 16 bits.

    Raises:
        InputError: the file is missing, damaged, or no 16-bit PNG.
    """
    if not path.exists():
        raise InputError(
            f"{path}: no such file; KITTI gives the improved depth as a separate download: unzip "
            "data_depth_annotated.zip into --data_path"
        )
    return read_depth(path, KITTI_STEPS)


def project_sweep(
    points: np.ndarray, calibration: Calibration, side: str, forward_depth: bool
) -> np.ndarray:
    """Project a sweep into one camera as KITTI's tools and the Eigen ground truth do.

    Args:
        points: [N,4] sweep in LiDAR coordinates.
        calibration: read ``with_lidar``.
        side: ``l`` or ``r``.
        forward_depth: store the LiDAR's forward coordinate, about 0.27 m more than the camera's
            depth. The Eigen ground truth does, so every paper is measured that way.

    Returns:
        Depth in metres, float32 [H,W], 0 where no point falls.
    """
    if calibration.velo_to_camera is None:
        raise ValueError("the calibration was read without the LiDAR's pose (with_lidar=True)")
    # The published size of both cameras' maps is the left camera's.
    width, height = calibration.image_size["l"]
    in_front = points.take(np.flatnonzero(points[:, 0] >= 0), axis=0)
    rectified = calibration.projection[side] @ calibration.rectification
    homogeneous = np.column_stack([in_front[:, :3], np.ones(len(in_front))])
    matrix = (rectified @ calibration.velo_to_camera).T
    projected = np.empty((len(in_front), 3))
    for first in range(0, len(in_front), POINTS_AT_ONCE):
        some = slice(first, first + POINTS_AT_ONCE)
        np.matmul(homogeneous[some], matrix, out=projected[some])
    depth = projected[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):  # points in the camera's own plane
        # KITTI's Matlab tools count pixels from 1.
        column, row = np.round(projected[:, :2] / depth[:, None]).T - 1
    if forward_depth:
        depth = in_front[:, 0].astype(np.float64)
    inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
    return _keep_nearest(
        depth[inside], column[inside].astype(np.intp), row[inside].astype(np.intp), width, height
    )


def _keep_nearest(
    depth: np.ndarray, column: np.ndarray, row: np.ndarray, width: int, height: int
) -> np.ndarray:
    """Scatter known depth into [H,W], keeping the nearest of the points that share a pixel.

    The published export tells pixels apart by ``row * (width - 1) + column``, which takes the
    last pixel of a row and the first of the next for one: the one met first gets the nearest
    depth of both, the other keeps its last point. Kept, because the benchmark is made so.
    """
    sparse = np.zeros((height, width), np.float32)
    sparse[row, column] = known_depth(depth)
    pixel = row * (width - 1) + column
    _, first, group = np.unique(pixel, return_index=True, return_inverse=True)
    nearest = np.full(len(first), np.inf)
    np.minimum.at(nearest, group.ravel(), depth)
    sparse[row[first], column[first]] = known_depth(nearest)
    return sparse
