"""Which archives of KITTI raw hold a drive or a day's calibration."""

from __future__ import annotations

import re

URL = "https://s3.eu-central-1.amazonaws.com/avg-kitti/raw_data"
DRIVE = re.compile(r"(\d{4}_\d{2}_\d{2})/(\1_drive_\d{4})_sync")
DAY = re.compile(r"\d{4}_\d{2}_\d{2}")


def archive_of_drive(folder: str) -> str | None:
    """The archive of a drive by its folder in a split; None when it is not one of KITTI raw."""
    match = DRIVE.fullmatch(folder)
    return f"{URL}/{match[2]}/{match[2]}_sync.zip" if match else None


def archive_of_day(day: str) -> str | None:
    """The archive of a day's calibration; None when it is not one of KITTI raw."""
    return f"{URL}/{day}_calib.zip" if DAY.fullmatch(day) else None
