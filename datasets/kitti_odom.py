"""KITTI odometry on disk: sequences of frames, their cameras, poses and times.

Lines of its split name a sequence in the place of a folder: ``9 0 l``.
"""

from __future__ import annotations

import logging
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from datasets.kitti import (
    Calibration,
    check_camera,
    images_in,
    numbers,
    read_entries,
    usual_extension,
)
from datasets.pictures import picture_size
from system.errors import InputError
from system.files import read_text

logger = logging.getLogger(__name__)

FRAMES_PER_SECOND = 10
CAMERA_OF_SIDE = {"l": "2", "r": "3"}
CALIBRATION_FILE = "calib.txt"
# (width, height) of KITTI's frames by the focal length, which each of its days has another one of:
# calib.txt does not say what size it is of.
SIZE_OF_FOCAL = {
    721.5377: (1242, 375),
    718.856: (1241, 376),
    718.3351: (1238, 374),
    707.0912: (1226, 370),
    707.0493: (1224, 370),
}
SAME_FOCAL = 0.005  # pixels


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
    """The cameras of a sequence, by ``calib.txt``.

    Their size is that of KITTI's frames where it is one of KITTI's cameras, so that resized copies
    are known for such; of others, which is said, that of the first image.

    Raises:
        InputError: a file or key is missing, or the calibration cannot be that of a camera.
    """
    path = sequence / CALIBRATION_FILE
    entries = read_entries(path)
    projection, image_size = {}, {}
    for side, camera in CAMERA_OF_SIDE.items():
        projection[side] = numbers(entries, f"P{camera}", 12, path).reshape(3, 4)
        image_size[side] = _published_size(projection[side]) or _first_size(sequence, camera)
        check_camera(projection[side], np.array(image_size[side], float), f"P{camera}", path)
    return Calibration(projection, image_size, rectification=np.eye(4))


def _published_size(projection: np.ndarray) -> tuple[int, int] | None:
    near = (of for of in SIZE_OF_FOCAL if abs(projection[0, 0] - of) < SAME_FOCAL)
    return SIZE_OF_FOCAL.get(next(near, 0.0))


def _first_size(sequence: Path, camera: str) -> tuple[int, int]:
    # A mono sequence may lack the right camera's images; they have the left one's size.
    folders = (sequence / f"image_{number}" for number in (camera, "2", "3"))
    first = next((image for folder in folders for image in images_in(folder)), None)
    if first is None:
        raise InputError(f"{sequence}: holds no .jpg or .png image in image_2 or image_3")
    size = picture_size(first)
    _say_size(sequence / CALIBRATION_FILE, size)
    return size


@cache
def _say_size(path: Path, size: tuple[int, int]) -> None:
    logger.warning(
        "%s: is not of KITTI's cameras, and does not say of what size: taken for %dx%d, which its "
        "frames have; scale P2 and P3 with the frames if you resized them",
        *(path, *size),
    )


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
    extension = usual_extension(folder)
    if extension is None:
        raise InputError(
            f"{folder}: holds no .jpg or .png image; --data_path must hold KITTI odometry: "
            "sequences/NN/image_2 and poses/NN.txt"
        )
    paths = [path for path in images_in(folder) if path.suffix == f".{extension}"]
    for index, path in enumerate(paths):
        expected = folder / f"{index:06d}.{extension}"
        if path != expected:
            raise InputError(f"{expected}: no such image; sequence {sequence} needs all of them")
    return paths


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
