"""Ground truth of a split's test images, one sparse depth map each: ``gt_depths.npz``.

Our own files are read one image at a time, and know the lines of the split whose maps they hold.
Those of the published export hold one pickled array of arrays, which is read whole, by the
restricted reader.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable

import numpy as np
from numpy.lib import format as npy

from datasets.conventions import IMPROVED_SPLIT
from datasets.depth_files import DAMAGE, known_depth, read_member
from datasets.kitti import day_folder, improved_depth_path, read_calibration, sweep_path
from datasets.lidar import project_sweep, read_improved_depth, read_sweep
from datasets.splits import SplitLine, split_folder
from system.errors import InputError
from system.files import check_regular
from weight_files.pickled_names import PickledArray
from weight_files.restricted_pickle import load_pickle

FILE_NAME = "gt_depths.npz"
# In the file: of the kind, of the lines of the split that it holds, and of an image's depth map.
KIND_KEY, LINES_KEY, MAP_KEY = "kind", "lines", "{:06d}"

FORWARD, CAMERA, IMPROVED = "velodyne_forward", "velodyne_camera", "kitti_improved"
PUBLISHED_KEY = "data"
KINDS = {
    FORWARD: "raw LiDAR, its forward coordinate (as published)",
    CAMERA: "raw LiDAR, true camera depth",
    IMPROVED: "improved KITTI depth, accumulated over frames",
}

# Of one map, unpacked: 25 million pixels in float64; KITTI's have half a million.
MOST_MAP_BYTES = 200_000_000
MOST_TIMES_PACKED = 200  # what unpacks to more is no depth; KITTI's maps unpack to 22 times
SIDEWAYS = 1.1  # width over height, or height over width, of what surely lies or stands

EXPORT_HINT = "make it with export_gt_depth.py, the same --split, and KITTI's folder as --data_path"


def ground_truth_file(split: str, gt_path: Path | None) -> Path:
    """Return the ground truth's path: in the split's folder, or where ``gt_path`` says.

    ``gt_path`` may name the ``.npz`` file or the folder it lies in.
    """
    if gt_path is None:
        return split_folder(split) / FILE_NAME
    return gt_path if gt_path.suffix == ".npz" else gt_path / FILE_NAME


def ground_truth_kind(split_name: str, camera_depth: bool) -> str:
    """Return the kind of ground truth of a split, by the name of its folder.

    Raises:
        InputError: camera depth is asked for where the ground truth is no LiDAR sweep.
    """
    if split_name != IMPROVED_SPLIT:
        return CAMERA if camera_depth else FORWARD
    if camera_depth:
        raise InputError(
            "--camera_depth: the improved depth of eigen_benchmark is camera depth already; "
            "leave it out"
        )
    return IMPROVED


@dataclass(frozen=True)
class GroundTruth(AbstractContextManager):
    """The depth maps of a split; item i is float32 [H,W] in metres, 0 where unknown.

    Whatever a file holds, an item is of this form, or refused by an InputError that names it.

    Attributes:
        kind: a key of :data:`KINDS`.
        held: per test image of the split, the place of its map in the file; None where the file
            has none.
        read: a map by its place in the file.
        close: ends the use of the file.
    """

    kind: str
    held: Sequence[int | None]
    read: Callable[[int], np.ndarray]
    close: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self.held)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.read(self.held[index])

    def __exit__(self, *_: object) -> None:
        self.close()

    def part(self, indices: Iterable[int]) -> GroundTruth:
        """Of some of the images only; it closes with the whole."""
        return replace(self, held=[self.held[index] for index in indices])


def open_ground_truth(
    path: Path,
    lines: Sequence[SplitLine],
    published_kind: str = FORWARD,
    allow_missing: bool = False,
) -> GroundTruth:
    """Open the ground truth of the test images of a split.

    A file of the published export says neither its kind, which is then ``published_kind``, nor
    whose maps it holds: it must have as many as there are lines.

    Raises:
        InputError: the file is missing, damaged, of another format or of another split; or it holds
            a part of the split only, unless ``allow_missing``.
    """
    archive = open_archive(path)
    if KIND_KEY not in archive.files:
        archive.close()
        maps = read_published(path)
        held = _held(None, len(maps), lines, path, allow_missing)
        return GroundTruth(published_kind, held, lambda index: depth_map(maps[index], path, index))
    try:
        return _own(archive, path, lines, allow_missing)
    except InputError:
        archive.close()
        raise


def open_truth_of_split(
    split: str, gt_path: Path | None, lines: Sequence[SplitLine], allow_missing: bool = False
) -> GroundTruth:
    """Open the ground truth of a split with these test images, see :func:`open_ground_truth`."""
    kind = ground_truth_kind(split_folder(split).resolve().name, camera_depth=False)
    return open_ground_truth(ground_truth_file(split, gt_path), lines, kind, allow_missing)


def _own(
    archive: np.lib.npyio.NpzFile, path: Path, lines: Sequence[SplitLine], allow_missing: bool
) -> GroundTruth:
    kind = str(_member(archive, KIND_KEY, path))
    if kind not in KINDS:
        raise InputError(f"{path}: unknown kind of ground truth '{kind[:40]}'; {EXPORT_HINT}")

    def read(index: int) -> np.ndarray:
        return depth_map(_member(archive, MAP_KEY.format(index), path), path, index)

    # An older file does not say its lines.
    own_lines = _member(archive, LINES_KEY, path) if LINES_KEY in archive.files else None
    if own_lines is not None:
        own_lines = [str(line) for line in own_lines.ravel()]
    count = len(archive.files) - len({KIND_KEY, LINES_KEY} & set(archive.files))
    held = _held(own_lines, count, lines, path, allow_missing)
    return GroundTruth(kind, held, read, archive.close)


def _member(archive: np.lib.npyio.NpzFile, key: str, path: Path) -> np.ndarray:
    """An array of a file of our own.

    Raises:
        InputError: it is missing, damaged, or larger than any map.
    """
    try:
        size = archive.zip.getinfo(f"{key}.npy").file_size
        if size > MOST_MAP_BYTES:
            raise ValueError(f"it has {size} bytes, and at most {MOST_MAP_BYTES} are read")
        return read_member(archive, key)
    except DAMAGE as error:
        what = f"image {key}" if key.isdigit() else f"its {key}"
        raise InputError(f"{path}: {what} cannot be read ({error}); {EXPORT_HINT}") from error


def depth_map(values: np.ndarray, path: Path, index: int) -> np.ndarray:
    """One map of a file of ground truth as float32 [H,W], 0 where unknown.

    Raises:
        InputError: it is no array of floating-point numbers with rows and columns.
    """
    if values.dtype.kind != "f" or values.ndim != 2:
        raise InputError(
            f"{path}: image {index} is no depth map, which has rows and columns of floating-point "
            f"numbers in metres, but {values.dtype} {list(values.shape)}; {EXPORT_HINT}"
        )
    if values.size == 0:
        raise InputError(f"{path}: image {index} has no pixel; {EXPORT_HINT}")
    return known_depth(values)


def check_upright(gt: np.ndarray, size: tuple[int, int], name: str) -> None:
    """Refuse a map [H,W] that stands on its side, as a transposed one does.

    Args:
        gt: the map.
        size: (width, height) of its picture, or of what is predicted of it.
        name: of the image.

    Raises:
        InputError: one of the two is clearly higher than wide, and the other is not.
    """
    shapes = (gt.shape[1] / gt.shape[0], size[0] / size[1])
    if min(shapes) < 1 / SIDEWAYS and max(shapes) > SIDEWAYS:
        raise InputError(
            f"{name}: its ground truth is {gt.shape[1]}x{gt.shape[0]}, its picture or prediction "
            f"{size[0]}x{size[1]} (width x height): one of them is transposed; {EXPORT_HINT}"
        )


def _held(
    own: Sequence[str] | None,
    count: int,
    lines: Sequence[SplitLine],
    path: Path,
    allow_missing: bool,
) -> list[int | None]:
    """Per line, the place of its map among the ``count`` maps of a file, whose lines are ``own``.

    Raises:
        InputError: see :func:`open_ground_truth`.
    """
    wanted = list(map(str, lines))
    if own is None:
        if count != len(lines):
            raise InputError(
                f"{path}: holds {count} images, but the split's test list has {len(lines)}; "
                f"{EXPORT_HINT}"
            )
        return list(range(count))
    if len(own) != count:
        raise InputError(f"{path}: holds {count} maps of {len(own)} images; {EXPORT_HINT}")
    if len(set(own)) < count and list(own) != wanted:
        [(twice, _)] = Counter(own).most_common(1)
        raise InputError(f"{path}: holds two maps of {twice}; {EXPORT_HINT}")
    foreign = set(own) - set(wanted)
    if foreign:
        raise InputError(
            f"{path}: holds {count} images, and {len(foreign)} of them, as {min(foreign)}, are not "
            f"in the split's test list, which has {len(lines)}; {EXPORT_HINT}"
        )
    place = {name: index for index, name in enumerate(own)}
    held = [place.get(name) for name in wanted]
    missing = held.count(None)
    if missing and not allow_missing:
        raise InputError(
            f"{path}: is partial, it holds {len(lines) - missing} of the {len(lines)} images of "
            "the split's test list; add --allow_missing to evaluate on these, or export the whole "
            "list again"
        )
    return held


def read_published(path: Path) -> list[np.ndarray]:
    """The depth maps, arrays [H,W], of a file that the published export wrote.

    Maps of one size may have become one array [N,H,W]; else they are pickled.

    Raises:
        InputError: the file is damaged, holds something else, or asks to run code.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{PUBLISHED_KEY}.npy") as file:
            facts = archive.getinfo(f"{PUBLISHED_KEY}.npy")
            if facts.file_size > max(MOST_MAP_BYTES, MOST_TIMES_PACKED * facts.compress_size):
                raise ValueError(f"{facts.compress_size} bytes unpack to {facts.file_size}")
            readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
            shape, _, dtype = readers[npy.read_magic(file)](file)
            if dtype.hasobject:
                content = load_pickle(file, str(path))
                items = content.array if isinstance(content, PickledArray) else content
                maps = [item.array for item in items]
            else:
                maps = list(np.frombuffer(file.read(), dtype).reshape(shape))
    except InputError:
        raise
    except (*DAMAGE, AttributeError) as error:
        raise InputError(f"{path}: cannot be read as ground truth ({error})") from error
    if not all(isinstance(m, np.ndarray) and m.ndim == 2 and m.dtype.kind == "f" for m in maps):
        raise InputError(f"{path}: holds something other than depth maps; {EXPORT_HINT}")
    return maps


