"""NYU Depth v2 (Silberman et al., ECCV 2012): its files in common use, and the labelled set's."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from datasets.rgbd import DepthNote, read_depth
from errors import InputError
from evaluation.depth_set import DepthSet, Sample, Source, check_partners

LABELED = "nyu_depth_v2_labeled.mat"
TEST_LIST = "nyu_test.txt"
OFFICIAL_TEST = 654
SHAPE = (480, 640)
# Rows and columns that depth is measured on (Eigen et al., NIPS 2014).
ROWS, COLUMNS = (45, 471), (41, 601)
CROP = f"rows {ROWS[0]}:{ROWS[1]}, columns {COLUMNS[0]}:{COLUMNS[1]} of 480x640 (Eigen)"
FARTHEST = 10.0  # metres
MILLIMETRES = DepthNote("depth", 0.001)


def looks_like_nyu(path: Path) -> bool:
    """Whether a path is the labelled set, or a folder in one of the two layouts."""
    if path.is_file():
        return path.suffix == ".mat"
    return (path / LABELED).is_file() or any(path.rglob("sync_depth_*.png"))


def open_nyu(source: Source) -> DepthSet:
    """Pictures of NYU Depth v2: ``sync_depth_N.png`` beside ``rgb_N``, or :data:`LABELED`.

    Raises:
        InputError: files have no partner, none is there, or the labelled set cannot be read.
    """
    path = source.data_path
    labeled = path if path.is_file() else path / LABELED
    if labeled.is_file():
        samples, note = _labeled_samples(labeled)
    else:
        samples, note = _file_samples(path), "16-bit PNG in millimetres"
    return DepthSet("nyu", samples, CROP, counted, FARTHEST, note)


def counted(depth: np.ndarray) -> np.ndarray:
    """The known pixels of a depth map [480, 640] inside the crop and nearer than :data:`FARTHEST`.

    Returns:
        bool [480, 640].
    """
    mask = np.zeros(SHAPE, bool)
    mask[slice(*ROWS), slice(*COLUMNS)] = True
    return mask & (depth > 0) & (depth < FARTHEST)


def read_synced(path: Path) -> np.ndarray:
    """Depth float32 [480, 640] in metres of a ``sync_depth_N.png``.

    Raises:
        InputError: it is damaged, or of another size, for which the crop is not defined.
    """
    depth = read_depth(path, MILLIMETRES)
    if depth.shape != SHAPE:
        raise InputError(
            f"{path}: has {depth.shape[1]}x{depth.shape[0]} pixels, but NYU's crop is of 640x480; "
            "bring pictures of another size into the layout of pairs"
        )
    return depth


def _file_samples(folder: Path) -> list[Sample]:
    depths = {
        path.with_name(path.stem.replace("sync_depth_", "", 1)): path
        for path in sorted(folder.rglob("sync_depth_*.png"))
    }
    pictures = {
        path.with_name(path.stem.replace("rgb_", "", 1)): path
        for path in sorted(folder.rglob("rgb_*"))
        if path.suffix.lower() in (".jpg", ".png")
    }
    alone = [pictures.get(key) or depths[key] for key in sorted(pictures.keys() ^ depths.keys())]
    check_partners(folder, alone, "rgb_N.jpg or rgb_N.png needs sync_depth_N.png beside it")
    if not depths:
        raise InputError(f"{folder}: holds no sync_depth_N.png")
    return [
        Sample(
            pictures[key].relative_to(folder).as_posix(),
            pictures[key],
            partial(read_synced, depths[key]),
        )
        for key in sorted(depths)
    ]


def _labeled_samples(path: Path) -> tuple[list[Sample], str]:
    with _open_hdf5(path) as file:
        depth_name = "rawDepths" if "rawDepths" in file else "depths"
        count = len(_dataset(file, "images", path))
        if len(_dataset(file, depth_name, path)) != count:
            raise InputError(f"{path}: holds more or fewer depth maps than images; fetch it again")
    chosen, which = _chosen(path.with_name(TEST_LIST), count)
    note = f"{depth_name} of {path.name}, {which}"
    samples = [
        Sample(
            f"{number:04d}",
            partial(_read_plane, path, "images", number - 1),
            partial(_read_plane, path, depth_name, number - 1),
        )
        for number in chosen
    ]
    return samples, note


def _chosen(path: Path, count: int) -> tuple[list[int], str]:
    """The numbers, from 1, of the images to measure: those of a list, else all."""
    if not path.is_file():
        return list(range(1, count + 1)), (
            f"all {count} images: for the official {OFFICIAL_TEST}, write testNdxs of splits.mat, "
            f"one number a line, into {path.name} beside it"
        )
    try:
        numbers = [int(word) for word in path.read_text(encoding="utf-8-sig").split()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: must hold one whole number a line ({error})") from error
    if not numbers or not all(1 <= number <= count for number in numbers):
        raise InputError(f"{path}: must hold numbers from 1 to {count}, one a line")
    return numbers, f"the {len(numbers)} images of {path.name}"


def _open_hdf5(path: Path) -> Any:
    try:
        import h5py  # noqa: PLC0415 - an extra
    except ImportError:
        raise InputError(
            f"{path}: is HDF5; install the package h5py to read it: pip install h5py"
        ) from None
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: damaged, not a whole HDF5 file ({error})") from error


def _dataset(file: Any, name: str, path: Path) -> Any:
    """A data set of a file, which holds its numbers itself: links may lead to other files."""
    link = file.get(name, getlink=True)
    item = file.get(name) if type(link).__name__ == "HardLink" else None
    if item is None or not hasattr(item, "dtype") or item.external or item.is_virtual:
        raise InputError(f"{path}: does not hold {name}, as the labelled NYU Depth v2 does")
    if item.shape[-2:] != SHAPE[::-1] or item.dtype.kind not in "uif":
        raise InputError(f"{path}: {name} is not of 640x480 pixels, as the labelled set's are")
    return item


def _read_plane(path: Path, name: str, index: int) -> np.ndarray:
    """One image uint8 [H, W, 3] or depth map float32 [H, W]; MATLAB stores columns first."""
    try:
        with _open_hdf5(path) as file:
            plane = _dataset(file, name, path)[index].T
    except (OSError, RuntimeError, IndexError) as error:
        raise InputError(f"{path}: {name} {index + 1} cannot be read ({error})") from error
    if plane.ndim == 3:
        return np.ascontiguousarray(plane.astype(np.uint8))
    return np.where(np.isfinite(plane) & (plane > 0), plane, 0).astype(np.float32)
