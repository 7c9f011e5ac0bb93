"""Where the frames and calibrations of a kind of data set lie: what training needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from datasets import kitti, kitti_odom
from datasets.kitti import Calibration


@dataclass(frozen=True)
class Layout:
    """A data set on disk.

    Attributes:
        frame_path: from (data_path, folder, frame, side, extension) to an image.
        calibration_folder: from (data_path, folder) to the folder that holds its calibration.
        calibration_file: name of the file in there.
        read_calibration: from that folder to its cameras.
    """

    frame_path: Callable[[Path, str, int, str, str], Path]
    calibration_folder: Callable[[Path, str], Path]
    calibration_file: str
    read_calibration: Callable[[Path], Calibration]


LAYOUTS = {
    "kitti": Layout(
        kitti.frame_path, kitti.day_folder, "calib_cam_to_cam.txt", kitti.read_calibration
    ),
    "kitti_odom": Layout(
        kitti_odom.frame_path,
        kitti_odom.calibration_folder,
        kitti_odom.CALIBRATION_FILE,
        kitti_odom.read_calibration,
    ),
}
