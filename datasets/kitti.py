"""KITTI's raw recordings: where the files are, how the cameras see, and reading an image.

Intrinsics are [3,3] in pixels, with the centre of the first pixel at (0, 0).
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np
from PIL import Image

from datasets.splits import SplitLine
from errors import InputError

logger = logging.getLogger(__name__)

CAMERA_OF_SIDE = {"l": "02", "r": "03"}


@dataclass(frozen=True)
class Calibration:
    """How one day's recordings see the world; the cameras are rectified.

    Attributes:
        projection: per side, P_rect, [3,4]: from rectified camera 0, in metres, to pixels.
        image_size: per side, (width, height) of the recorded images.
        rectification: R_rect_00 as [4,4]: from camera 0 to rectified camera 0.
        velo_to_camera: [4,4], from the LiDAR to camera 0; None when it was not asked for.
    """

    projection: Mapping[str, np.ndarray]
    image_size: Mapping[str, tuple[int, int]]
    rectification: np.ndarray
    velo_to_camera: np.ndarray | None = None


def drive_folder(data_path: Path, folder: str) -> Path:
    """Return the folder of a drive."""
    return data_path / folder


def day_folder(data_path: Path, folder: str) -> Path:
    """Return the folder that holds the calibration of a drive: the one the drive lies in."""
    return (data_path / folder).parent


def frame_path(data_path: Path, folder: str, frame: int, side: str, extension: str) -> Path:
    """Return the path of one image; ``side`` ``l`` is image_02, ``r`` is image_03."""
    camera = f"image_{CAMERA_OF_SIDE[side]}"
    return data_path / folder / camera / "data" / f"{frame:010d}.{extension}"


def sweep_path(data_path: Path, folder: str, frame: int) -> Path:
    """Return the path of the LiDAR sweep recorded with a frame."""
    return data_path / folder / "velodyne_points" / "data" / f"{frame:010d}.bin"


def improved_depth_path(data_path: Path, folder: str, frame: int, side: str) -> Path:
    """Return the path of a frame's improved depth map, which KITTI gives for some frames."""
    camera = f"image_{CAMERA_OF_SIDE[side]}"
    return data_path / folder / "proj_depth" / "groundtruth" / camera / f"{frame:010d}.png"


def find_extension(
    data_path: Path,
    lines: Iterable[SplitLine],
    png: bool | None,
    frame_path: Callable[..., Path] = frame_path,
) -> str:
    """Return the extension of the images of ``lines``: ``png`` (KITTI's own) or ``jpg``.

    ``png`` True is taken at its word. Otherwise the folders are looked into: where both kinds
    are there it is jpg, which the published results were trained on.

    Raises:
        InputError: no image of either kind in the folders of ``lines``.
    """
    if png:
        return "png"
    folders = list(
        dict.fromkeys(frame_path(data_path, line.folder, 0, line.side, "").parent for line in lines)
    )
    kinds = {path.suffix for folder in folders if folder.is_dir() for path in folder.iterdir()} & {
        ".jpg",
        ".png",
    }
    if not kinds:
        looked_in = str(folders[0]) + (f" and {len(folders) - 1} more" if folders[1:] else "")
        raise InputError(
            f"no .jpg or .png image in {looked_in}; --data_path must be the folder that holds "
            f"the drives of the split"
        )
    if len(kinds) == 2:
        logger.info("%s holds .jpg and .png images: reading .jpg (--png reads .png)", data_path)
    return "jpg" if ".jpg" in kinds else "png"


def image_paths(data_path: Path, lines: Sequence[SplitLine], png: bool | None) -> list[Path]:
    """Return the path of each line's image; see :func:`find_extension` for ``png``."""
    extension = find_extension(data_path, lines, png)
    return [frame_path(data_path, line.folder, line.frame, line.side, extension) for line in lines]


def read_image(path: Path) -> np.ndarray:
    """Read an image completely, as RGB uint8 [H,W,3].

    Raises:
        InputError: the file is missing, is no image, or is truncated or damaged.
    """
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))  # convert() decodes the whole file
    except FileNotFoundError:
        raise InputError(f"{path}: no such image") from None
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: cannot be read as an image ({error}); fetch the file again"
        ) from error


def read_calibration(day: Path, with_lidar: bool = False) -> Calibration:
    """Read a day's ``calib_cam_to_cam.txt`` and, ``with_lidar``, its ``calib_velo_to_cam.txt``.

    Raises:
        InputError: a file or key is missing, a number is malformed, or the calibration cannot
            be that of a camera.
    """
    path = day / "calib_cam_to_cam.txt"
    entries = read_entries(path)
    projection, image_size = {}, {}
    for side, camera in CAMERA_OF_SIDE.items():
        projection[side] = numbers(entries, f"P_rect_{camera}", 12, path).reshape(3, 4)
        size = numbers(entries, f"S_rect_{camera}", 2, path)
        check_camera(projection[side], size, f"P_rect_{camera}", path)
        image_size[side] = (int(size[0]), int(size[1]))
    return Calibration(
        projection=projection,
        image_size=image_size,
        rectification=_rigid(_rotation(entries, "R_rect_00", path), np.zeros(3)),
        velo_to_camera=_read_velo_to_camera(day) if with_lidar else None,
    )


