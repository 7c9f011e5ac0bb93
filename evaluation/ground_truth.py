"""Ground truth of a split's test images, one sparse depth map each: ``gt_depths.npz``.

The first part opens such files. Our own are read one image at a time. Those of the published export
hold one pickled array of arrays, which is read whole, by the restricted reader. The second part
exports them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable

import numpy as np
from numpy.lib import format as npy
from tqdm import tqdm

from datasets.kitti import day_folder, improved_depth_path, read_calibration, sweep_path
from datasets.lidar import project_sweep, read_improved_depth, read_sweep
from datasets.splits import SplitLine, split_folder
from system.errors import InputError
from system.files import check_regular, make_writable_folder, read_text, written_whole
from weight_files.restricted_pickle import PickledArray, load_pickle

logger = logging.getLogger(__name__)

FILE_NAME = "gt_depths.npz"
KIND_KEY, MAP_KEY = "kind", "{:06d}"  # in the file: of the kind, and of an image's depth map
SETTINGS_NAME = "settings.json"  # of an export that goes on

FORWARD, CAMERA, IMPROVED = "velodyne_forward", "velodyne_camera", "kitti_improved"
PUBLISHED_KEY = "data"
KINDS = {
    FORWARD: "raw LiDAR, its forward coordinate (as published)",
    CAMERA: "raw LiDAR, true camera depth",
    IMPROVED: "improved KITTI depth, accumulated over frames",
}

EXPORT_HINT = "make it with export_gt_depth.py --data_path KITTI --split SPLIT"


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
    if split_name != "eigen_benchmark":
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

    Attributes:
        kind: a key of :data:`KINDS`.
        count: of the maps.
        read: a map by its place.
        close: ends the use of the file.
    """

    kind: str
    count: int
    read: Callable[[int], np.ndarray]
    close: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        return self.read(index)

    def __exit__(self, *_: object) -> None:
        self.close()


def open_ground_truth(path: Path, count: int, published_kind: str = FORWARD) -> GroundTruth:
    """Open the ground truth of a split of ``count`` test images.

    A file of the published export does not say its kind: ``published_kind`` does.

    Raises:
        InputError: the file is missing, damaged, of another format, or of another count.
    """
    archive = _open_archive(path)
    if KIND_KEY in archive.files:
        truth = _own(archive, path)
    else:
        archive.close()
        maps = read_published(path)
        truth = GroundTruth(published_kind, len(maps), maps.__getitem__)
    if len(truth) != count:
        raise InputError(
            f"{path}: holds {len(truth)} images, but the split's test list has {count}; "
            f"{EXPORT_HINT}"
        )
    return truth


def open_truth_of_split(split: str, gt_path: Path | None, count: int) -> GroundTruth:
    """Open the ground truth of a split of ``count`` test images, see :func:`open_ground_truth`."""
    kind = ground_truth_kind(split_folder(split).resolve().name, camera_depth=False)
    return open_ground_truth(ground_truth_file(split, gt_path), count, kind)


def _own(archive: np.lib.npyio.NpzFile, path: Path) -> GroundTruth:
    kind = str(archive[KIND_KEY])
    if kind not in KINDS:
        raise InputError(f"{path}: unknown kind of ground truth '{kind}'; {EXPORT_HINT}")

    def read(index: int) -> np.ndarray:
        try:
            return archive[MAP_KEY.format(index)]
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path}: image {index} cannot be read ({error}); {EXPORT_HINT}"
            ) from error

    return GroundTruth(kind, len(archive.files) - 1, read, archive.close)


