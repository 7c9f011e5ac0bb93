"""The layouts of data sets that relative depth is measured on, and how one is told by its look."""

from __future__ import annotations

import logging
import math
from functools import partial
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np

from datasets.depth_files import (
    DAMAGE,
    KINDS,
    MILLIMETRES,
    NOTE,
    DepthNote,
    known_depth,
    read_array,
    read_depth,
)
from datasets.kitti import image_paths
from datasets.rgbd import DEPTH_FOLDERS, PICTURE_FOLDERS, find_pairs, read_note
from datasets.splits import load_split, split_folder
from evaluation import ground_truth
from evaluation.depth_set import (
    CONVENTION,
    DepthSet,
    Sample,
    check_partners,
    find_pictures,
    read_labels,
)
from evaluation.make3d import looks_like_make3d, open_make3d
from evaluation.protocols import eigen_protocol, scored_mask
from options import EvaluateOptions
from system.errors import InputError
from system.files import check_regular, read_text

logger = logging.getLogger(__name__)

ORDINAL = "ordinal.csv"
DIW_TEST = "DIW_test.csv"
DIODE_DEPTH, DIODE_MASK = "_depth.npy", "_depth_mask.npy"
# NYU Depth v2: the labelled set, its list of test images, and how many the official one has.
LABELED = "nyu_depth_v2_labeled.mat"
TEST_LIST = "nyu_test.txt"
OFFICIAL_TEST = 654
LABELED_SET, MOST_LABELED = 1449, 100_000  # images of it, and of any that is read
MOST_CHUNK = 256 << 20  # bytes
SHAPE = (480, 640)
# Rows and columns that depth is measured on (Eigen et al., NIPS 2014).
ROWS, COLUMNS = (45, 471), (41, 601)
CROP = f"rows {ROWS[0]}:{ROWS[1]}, columns {COLUMNS[0]}:{COLUMNS[1]} of 480x640 (Eigen)"
FARTHEST = 10.0  # metres


class DepthLayout(NamedTuple):
    """A layout: what it consists of in words, whether a path looks like it, how it is opened."""

    words: str
    looks_like: Callable[[Path], bool]
    open: Callable[[EvaluateOptions], DepthSet]


def open_depth_set(options: EvaluateOptions) -> DepthSet:
    """Open a set in one of :data:`DEPTH_LAYOUTS`, or in that which it looks like, which is logged.

    Raises:
        InputError: it is not there, looks like none, or is not complete.
    """
    path, layout = options.data_path, options.layout
    if not path.exists():
        raise InputError(f"--data_path {path}: there is no such file or folder; check the path")
    if layout is None:
        layout = find_layout(path)
        logger.info("%s: looks like --layout %s (%s)", path, layout, DEPTH_LAYOUTS[layout].words)
    return DEPTH_LAYOUTS[layout].open(options)


def find_layout(path: Path) -> str:
    """The name of the first layout that a path looks like.

    Raises:
        InputError: there is none.
    """
    for name, layout in DEPTH_LAYOUTS.items():
        if layout.looks_like(path):
            return name
    known = "; ".join(f"{name}: {layout.words}" for name, layout in DEPTH_LAYOUTS.items())
    raise InputError(f"--data_path {path}: looks like none of the layouts ({known})")


def _looks_like_pairs(path: Path) -> bool:
    return all(
        any((path / name).is_dir() for name in names) for names in (PICTURE_FOLDERS, DEPTH_FOLDERS)
    )


def open_pairs(options: EvaluateOptions) -> DepthSet:
    """Pairs by name, see :mod:`datasets.rgbd`; with :data:`ORDINAL`, its labels too."""
    folder = options.data_path
    pairs, note = find_pairs(folder), read_note(folder)
    labels = {}
    if (folder / ORDINAL).is_file():
        by_name = read_labels(folder / ORDINAL)
        files = find_pictures(by_name, folder)
        labels = {files[name].resolve(): each for name, each in by_name.items()}
    samples = [
        Sample(
            pair.picture.relative_to(folder).as_posix(),
            pair.picture,
            partial(read_depth, pair.depth, note),
            labels.pop(pair.picture.resolve(), None),
        )
        for pair in pairs
    ]
    samples += [Sample(path.name, path, None, each) for path, each in labels.items()]
    other = KINDS[1 - KINDS.index(note.kind)]
    return DepthSet(
        "pairs",
        samples,
        unit_remedy=f"set metres_per_step in {NOTE}",
        order_remedy="if it is inverse depth, or the other way round, set "
        f'"kind": "{other}" in {NOTE}',
    )


