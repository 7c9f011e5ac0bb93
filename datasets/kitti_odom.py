"""KITTI odometry on disk: sequences of frames, their cameras, poses and times.

Lines of its split name a sequence in the place of a folder: ``9 0 l``.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np

from datasets.kitti import Calibration, check_camera, numbers, read_entries
from datasets.pictures import picture_size
from system.errors import InputError
from system.files import read_text

FRAMES_PER_SECOND = 10
CAMERA_OF_SIDE = {"l": "2", "r": "3"}
CALIBRATION_FILE = "calib.txt"


def drive_folder(data_path: Path, folder: str) -> Path:
    """The folder of a sequence, by its number as split files write it.

    Raises:
        InputError: ``folder`` is no number.
    """
    if not (folder.isascii() and folder.isdecimal()):
        raise InputError(
            f"--dataset kitti_odom: '{folder}' of the split is no number of a sequence; "
            "use --split odom, or a folder with such lists"
        )
    return sequence_folder(data_path, int(folder))


def frame_path(data_path: Path, folder: str, frame: int, side: str, extension: str) -> Path:
    """Path of a frame: ``sequences/09/image_2/000000.png``."""
    return _image_folder(data_path, folder, side) / f"{frame:06d}.{extension}"


@lru_cache(maxsize=64)
def _image_folder(data_path: Path, folder: str, side: str) -> Path:
    return drive_folder(data_path, folder) / f"image_{CAMERA_OF_SIDE[side]}"


def read_calibration(sequence: Path) -> Calibration:
    """The cameras of a sequence, by ``calib.txt`` and the size of its first images.

    Raises:
        InputError: a file or key is missing, or the calibration cannot be that of a camera.
    """
    path = sequence / CALIBRATION_FILE
    entries = read_entries(path)
    projection, image_size = {}, {}
    for side, camera in CAMERA_OF_SIDE.items():
        projection[side] = numbers(entries, f"P{camera}", 12, path).reshape(3, 4)
        # A mono sequence may lack the right camera's images; they have the left one's size.
        folders = (sequence / f"image_{number}" for number in (camera, "2", "3"))
        images = (image for folder in folders for image in sorted(folder.glob("*.[jp][pn]g")))
        first = next(images, None)
        if first is None:
            raise InputError(f"{sequence}: holds no .jpg or .png image in image_2 or image_3")
        image_size[side] = picture_size(first)
        check_camera(projection[side], np.array(image_size[side], float), f"P{camera}", path)
    return Calibration(projection, image_size, rectification=np.eye(4))


def sequence_folder(data_path: Path, sequence: int) -> Path:
    """The folder of a sequence, ``sequences/09``."""
    return data_path / "sequences" / f"{sequence:02d}"


def pose_file(data_path: Path, sequence: int) -> Path:
    """The file of a sequence's true poses, ``poses/09.txt``."""
    return data_path / "poses" / f"{sequence:02d}.txt"


def sequence_images(data_path: Path, sequence: int) -> list[Path]:
    """The left colour images of a sequence, in order.

    Raises:
        InputError: there are none, or one in between is missing.
    """
    folder = sequence_folder(data_path, sequence) / "image_2"
    for suffix in (".jpg", ".png"):
        paths = sorted(folder.glob(f"*{suffix}"))
        for index, path in enumerate(paths):
            expected = folder / f"{index:06d}{suffix}"
            if path != expected:
                raise InputError(
                    f"{expected}: no such image; sequence {sequence} needs all of them"
                )
        if paths:
            return paths
    raise InputError(
        f"{folder}: holds no .jpg or .png image; --data_path must hold KITTI odometry: "
        "sequences/NN/image_2 and poses/NN.txt"
    )


def frame_times(data_path: Path, sequence: int, count: int) -> np.ndarray:
    """Seconds [count] of the frames, from ``times.txt`` or else ten a second.

    Raises:
        InputError: ``times.txt`` is there, but does not hold a time for each frame.
    """
    path = sequence_folder(data_path, sequence) / "times.txt"
    if not path.is_file():
        return np.arange(count) / FRAMES_PER_SECOND
    try:
        times = np.loadtxt(read_text(path).splitlines(), ndmin=1)
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as times ({error})") from error
    if times.ndim != 1 or not np.isfinite(times).all():
        raise InputError(f"{path}: needs one finite number, seconds, per line")
    if len(times) < count:
        raise InputError(f"{path}: holds {len(times)} times for {count} images")
    return times[:count]
