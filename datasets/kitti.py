"""KITTI's raw recordings: where the files are, and how the cameras see.

Between the cameras of its stereo pairs lies what a metre is to a model trained on them.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Callable

import numpy as np

from datasets.camera import Camera
from datasets.conventions import KITTI_BASELINE_METRES
from datasets.pictures import picture_size
from datasets.splits import SplitLine
from system.errors import InputError
from system.files import read_text

logger = logging.getLogger(__name__)

CAMERA_FILE, LIDAR_FILE = "calib_cam_to_cam.txt", "calib_velo_to_cam.txt"
CAMERA_OF_SIDE = {"l": "02", "r": "03"}
EXTENSIONS = ("jpg", "jpeg", "png")  # of images, the preferred one first
SHOWN = 3  # of many files, in a message
# Of the shape of resized copies: 1024x320 differs by 0.034 from 1242x375, while 1216x352, the crop
# of KITTI's depth benchmark, differs by 0.042 or more from the frames of any day.
MOST_STRETCH = 0.04
MOST_CAMERA_PIXELS = 25_000_000  # KITTI's have half a million
FARTHEST_APART = 20  # metres between what one car carries
BASELINE_TOLERANCE = 0.05  # KITTI's days differ from one another, and from 0.54 m, by less


@dataclass(frozen=True)
class Calibration:
    """How one day's recordings see the world; the cameras are rectified."""

    # Per side, P_rect, [3,4]: from rectified camera 0, in metres, to pixels.
    projection: Mapping[str, np.ndarray]
    image_size: Mapping[str, tuple[int, int]]  # per side, (width, height) of the recorded images
    rectification: np.ndarray  # R_rect_00 as [4,4]: from camera 0 to rectified camera 0
    # [4,4], from the LiDAR to camera 0; None when it was not asked for.
    velo_to_camera: np.ndarray | None = None

    def camera(self, side: str, source: str = "") -> Camera:
        """One of the cameras; ``source`` says where it is known from."""
        return Camera(self.projection[side][:, :3].copy(), self.image_size[side], source)


def drive_folder(data_path: Path, folder: str) -> Path:
    """Return the folder of a drive."""
    return data_path / folder


def day_folder(data_path: Path, folder: str) -> Path:
    """Return the folder that holds the calibration of a drive: the one the drive lies in."""
    return (data_path / folder).parent


def frame_path(data_path: Path, folder: str, frame: int, side: str, extension: str) -> Path:
    """Return the path of one image; ``side`` ``l`` is image_02, ``r`` is image_03."""
    return _image_folder(data_path, folder, side) / f"{frame:010d}.{extension}"


@lru_cache(maxsize=1024)  # a split asks for 120,000 frames of some 70 folders
def _image_folder(data_path: Path, folder: str, side: str) -> Path:
    return data_path / folder / f"image_{CAMERA_OF_SIDE[side]}" / "data"


def sweep_path(data_path: Path, folder: str, frame: int) -> Path:
    """Return the path of the LiDAR sweep recorded with a frame."""
    return data_path / folder / "velodyne_points" / "data" / f"{frame:010d}.bin"


def improved_depth_path(data_path: Path, folder: str, frame: int, side: str) -> Path:
    """Return the path of a frame's improved depth map, which KITTI gives for some frames.

    It lies in the drive's folder, or where KITTI's archive puts it: ``train/<drive>`` or
    ``val/<drive>`` below ``data_path``. Where it is in neither, it is the first of these.
    """
    below = Path("proj_depth", "groundtruth", f"image_{CAMERA_OF_SIDE[side]}", f"{frame:010d}.png")
    drives = [data_path / folder, *(data_path / p / Path(folder).name for p in ("val", "train"))]
    paths = [drive / below for drive in drives]
    return next((path for path in paths if path.is_file()), paths[0])


def names_in(folder: Path) -> set[str]:
    """The names of what a folder holds; of nothing where there is no folder."""
    if not folder.is_dir():
        return set()
    with os.scandir(folder) as entries:  # pathlib would make a path of each
        return {entry.name for entry in entries}


