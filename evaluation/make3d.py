"""Make3D (Saxena et al., PAMI 2009): pictures with a coarse laser grid, measured by C1.

As papers measure networks trained on KITTI there (Godard et al., CVPR 2017 and ICCV 2019): on the
central part of the upright pictures, twice as wide as high, up to 70 m, at the points of the grid.
"""

from __future__ import annotations

import io
import zlib
from functools import partial
from pathlib import Path

import numpy as np

from datasets.depth_files import known_depth
from datasets.pictures import PICTURES, picture_size, read_picture
from evaluation.depth_set import DepthSet, Sample, check_partners
from system.errors import InputError
from system.files import read_bytes

TEST_FOLDER = "Test134"
PICTURE, GRID = "img-", "depth_sph_corr-"  # what names begin with
KEY = "Position3DGrid"  # [rows, columns, 4]: a point, and its depth
RATIO = 2  # width over height of what is measured
FARTHEST = 70.0  # metres, of C1
CROP = "the central part, twice as wide as high"
MOST_BYTES, MOST_NUMBERS = 8 << 20, 1 << 20  # the grids have 55x305x4


def looks_like_make3d(path: Path) -> bool:
    """Whether a folder holds grids of Make3D."""
    return path.is_dir() and any(path.rglob(f"{GRID}*.mat"))


def open_make3d(folder: Path) -> DepthSet:
    """The test pictures ``img-N.jpg`` of a folder, and ``depth_sph_corr-N.mat``, wherever in it.

    Where there is a folder ``Test134``, its pictures are those.

    Raises:
        InputError: there are none, or a picture has no grid.
    """
    grids = {path.stem[len(GRID) :]: path for path in sorted(folder.rglob(f"{GRID}*.mat"))}
    test = next((path for path in sorted(folder.rglob(TEST_FOLDER)) if path.is_dir()), folder)
    found = [p for p in sorted(test.rglob(f"{PICTURE}*")) if p.suffix.lower() in PICTURES]
    pictures = {path.stem[len(PICTURE) :]: path for path in found}
    alone = [path for name, path in pictures.items() if name not in grids]
    check_partners(folder, alone, f"{PICTURE}N.jpg needs {GRID}N.mat")
    if not pictures:
        raise InputError(f"{folder}: holds no {PICTURE}N.jpg of Make3D")
    samples = [
        Sample(name, partial(central_picture, path), partial(central_depth, grids[name], path))
        for name, path in pictures.items()
    ]
    return DepthSet(
        "make3d",
        samples,
        CROP,
        lambda depth: (depth > 0) & (depth < FARTHEST),
        FARTHEST,
        "C1: laser grid, up to 70 m",
        of_another_size=True,
        with_log10=True,
    )


def central(count: int, share: float) -> slice:
    """The rows of a share of ``count`` around its middle."""
    kept = min(count, round(count * share))
    first = (count - kept) // 2
    return slice(first, first + kept)


def share_of(height: int, width: int) -> float:
    """The share of a picture's height that is measured."""
    return width / RATIO / height


def central_picture(path: Path) -> np.ndarray:
    """What is measured of a picture, RGB uint8 [H, W, 3]."""
    picture = read_picture(path)
    return picture[central(len(picture), share_of(*picture.shape[:2]))]


def central_depth(path: Path, picture: Path) -> np.ndarray:
    """What is measured of a grid: depth float32 [rows, columns] in metres, 0 where unknown.

    Raises:
        InputError: the file is damaged, or of another kind.
    """
    width, height = picture_size(picture)
    grid = read_grid(path)
    return known_depth(grid[central(len(grid), share_of(height, width))])


def read_grid(path: Path) -> np.ndarray:
    """The depth of a file of Make3D's laser, [rows, columns].

    Raises:
        InputError: the file is damaged, or of another kind.
    """
    from scipy.io import loadmat, matlab, whosmat  # noqa: PLC0415 - comes with scikit-image, slow

    damage = (OSError, ValueError, TypeError, KeyError, IndexError, zlib.error)
    # Of version 7.3, which is HDF5, it is not implemented.
    damage += (matlab.MatReadError, NotImplementedError)
    try:
        content = io.BytesIO(read_bytes(path, MOST_BYTES))
        shapes = {name: shape for name, shape, _ in whosmat(content)}
        shape = shapes.get(KEY, ())
        if len(shape) != 3 or shape[2] != 4 or not 0 < np.prod(shape) <= MOST_NUMBERS:
            raise ValueError(f"its {KEY} must be [rows, columns, 4]")
        content.seek(0)
        grid = np.asarray(loadmat(content, variable_names=[KEY])[KEY])
        if grid.dtype.kind not in "fiu":
            raise ValueError(f"its {KEY} must hold numbers")
    except damage as error:
        raise InputError(f"{path}: cannot be read as a grid of Make3D ({error})") from error
    return grid[:, :, 3].astype(np.float32)
