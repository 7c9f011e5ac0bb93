"""Predictions in the form that KITTI's depth prediction benchmark takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from datasets.splits import published_lines
from errors import InputError
from files import make_writable_folder, written_whole

BENCHMARK = "benchmark"
IMAGES = Path("depth_selection", "test_depth_prediction_anonymous", "image")
WIDTH, HEIGHT = 1216, 352  # of all test images
FARTHEST_METRES = 80
UNITS_PER_METRE = 256


def benchmark_images(data_path: Path) -> list[Path]:
    """The benchmark's test images, in order.

    Raises:
        InputError: they are not all in ``data_path``.
    """
    count = len(published_lines(BENCHMARK, "test"))
    paths = [data_path / IMAGES / f"{index:010d}.png" for index in range(count)]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise InputError(
            f"{missing[0]} and {len(missing) - 1} more: no such images; unpack KITTI's "
            "data_depth_selection.zip into --data_path"
        )
    return paths


def write_submission(
    disparities: Iterable[np.ndarray], paths: Sequence[Path], metres_per_unit: float, out: Path
) -> None:
    """Write one 16-bit PNG per image into ``out``: depth in 1/256 m, at most 80 m, as published.

    Args:
        disparities: scaled disparities [h,w], one per path.
        paths: of the images, whose names the predictions get.
        metres_per_unit: of the model's depth.
        out: folder to write to.
    """
    make_writable_folder(out, "give another place with --eval_out_dir")
    for path, disparity in zip(paths, disparities):
        resized = cv2.resize(np.asarray(disparity, np.float32), (WIDTH, HEIGHT))
        depth = np.clip(metres_per_unit / resized, 0, FARTHEST_METRES)
        _, png = cv2.imencode(".png", (depth * UNITS_PER_METRE).astype(np.uint16))
        with written_whole(out / path.name) as temporary:
            temporary.write_bytes(png.tobytes())