def missing_files(paths: Iterable[Path]) -> list[Path]:
    """Those of the paths where there is nothing, by one listing per folder."""
    places = [(path, *os.path.split(path)) for path in paths]  # pathlib would make paths of them
    present = {folder: names_in(Path(folder)) for folder in {folder for _, folder, _ in places}}
    return [path for path, folder, name in places if name not in present[folder]]


def there_with_other_endings(missing: Iterable[Path]) -> dict[Path, Path]:
    """Of pictures that are missing, those that are there as another kind of file, and as which."""
    missing = list(missing)
    there: dict[Path, Path] = {}
    for folder in {path.parent for path in missing}:
        for path in images_in(folder):
            there.setdefault(path.with_suffix(""), path)
    stems = ((path, path.with_suffix("")) for path in missing)
    return {path: there[stem] for path, stem in stems if stem in there}


def images_in(folder: Path) -> list[Path]:
    """The images of a folder by name: those with a number for a name and one of the endings."""
    return [folder / n for n in sorted(names_in(folder)) if _extension_of(n) is not None]


def _extension_of(name: str) -> str | None:
    """The ending of an image; None for what is none, such as ``._0000000000.png`` of macOS."""
    stem, _, extension = name.rpartition(".")
    is_image = stem.isdecimal() and extension.lower() in EXTENSIONS
    return extension if is_image else None


def first_few(paths: Sequence[Path]) -> str:
    """The first of some paths, for messages."""
    return ", ".join(map(str, paths[:SHOWN])) + (", …" if len(paths) > SHOWN else "")


def find_extensions(
    data_path: Path,
    cameras: Iterable[tuple[str, str]],
    png: bool | None,
    frame_path: Callable[..., Path] = frame_path,
) -> dict[tuple[str, str], str]:
    """Return the extension of the images of each of ``cameras``, (folder of a drive, side).

    Each folder of images is listed once. Where several kinds are there, it is the first of
    :data:`EXTENSIONS`, in lower case before capitals: jpg, which the published results were trained
    on, before KITTI's own png. With ``png`` it is png. A folder without images gets the extension
    that most others have.

    Raises:
        InputError: no image in any of the folders.
    """
    wanted = EXTENSIONS[-1:] if png else EXTENSIONS
    folders = {c: frame_path(data_path, c[0], 0, c[1], "").parent for c in dict.fromkeys(cameras)}
    listed = {folder: _extensions_in(folder) for folder in dict.fromkeys(folders.values())}
    kinds = {folder: _first_of(wanted, there) for folder, there in listed.items()}
    found = Counter(kind for kind in kinds.values() if kind is not None)
    if not found and not png:
        folders = list(kinds)
        looked_in = str(folders[0]) + (f" and {len(folders) - 1} more" if folders[1:] else "")
        raise InputError(
            f"no .jpg or .png image in {looked_in}; --data_path must be the folder that holds "
            f"the drives of the split"
        )
    both = [f for f, there in listed.items() if {"jpg", "png"} <= {e.lower() for e in there}]
    if both and not png:
        where = f"{both[0]}" + (f" and {len(both) - 1} more folders" if both[1:] else "")
        logger.info("both .jpg and .png in %s: reading .jpg (--png reads .png)", where)
    usual = found.most_common(1)[0][0] if found else wanted[0]
    return {camera: kinds[folder] or usual for camera, folder in folders.items()}


def _extensions_in(folder: Path) -> set[str]:
    return {extension for extension in map(_extension_of, names_in(folder)) if extension}


def usual_extension(folder: Path) -> str | None:
    """The ending that a folder's images are read with; None where there are none."""
    return _first_of(EXTENSIONS, _extensions_in(folder))


def _first_of(wanted: Sequence[str], extensions: Iterable[str]) -> str | None:
    """The first wanted extension, in any case, of those that are there."""
    known = [e for e in extensions if e.lower() in wanted]
    return min(known, key=lambda e: (wanted.index(e.lower()), e.isupper(), e), default=None)


def image_paths(data_path: Path, lines: Sequence[SplitLine], png: bool | None) -> list[Path]:
    """Return the path of each line's image; see :func:`find_extensions` for ``png``."""
    extensions = find_extensions(data_path, ((line.folder, line.side) for line in lines), png)
    return [
        frame_path(data_path, folder, line.frame, side, extensions[folder, side])
        for line in lines
        for folder, side in [(line.folder, line.side)]
    ]