def open_archive(path: Path) -> np.lib.npyio.NpzFile:
    """Open the file of ground truth, one of our own or of the published export.

    Raises:
        InputError: it is missing, damaged, or of another format.
    """
    try:
        archive = np.load(check_regular(path), allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no ground truth there; {EXPORT_HINT}") from None
    except DAMAGE as error:
        raise InputError(
            f"{path}: cannot be read as ground truth ({error}); {EXPORT_HINT}"
        ) from error
    is_archive = isinstance(archive, np.lib.npyio.NpzFile)
    if not is_archive or not {KIND_KEY, PUBLISHED_KEY} & set(archive.files):
        if is_archive:
            archive.close()
        raise InputError(
            f"{path}: neither this project's ground truth nor that of the published export; "
            f"{EXPORT_HINT}"
        )
    return archive


def frame_depth(data_path: Path, line: SplitLine, kind: str) -> np.ndarray:
    """Return the ground truth of one frame, float32 [H,W] in metres, 0 where unknown.

    Raises:
        InputError: a file is missing or damaged, or no depth is known in it.
    """
    if kind == IMPROVED:
        path = improved_depth_path(data_path, line.folder, line.frame, line.side)
        depth, remedy = read_improved_depth(path), "fetch it again"
    else:
        day = day_folder(data_path, line.folder)
        path = sweep_path(data_path, line.folder, line.frame)
        calibration = read_calibration(day, with_lidar=True)
        depth = project_sweep(read_sweep(path), calibration, line.side, kind == FORWARD)
        remedy = f"check it, and the calibration in {day}"
    if not depth.any():
        raise InputError(f"{path}: gives no depth for any pixel of its image; {remedy}")
    return depth