def _looks_like_diw(path: Path) -> bool:
    return path.suffix == ".csv" if path.is_file() else any(path.glob("*.csv"))


def open_diw(options: EvaluateOptions) -> DepthSet:
    """Pictures with ordinal labels and no depth, as DIW's: a CSV, or the folder it lies in."""
    path = options.data_path
    if path.is_dir():
        tables = sorted(path.glob("*.csv"))
        tables = [table for table in tables if table.name == DIW_TEST] or tables
        if len(tables) != 1:
            raise InputError(f"{path}: must hold one CSV, holds {len(tables)}; name it itself")
        path = tables[0]
    labels = read_labels(path)
    files = find_pictures(labels, path.parent)
    samples = [Sample(name, files[name], None, each) for name, each in labels.items()]
    return DepthSet("diw", samples, note=CONVENTION)


def _looks_like_kitti(path: Path) -> bool:
    """Whether a folder holds days of drives of KITTI's cameras 2 or 3."""
    return any(any(path.glob(f"*/*/image_0{camera}")) for camera in (2, 3))


def open_kitti(options: EvaluateOptions) -> DepthSet:
    """The test images of a split, measured inside the crop and cap of the metric protocol.

    Raises:
        InputError: see :func:`datasets.splits.load_split`, :func:`datasets.kitti.image_paths` and
            :func:`evaluation.ground_truth.open_ground_truth`.
    """
    lines = load_split(options.eval_split, "test")
    paths = image_paths(options.data_path, lines, options.png)
    truth = ground_truth.open_truth_of_split(options.eval_split, options.gt_path, lines)
    protocol = eigen_protocol(truth.kind, stereo=False)
    split_name = split_folder(options.eval_split).resolve().name
    samples = [
        Sample(str(line), path, partial(truth.__getitem__, index))
        for index, (line, path) in enumerate(zip(lines, paths))
    ]
    return DepthSet(
        "kitti",
        samples,
        "Garg/Eigen" if protocol.crop else "none",
        partial(scored_mask, protocol=protocol),
        protocol.max_depth,
        f"split {split_name}, {ground_truth.KINDS[truth.kind]}",
        close=truth.close,
    )


def _looks_like_nyu(path: Path) -> bool:
    """Whether a path is the labelled set, or a folder in one of the two layouts."""
    if path.is_file():
        return path.suffix == ".mat"
    return (path / LABELED).is_file() or any(path.rglob("sync_depth_*.png"))


def open_nyu(options: EvaluateOptions) -> DepthSet:
    """Pictures of NYU Depth v2: ``sync_depth_N.png`` beside ``rgb_N``, or :data:`LABELED`.

    Raises:
        InputError: files have no partner, none is there, or the labelled set cannot be read.
    """
    path = options.data_path
    labeled = path if path.is_file() else path / LABELED
    if labeled.is_file():
        samples, note = _labeled_samples(labeled)
    else:
        samples, note = _file_samples(path), "16-bit PNG in millimetres"
    return DepthSet("nyu", samples, CROP, nyu_counted, FARTHEST, note)


def nyu_counted(depth: np.ndarray) -> np.ndarray:
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
    pairs = [(pictures[key], depths[key]) for key in sorted(depths)]
    return [
        Sample(picture.relative_to(folder).as_posix(), picture, partial(read_synced, depth))
        for picture, depth in pairs
    ]