def size_of_frames(paths: Sequence[Path], camera: Camera) -> tuple[int, int]:
    """(width, height) of the pictures of one camera in one drive, by the first, middle and last.

    It is the camera's own size where one of them has that, and of the picture of a resized copy
    otherwise: pictures of the camera's shape, up to :data:`MOST_STRETCH`. The first picture alone
    is looked at where it has the camera's size.

    Raises:
        InputError: they are of another shape, or differ from one another.
    """
    sizes = {}
    for path in first_middle_last(paths):
        sizes[path] = picture_size(path)
        if sizes[path] == camera.image_size:
            return camera.image_size
    first, size = paths[0], sizes[paths[0]]
    other = next((path for path in sizes if sizes[path] != size), None)
    of = "{}x{}".format(*camera.image_size)
    if other is not None:
        raise InputError(
            f"{first}: is {size[0]}x{size[1]}, but {other.name} beside it is "
            f"{sizes[other][0]}x{sizes[other][1]}, and the calibration of its drive is of {of}; "
            "bring the frames of a drive to one size, or restore them"
        )
    if stretch(size, camera.image_size) > MOST_STRETCH:
        raise InputError(
            f"{first}: is {size[0]}x{size[1]}, but the calibration of its drive "
            f"({camera.source}) is of {of}: another shape, so the frames were cropped or "
            "stretched; restore them, write their own calibration (S_rect, P_rect), or take "
            "--intrinsics published for frames that show the whole picture"
        )
    return size


