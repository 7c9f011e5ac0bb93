"""Frames of one's own, as ``python -m datasets.prepare`` lays them out.

``camera.json``, ``splits/``, and a folder per clip of neighbouring frames:
``clip_000/left/0000000000.jpg`` and, of a stereo pair, ``clip_000/right/0000000000.jpg``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets.camera_file import CAMERA_FILE, read_camera_file
from datasets.kitti import Calibration

FOLDER_OF_SIDE = {"l": "left", "r": "right"}
SPLITS = "splits"
PREPARED = "prepared"


def drive_folder(data_path: Path, folder: str) -> Path:
    """The folder of a clip."""
    return data_path / folder


def frame_path(data_path: Path, folder: str, frame: int, side: str, extension: str) -> Path:
    """Path of a frame."""
    return data_path / folder / FOLDER_OF_SIDE[side] / f"{frame:010d}.{extension}"


def calibration_folder(data_path: Path, _folder: str) -> Path:
    """The folder with the camera of a clip: one for all."""
    return data_path


def read_calibration(folder: Path) -> Calibration:
    """``camera.json`` as a calibration; the right camera is the left one's twin.

    Raises:
        InputError: the file is missing, or of an impossible camera.
    """
    camera = read_camera_file(folder / CAMERA_FILE)
    left = np.c_[camera.K, np.zeros(3)]
    right = left.copy()
    if camera.stereo is not None:
        right[0, 3] = -camera.K[0, 0] * camera.stereo.baseline_metres
    return Calibration(
        projection={"l": left, "r": right},
        image_size=dict.fromkeys("lr", camera.image_size),
        rectification=np.eye(4),
    )


def prepared_folder(data_path: Path) -> Path | None:
    """Where the prepared frames of a folder are: itself, ``prepared`` in it, or nowhere yet."""
    for folder in (data_path, data_path / PREPARED):
        if (folder / SPLITS / "train_files.txt").is_file():
            return folder
    return None