def _labeled_samples(path: Path) -> tuple[list[Sample], str]:
    with _open_hdf5(path) as file:
        depth_name = "rawDepths" if "rawDepths" in file else "depths"
        count = len(_dataset(file, "images", path))
        if count > MOST_LABELED:
            raise InputError(
                f"{path}: says that it holds {count} images; NYU's set has {LABELED_SET}"
            )
        if len(_dataset(file, depth_name, path)) != count:
            raise InputError(f"{path}: holds more or fewer depth maps than images; fetch it again")
    chosen, which = _chosen(path.with_name(TEST_LIST), count)
    note = f"{depth_name} of {path.name}, {which}"
    read = partial(_read_plane, path)
    samples = [
        Sample(f"{n:04d}", partial(read, "images", n - 1), partial(read, depth_name, n - 1))
        for n in chosen
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
        numbers = [int(word) for word in read_text(path).split()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: must hold one whole number a line ({error})") from error
    once = len(set(numbers)) == len(numbers) > 0
    if not once or not all(1 <= number <= count for number in numbers):
        raise InputError(f"{path}: must hold numbers from 1 to {count}, one a line, each once")
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
    if item.shape[-2:] != SHAPE[::-1]:
        raise InputError(f"{path}: {name} is not of 640x480 pixels, as the labelled set's are")
    colours = name == "images"
    right = item.dtype == np.uint8 if colours else item.dtype.kind == "f"
    if not right or item.shape[1:-2] != ((3,) if colours else ()):
        must = "8-bit colours [N, 3, 640, 480]" if colours else "metres [N, 640, 480] in floats"
        raise InputError(f"{path}: {name} must be {must}, is {item.dtype} {list(item.shape)}")
    if math.prod(item.chunks or ()) * item.dtype.itemsize > MOST_CHUNK:
        raise InputError(f"{path}: {name} is packed in parts that are too large to unpack")
    return item


def _read_plane(path: Path, name: str, index: int) -> np.ndarray:
    """One image uint8 [H, W, 3] or depth map float32 [H, W]; MATLAB stores columns first."""
    try:
        with _open_hdf5(path) as file:
            plane = _dataset(file, name, path)[index].T
    except (OSError, RuntimeError, IndexError) as error:
        raise InputError(f"{path}: {name} {index + 1} cannot be read ({error})") from error
    if plane.ndim == 3:
        return np.ascontiguousarray(plane)
    return known_depth(plane)


def _looks_like_diode(path: Path) -> bool:
    """Whether a folder, or one below it, holds masks of depth."""
    return path.is_dir() and any(path.rglob(f"*{DIODE_MASK}"))


def open_diode(options: EvaluateOptions) -> DepthSet:
    """All pictures of DIODE (Vasiljevic et al., 2019) below a folder.

    ``{val,train}/{indoors,outdoor}/scene_*/scan_*/NAME.png`` with ``NAME_depth.npy`` [H, W, 1] in
    metres and ``NAME_depth_mask.npy`` [H, W], 1 where valid.

    Raises:
        InputError: a picture, depth map or mask lacks the other two, or none is there.
    """
    folder = options.data_path
    found: dict[str, set[str]] = {}
    for ending in (".png", DIODE_MASK, DIODE_DEPTH):
        paths = (path.relative_to(folder).as_posix() for path in folder.rglob(f"*{ending}"))
        found[ending] = {path[: -len(ending)] for path in paths}
    whole = set.intersection(*found.values())
    alone = [folder / f"{n}{ending}" for ending, names in found.items() for n in names - whole]
    partners = f"NAME{DIODE_DEPTH} and NAME{DIODE_MASK}"
    check_partners(folder, sorted(alone), f"NAME.png needs {partners} beside it")
    if not whole:
        raise InputError(f"{folder}: holds no NAME.png with {partners}")
    samples = [
        Sample(name, folder / f"{name}.png", partial(read_masked, folder, name))
        for name in sorted(whole)
    ]
    return DepthSet("diode", samples, note="metres, where the mask is 1")


def read_masked(folder: Path, name: str) -> np.ndarray:
    """Depth float32 [H, W] in metres, 0 where the mask is not 1.

    Raises:
        InputError: a file is damaged, or the mask is of another size or of other numbers.
    """
    depth = read_depth(folder / f"{name}{DIODE_DEPTH}", DepthNote())
    path = folder / f"{name}{DIODE_MASK}"
    try:
        mask = read_array(check_regular(path))
    except DAMAGE as error:
        raise InputError(f"{path}: cannot be read as a mask ({error})") from error
    if mask.ndim == 3 and mask.shape[2] == 1:
        mask = mask[..., 0]
    if mask.dtype.kind not in "buif" or not np.isin(mask, (0, 1)).all():
        raise InputError(f"{path}: must be a mask of 0 and 1, 1 where depth is valid")
    if mask.shape != depth.shape:
        raise InputError(
            f"{path}: has shape {list(mask.shape)}, the depth {list(depth.shape)}; they must be of "
            "one size"
        )
    return np.where(mask == 1, depth, 0)


DEPTH_LAYOUTS = {
    "pairs": DepthLayout("rgb and depth folders", _looks_like_pairs, open_pairs),
    "kitti": DepthLayout("KITTI's drives", _looks_like_kitti, open_kitti),
    "nyu": DepthLayout("NYU Depth v2, rgb_N with sync_depth_N.png", _looks_like_nyu, open_nyu),
    "make3d": DepthLayout(
        "Make3D, img-N.jpg with depth_sph_corr-N.mat",
        looks_like_make3d,
        lambda options: open_make3d(options.data_path),
    ),
    "diode": DepthLayout("DIODE, NAME.png with NAME_depth.npy", _looks_like_diode, open_diode),
    "diw": DepthLayout("ordinal labels in a CSV", _looks_like_diw, open_diw),
}