def first_middle_last(paths: Sequence[Path]) -> list[Path]:
    """A few of some paths, to look at in the place of all."""
    return list(dict.fromkeys((paths[0], paths[len(paths) // 2], paths[-1]))) if paths else []


def stretch(size: tuple[int, int], of: tuple[int, int]) -> float:
    """How much the shape of pictures (width, height) differs from another one; 0 is not at all."""
    return abs(size[0] * of[1] / (size[1] * of[0]) - 1)


@cache
def say_resized(data_path: Path, size: tuple[int, int], of: tuple[int, int]) -> None:
    """Say, once per size, that pictures are a resized copy of those that were calibrated."""
    logger.warning(
        "%s: has frames of %dx%d whose calibration is of %dx%d: taken for a resized copy, with the "
        "calibration scaled to it",
        *(data_path, *size, *of),
    )


def read_calibration(day: Path, with_lidar: bool = False) -> Calibration:
    """Read a day's ``calib_cam_to_cam.txt`` and, ``with_lidar``, its ``calib_velo_to_cam.txt``.

    Raises:
        InputError: a file or key is missing, a number is malformed, or the calibration cannot
            be that of a camera.
    """
    path = day / CAMERA_FILE
    entries = read_entries(path)
    projection, image_size = {}, {}
    for side, camera in CAMERA_OF_SIDE.items():
        projection[side] = numbers(entries, f"P_rect_{camera}", 12, path).reshape(3, 4)
        size = numbers(entries, f"S_rect_{camera}", 2, path)
        check_camera(projection[side], size, f"P_rect_{camera}", path)
        image_size[side] = (int(size[0]), int(size[1]))
    rectification, velo_to_camera = _rigid(_rotation(entries, "R_rect_00", path), np.zeros(3)), None
    if with_lidar:
        path = day / LIDAR_FILE
        entries = read_entries(path)
        velo_to_camera = _rigid(_rotation(entries, "R", path), _translation(entries, "T", path))
    return Calibration(projection, image_size, rectification, velo_to_camera)


def _rigid(rotation: np.ndarray, translation: np.ndarray) -> np.ndarray:
    transform = np.eye(4)
    transform[:3, :3] = rotation
    transform[:3, 3] = translation
    return transform


def read_entries(path: Path) -> dict[str, str]:
    """Return the lines ``key: value`` of a calibration file.

    Raises:
        InputError: the file is missing, is no text, or says something twice.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; KITTI gives each day's calibration as a separate download"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a calibration ({error})") from error
    entries: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon and entries.setdefault(key.strip(), value).split() != value.split():
            raise InputError(
                f"{path}: holds two different lines '{key.strip()[:40]}:'; remove the wrong one"
            )
    return entries


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


def _translation(entries: Mapping[str, str], key: str, path: Path) -> np.ndarray:
    metres = numbers(entries, key, 3, path)
    if np.abs(metres).max() > FARTHEST_APART:
        raise InputError(
            f"{path}: key '{key}': wrong calibration, it puts the LiDAR {np.abs(metres).max():.4g} "
            "m from the camera; it must be in metres, not millimetres"
        )
    return metres


def check_camera(projection: np.ndarray, size: np.ndarray, key: str, path: Path) -> None:
    """Refuse a projection [3,4] that no camera with images of ``size`` (width, height) has.

    Raises:
        InputError: ``path`` and the projection's ``key`` are named.
    """
    (focal_x, _, centre_x), (_, focal_y, centre_y) = projection[:2, :3]
    size_key = key.replace("P", "S", 1)
    if size.min() < 1 or (size != size.round()).any():
        wrong = f"{size_key}: the image size must be whole and positive, got {size.tolist()}"
    elif size.prod() > MOST_CAMERA_PIXELS:
        wrong = f"{size_key}: no car's camera has {size[0]:.6g}x{size[1]:.6g} pixels"
    elif min(focal_x, focal_y) <= 0:
        wrong = f"{key}: the focal lengths must be positive, got {focal_x}, {focal_y}"
    elif not (0 <= centre_x < size[0] and 0 <= centre_y < size[1]):
        wrong = (
            f"{key}: the principal point ({centre_x}, {centre_y}) lies outside the "
            f"image of {size[0]:.0f}x{size[1]:.0f}"
        )
    elif not np.array_equal(projection[2, :3], (0, 0, 1)):
        wrong = f"{key}: the last row must start with 0 0 1"
    elif np.abs(projection[:, 3] / (focal_x, focal_y, 1)).max() > FARTHEST_APART:
        wrong = f"{key}: its last column puts the camera more than {FARTHEST_APART} m from camera 0"
    else:
        return
    raise InputError(f"{path}: wrong calibration, {wrong}")


def stereo_baseline(calibration: Calibration) -> float:
    """Metres from the left camera to the right one; not positive in a wrong calibration."""
    left, right = (calibration.projection[side] for side in "lr")
    return left[0, 3] / left[0, 0] - right[0, 3] / right[0, 0]


def common_baseline(days: Mapping[Path, Calibration]) -> float:
    """The one baseline, metres, that a model trained on all of these days measures in.

    It is the published 0.54 m for KITTI, and for days without a calibration or with one that
    has no baseline, which is said; the mean of the days for another pair of cameras.

    Raises:
        InputError: the days were recorded with different baselines, so that no one length is
            a metre to the model.
    """
    baselines = {}
    for day, calibration in days.items():
        baseline = stereo_baseline(calibration)
        if baseline > 0:
            baselines[day] = baseline
        else:
            logger.warning(
                f"{day}: its calibration puts the right camera {baseline:g} m right of the left "
                f"one; metres will be wrong unless that distance is {KITTI_BASELINE_METRES:g} m"
            )
    if all(_near(baseline, KITTI_BASELINE_METRES) for baseline in baselines.values()):
        return KITTI_BASELINE_METRES
    nearest, farthest = min(baselines, key=baselines.get), max(baselines, key=baselines.get)
    if not _near(baselines[nearest], baselines[farthest]):
        raise InputError(
            f"the stereo cameras are {baselines[nearest]:.3f} m apart in {nearest} and "
            f"{baselines[farthest]:.3f} m in {farthest}; train on them apart, since a model "
            "can measure in one of the two only"
        )
    mean = sum(baselines.values()) / len(baselines)
    logger.info("the stereo cameras are %.3f m apart (KITTI's: %g m)", mean, KITTI_BASELINE_METRES)
    return mean


def _near(baseline: float, reference: float) -> bool:
    return abs(baseline - reference) <= BASELINE_TOLERANCE * reference