def intrinsics(calibration: Calibration, side: str) -> np.ndarray:
    """Return the intrinsics of one camera, float64 [3,3], in pixels of the recorded image."""
    return calibration.projection[side][:, :3].copy()


def published_intrinsics(width: int, height: int) -> np.ndarray:
    """Return the one camera that the published training assumes for all of KITTI.

    It is not mirrored when the image is: its principal point is the middle of the image.
    """
    return np.array([[0.58 * width, 0, 0.5 * width], [0, 1.92 * height, 0.5 * height], [0, 0, 1]])


def resize_intrinsics(
    K: np.ndarray, from_size: tuple[int, int], to_size: tuple[int, int]
) -> np.ndarray:
    """Return the intrinsics after resizing the image; sizes are (width, height).

    Resizing keeps the image's border, which lies half a pixel outside the first pixel centre:
    a point at x moves to (x + 0.5) * scale - 0.5.
    """
    scale_x, scale_y = (to / of for to, of in zip(to_size, from_size))
    scaling = np.array(
        [[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1]]
    )
    return scaling @ K


def flip_intrinsics(K: np.ndarray, width: int) -> np.ndarray:
    """Return the intrinsics after mirroring the image left to right: x becomes width - 1 - x."""
    flipped = K.copy()
    flipped[0, 2] = width - 1 - K[0, 2]
    return flipped


def _read_velo_to_camera(day: Path) -> np.ndarray:
    path = day / "calib_velo_to_cam.txt"
    entries = read_entries(path)
    return _rigid(_rotation(entries, "R", path), numbers(entries, "T", 3, path))


def _rigid(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    transform = np.eye(4)
    transform[:3, :3] = rotation
    transform[:3, 3] = translation
    return transform


def read_entries(path: Path) -> dict[str, str]:
    """Return the lines ``key: value`` of a calibration file.

    Raises:
        InputError: the file is missing, or is no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; KITTI gives each day's calibration as a separate download"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a calibration ({error})") from error
    pairs = (line.partition(":") for line in text.splitlines())
    return {key.strip(): value for key, colon, value in pairs if colon}


def numbers(entries: Mapping[str, str], key: str, count: int, path: Path) -> np.ndarray:
    """Return the ``count`` numbers of a key, float64.

    Raises:
        InputError: the key is missing, or has other values; ``path`` is named.
    """
    if key not in entries:
        raise InputError(f"{path}: key '{key}' is missing")
    try:
        values = np.array([float(word) for word in entries[key].split()])
    except ValueError as error:
        raise InputError(f"{path}: key '{key}': {error}") from None
    if values.shape != (count,) or not np.isfinite(values).all():
        raise InputError(
            f"{path}: key '{key}' needs {count} finite numbers, got '{entries[key].strip()}'"
        )
    return values


def _rotation(entries: Mapping[str, str], key: str, path: Path) -> np.ndarray:
    rotation = numbers(entries, key, 9, path).reshape(3, 3)
    orthonormal = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
    if not orthonormal or np.linalg.det(rotation) < 0:
        raise InputError(f"{path}: key '{key}': wrong calibration, it is not a rotation")
    return rotation


def check_camera(projection: np.ndarray, size: np.ndarray, key: str, path: Path) -> None:
    """Refuse a projection [3,4] that no camera with images of ``size`` (width, height) has.

    Raises:
        InputError: ``path`` and the projection's ``key`` are named.
    """
    (focal_x, _, centre_x), (_, focal_y, centre_y) = projection[:2, :3]
    if size.min() < 1 or (size != size.round()).any():
        size_key = key.replace("P", "S", 1)
        wrong = f"{size_key}: the image size must be whole and positive, got {size.tolist()}"
    elif min(focal_x, focal_y) <= 0:
        wrong = f"{key}: the focal lengths must be positive, got {focal_x}, {focal_y}"
    elif not (0 <= centre_x < size[0] and 0 <= centre_y < size[1]):
        wrong = (
            f"{key}: the principal point ({centre_x}, {centre_y}) lies outside the "
            f"image of {size[0]:.0f}x{size[1]:.0f}"
        )
    elif not np.array_equal(projection[2, :3], (0, 0, 1)):
        wrong = f"{key}: the last row must start with 0 0 1"
    else:
        return
    raise InputError(f"{path}: wrong calibration, {wrong}")
