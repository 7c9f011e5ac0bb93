"""Where the frames and calibrations of a kind of data set lie: what training needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from datasets import archives, camera_file, kitti, kitti_odom, own_frames
from datasets.kitti import Calibration


@dataclass(frozen=True)
class Layout:
    """A data set on disk.

    Attributes:
        drive_folder: from (data_path, folder of a split) to the folder of a drive or sequence.
        frame_path: from (data_path, folder, frame, side, extension) to an image.
        calibration_folder: from (data_path, folder) to the folder that holds its calibration.
        calibration_file: name of the file in there.
        read_calibration: from that folder to its cameras.
        archive: from the folder of a split to the archive to fetch for its images, if known.
        calibration_archive: likewise for its calibration.
    """

    drive_folder: Callable[[Path, str], Path]
    frame_path: Callable[[Path, str, int, str, str], Path]
    calibration_folder: Callable[[Path, str], Path]
    calibration_file: str
    read_calibration: Callable[[Path], Calibration]
    archive: Callable[[str], str | None]
    calibration_archive: Callable[[str], str | None]


LAYOUTS = {
    "kitti": Layout(
        kitti.drive_folder,
        kitti.frame_path,
        kitti.day_folder,
        "calib_cam_to_cam.txt",
        kitti.read_calibration,
        archives.archive_of_drive,
        archives.archive_of_day,
    ),
    "kitti_odom": Layout(
        kitti_odom.drive_folder,
        kitti_odom.frame_path,
        kitti_odom.drive_folder,
        kitti_odom.CALIBRATION_FILE,
        kitti_odom.read_calibration,
        archives.archive_of_sequence,
        archives.archive_of_sequence_calibration,
    ),
    "frames": Layout(
        own_frames.drive_folder,
        own_frames.frame_path,
        own_frames.calibration_folder,
        camera_file.CAMERA_FILE,
        own_frames.read_calibration,
        archives.no_archive,
        archives.no_archive,
    ),
}
