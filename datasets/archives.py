"""Which of KITTI's archives hold a drive, a sequence, or a calibration."""

from __future__ import annotations

import re

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


def archive_of_sequence(sequence: str) -> str | None:
    """The archive with the colour images of a sequence of KITTI odometry, by its number."""
    return f"{URL}/data_odometry_color.zip" if _is_sequence(sequence) else None


def archive_of_sequence_calibration(sequence: str) -> str | None:
    """The archive with the calibration of a sequence of KITTI odometry, by its number."""
    return f"{URL}/data_odometry_calib.zip" if _is_sequence(sequence) else None


def archive_of_poses(sequence: str) -> str | None:
    """The archive with the true poses of a sequence of KITTI odometry, by its number."""
    return f"{URL}/data_odometry_poses.zip" if _is_sequence(sequence) else None


def _is_sequence(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= LAST_SEQUENCE


def no_archive(_folder: str) -> None:
    """Of data that cannot be fetched."""