def read_published(path: Path) -> list[np.ndarray]:
    """The depth maps float32 [H,W] of a file that the published export wrote.

    Maps of one size may have become one array [N,H,W]; else they are pickled.

    Raises:
        InputError: the file is damaged, holds something else, or asks to run code.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{PUBLISHED_KEY}.npy") as file:
            readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
            shape, _, dtype = readers[npy.read_magic(file)](file)
            if dtype.hasobject:
                content = load_pickle(file, str(path))
                items = content.array if isinstance(content, PickledArray) else content
                maps = [item.array for item in items]
            else:
                maps = list(np.frombuffer(file.read(), dtype).reshape(shape))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as ground truth ({error})") from error
    if not all(isinstance(m, np.ndarray) and m.ndim == 2 and m.dtype.kind == "f" for m in maps):
        raise InputError(f"{path}: holds something other than depth maps; {EXPORT_HINT}")
    return [depth.astype(np.float32, copy=False) for depth in maps]


def _open_archive(path: Path) -> np.lib.npyio.NpzFile:
    try:
        archive = np.load(check_regular(path), allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no ground truth there; {EXPORT_HINT}") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as ground truth ({error})") from error
    is_archive = isinstance(archive, np.lib.npyio.NpzFile)
    if not is_archive or not {KIND_KEY, PUBLISHED_KEY} & set(archive.files):
        raise InputError(
            f"{path}: neither this project's ground truth nor that of the published export; "
            f"{EXPORT_HINT}"
        )
    return archive


def frame_depth(data_path: Path, line: SplitLine, kind: str) -> np.ndarray:
    """Return the ground truth of one frame, float32 [H,W] in metres, 0 where unknown."""
    if kind == IMPROVED:
        path = improved_depth_path(data_path, line.folder, line.frame, line.side)
        return read_improved_depth(path)
    calibration = read_calibration(day_folder(data_path, line.folder), with_lidar=True)
    sweep = read_sweep(sweep_path(data_path, line.folder, line.frame))
    return project_sweep(sweep, calibration, line.side, forward_depth=kind == FORWARD)


def export_ground_truth(
    data_path: Path, lines: Sequence[SplitLine], kind: str, target: Path, num_workers: int
) -> None:
    """Write the ground truth of ``lines`` to ``target``, an ``.npz`` file.

    Finished frames are kept in a folder ``<name>.parts`` beside it, so that an interrupted
    export goes on where it stopped; the folder goes when the file is there.

    Raises:
        InputError: a frame's files are missing or damaged, or ``target`` cannot be written.
    """
    if not data_path.is_dir():
        raise InputError(f"--data_path {data_path}: no such folder")
    make_writable_folder(target.parent, "give another place with --gt_path FILE.npz")
    parts = target.with_name(f"{target.stem}.parts")
    listing = "\n".join(f"{line.folder} {line.frame} {line.side}" for line in lines)
    settings = {"data_path": str(data_path.resolve()), "kind": kind}
    settings["lines"] = hashlib.sha256(listing.encode()).hexdigest()
    _prepare_parts(parts, json.dumps(settings))
    line_of = {parts / f"{MAP_KEY.format(i)}.npz": line for i, line in enumerate(lines)}
    missing = {part: line for part, line in line_of.items() if not part.exists()}
    _export_frames(data_path, kind, missing, num_workers)
    with written_whole(target) as temporary:
        _assemble(line_of, kind, temporary)
    shutil.rmtree(parts)


def _prepare_parts(parts: Path, settings: str) -> None:
    """Keep the parts of an interrupted export with the same settings; begin anew otherwise."""
    path = parts / SETTINGS_NAME
    if path.is_file() and read_text(path) == settings:
        logger.info("continuing the export in %s", parts)
        return
    if parts.exists():
        if not path.is_file() and any(parts.iterdir()):
            raise InputError(f"{parts}: is no folder of this export; move it, or give --gt_path")
        logger.info("%s belongs to another export: beginning anew", parts)
        shutil.rmtree(parts)
    parts.mkdir(parents=True)
    with written_whole(path) as temporary:
        temporary.write_text(settings, encoding="utf-8")


def _export_frames(
    data_path: Path, kind: str, missing: Mapping[Path, SplitLine], num_workers: int
) -> None:
    """Write the depth of frames, each to its part."""
    pool = None
    if num_workers > 0 and len(missing) > 1:
        context = multiprocessing.get_context("spawn")  # the same on every system
        pool = ProcessPoolExecutor(min(num_workers, len(missing)), mp_context=context)
    with pool or nullcontext():
        apply = map if pool is None else pool.map
        exported = apply(partial(_export_frame, data_path, kind), missing, missing.values())
        for _ in tqdm(exported, total=len(missing), desc="ground truth", unit="frame"):
            pass


def _export_frame(data_path: Path, kind: str, part: Path, line: SplitLine) -> None:
    depth = frame_depth(data_path, line, kind)
    with written_whole(part) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, depth=depth)


def _assemble(parts: Iterable[Path], kind: str, path: Path) -> None:
    """Join the parts into one archive, holding one frame in memory at a time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        _add_array(archive, KIND_KEY, np.array(kind))
        for index, part in enumerate(parts):
            with np.load(part, allow_pickle=False) as arrays:
                _add_array(archive, MAP_KEY.format(index), arrays["depth"])


def _add_array(archive: zipfile.ZipFile, key: str, array: np.ndarray) -> None:
    with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
        npy.write_array(file, array, allow_pickle=False)
