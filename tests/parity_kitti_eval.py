"""Reference check of the evaluation: LiDAR maps, depth metrics, post-processing and odometry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from datasets.kitti import day_folder, read_calibration, sweep_path
from datasets.lidar import project_sweep, read_sweep
from evaluation.ground_truth import FORWARD
from evaluation.metrics import METRIC_NAMES
from evaluation.odometry import snippet_errors
from evaluation.protocols import eigen_protocol, join_flipped, score
from tests.figures import Figure, compare

DEPTH_TOLERANCE = 1e-4
METRIC_TOLERANCE = 1e-5
POST_PROCESS_TOLERANCE = 1e-6
ODOMETRY_TOLERANCE = 1e-6

SIDE_OF_CAMERA = {"cam2": "l", "cam3": "r"}


def check_kitti_eval(arrays: Mapping[str, np.ndarray], kitti_root: Path) -> Iterator[Figure]:
    """Yield every figure of a file laid out like ``kitti_eval_seed0.npz``.

    A figure whose arrays or KITTI files are missing or do not fit is yielded as a failed one.
    """
    for name, check in (
        ("lidar", lambda: _check_lidar(arrays, kitti_root)),
        ("metrics", lambda: _check_metrics(arrays, kitti_root)),
        ("post_processed", lambda: _check_post_processed(arrays)),
        ("odom", lambda: _check_odometry(arrays)),
    ):
        try:
            yield from check()
        except KeyError as error:
            yield _failed(f"{name}: missing {error}")
        except (ValueError, IndexError) as error:  # arrays or KITTI files that do not fit
            yield _failed(f"{name}: {error}")


def _failed(name: str) -> Figure:
    return Figure(name, np.nan, np.nan, np.inf, 0.0)


def _sparse_map(
    arrays: Mapping[str, np.ndarray], kitti_root: Path, frame: int, side: str, forward: bool
) -> np.ndarray:
    drive = str(arrays["drive"])
    calibration = read_calibration(day_folder(kitti_root, drive), with_lidar=True)
    sweep = read_sweep(sweep_path(kitti_root, drive, frame))
    return project_sweep(sweep, calibration, side, forward)


def _check_lidar(arrays: Mapping[str, np.ndarray], kitti_root: Path) -> Iterator[Figure]:
    for frame in arrays["frames"]:
        for camera, side in SIDE_OF_CAMERA.items():
            for forward in (True, False):
                name = f"lidar/{frame}/{camera}/vel_depth_{forward}"
                keys = (f"{name}/index", f"{name}/depth")
                missing = [key for key in keys if key not in arrays]
                if missing:
                    yield _failed(f"missing {', '.join(missing)}")
                    continue
                depth = _sparse_map(arrays, kitti_root, int(frame), side, forward).ravel()
                expected = np.zeros_like(depth)
                expected[arrays[keys[0]]] = arrays[keys[1]]
                yield compare(keys[0], np.flatnonzero(depth), arrays[keys[0]], 0.0)
                yield compare(keys[1], depth, expected, DEPTH_TOLERANCE)


def _check_metrics(arrays: Mapping[str, np.ndarray], kitti_root: Path) -> Iterator[Figure]:
    names = [str(frame) for frame in arrays["frames"]]
    ground_truth = [_sparse_map(arrays, kitti_root, int(name), "l", True) for name in names]
    for mode in ("mono", "stereo"):
        protocol = eigen_protocol(FORWARD, stereo=mode == "stereo")
        scores = score(arrays["pred_disp"], ground_truth, protocol, names)
        for figure, got in (
            ("per_image", scores.per_image),
            ("mean", np.array(list(scores.mean().values()))),
        ):
            key = f"metrics/{mode}/{figure}"
            if key not in arrays:
                yield _failed(f"missing {key}")
                continue
            for column, metric in enumerate(METRIC_NAMES):
                yield compare(
                    f"{key}/{metric}", got[..., column], arrays[key][..., column], METRIC_TOLERANCE
                )


def _check_post_processed(arrays: Mapping[str, np.ndarray]) -> Iterator[Figure]:
    flipped_back = arrays["pred_disp_of_flipped_image"][..., ::-1]
    joined = join_flipped(arrays["pred_disp"], flipped_back)
    yield compare("post_processed", joined, arrays["post_processed"], POST_PROCESS_TOLERANCE)


def _check_odometry(arrays: Mapping[str, np.ndarray]) -> Iterator[Figure]:
    got = snippet_errors(arrays["odom/gt_local"], arrays["odom/pred_local"])
    yield compare("odom/ate", got, arrays["odom/ate"], ODOMETRY_TOLERANCE)
