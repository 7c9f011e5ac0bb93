"""Where the frames and calibrations of a kind of data set lie, and which archives hold them.

Frames of one's own lie as ``python -m datasets.prepare`` lays them out: ``camera.json``,
``splits/``, and a folder per clip of neighbouring frames, ``clip_000/left/0000000000.jpg`` and, of
a stereo pair, ``clip_000/right/0000000000.jpg``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable

import numpy as np

from datasets import kitti, kitti_odom
from datasets.camera import CAMERA_FILE, read_camera_file
from datasets.kitti import Calibration

FOLDER_OF_SIDE = {"l": "left", "r": "right"}
SPLITS = "splits"
PREPARED = "prepared"

URL = "https://s3.eu-central-1.amazonaws.com/avg-kitti"
DRIVE = re.compile(r"(\d{4}_\d{2}_\d{2})/(\1_drive_\d{4})_sync")
LAST_SEQUENCE = 21  # of KITTI odometry; the first eleven have poses


def archive_of_drive(folder: str) -> str | None:
    """The archive of a drive by its folder in a split; None when it is not one of KITTI raw."""
    match = DRIVE.fullmatch(folder)
    return f"{URL}/raw_data/{match[2]}/{match[2]}_sync.zip" if match else None


def archive_of_day(folder: str) -> str | None:
    """The archive with the calibration of a drive's day; None when it is not one of KITTI raw."""
    match = DRIVE.fullmatch(folder)
    return f"{URL}/raw_data/{match[1]}_calib.zip" if match else None


def archive_of_sequence(sequence: str, part: str = "color") -> str | None:
    """KITTI odometry's archive of a sequence's images, of its ``calib``, or of its ``poses``.

    None when there is no sequence of that number.
    """
    known = sequence.isascii() and sequence.isdecimal() and int(sequence) <= LAST_SEQUENCE
    return f"{URL}/data_odometry_{part}.zip" if known else None


def no_archive(_clip: str) -> None:
    """Of frames that cannot be fetched."""


def clip_frame_path(data_path: Path, folder: str, frame: int, side: str, extension: str) -> Path:
    """Path of a frame."""
    return data_path / folder / FOLDER_OF_SIDE[side] / f"{frame:010d}.{extension}"


def clip_camera_folder(data_path: Path, _clip: str) -> Path:
    """The folder with the camera of a clip: one for all."""
    return data_path


def read_clip_calibration(folder: Path) -> Calibration:
    """``camera.json`` as a calibration; the right camera is the left one's twin.

    Raises:
        InputError: the file is missing, or of an impossible camera.
    """
    camera = read_camera_file(folder / CAMERA_FILE)
    left = np.c_[camera.K, np.zeros(3)]
    right = left.copy()
    if camera.stereo is not None:
        right[0, 3] = -camera.K[0, 0] * camera.stereo.baseline_metres
    sizes = dict.fromkeys("lr", camera.image_size)
    return Calibration({"l": left, "r": right}, sizes, rectification=np.eye(4))


def prepared_folder(data_path: Path) -> Path | None:
    """Where the prepared frames of a folder are: itself, ``prepared`` in it, or nowhere yet."""
    for folder in (data_path, data_path / PREPARED):
        if (folder / SPLITS / "train_files.txt").is_file():
            return folder
    return None


@dataclass(frozen=True)
class Layout:
    """A data set on disk."""

    # From (data_path, folder of a split) to the folder of a drive or sequence.
    drive_folder: Callable[[Path, str], Path]
    # From (data_path, folder, frame, side, extension) to an image.
    frame_path: Callable[[Path, str, int, str, str], Path]
    # From (data_path, folder) to the folder that holds its calibration.
    calibration_folder: Callable[[Path, str], Path]
    calibration_file: str  # name of the file in there
    read_calibration: Callable[[Path], Calibration]  # from that folder to its cameras
    # From the folder of a split to the archive to fetch for its images, if known.
    archive: Callable[[str], str | None]
    calibration_archive: Callable[[str], str | None]  # likewise for its calibration


KITTI_RAW = Layout(
    kitti.drive_folder,
    kitti.frame_path,
    kitti.day_folder,
    kitti.CAMERA_FILE,
    kitti.read_calibration,
    archive_of_drive,
    archive_of_day,
)
LAYOUTS = {
    "kitti": KITTI_RAW,
    "kitti_depth": KITTI_RAW,  # the same frames, with improved depth
    "kitti_odom": Layout(
        kitti_odom.drive_folder,
        kitti_odom.frame_path,
        kitti_odom.drive_folder,
        kitti_odom.CALIBRATION_FILE,
        kitti_odom.read_calibration,
        archive_of_sequence,
        partial(archive_of_sequence, part="calib"),
    ),
    "frames": Layout(
        kitti.drive_folder,
        clip_frame_path,
        clip_camera_folder,
        CAMERA_FILE,
        read_clip_calibration,
        no_archive,
        no_archive,
    ),
}
