"""Exporting ground truth: which frames have what theirs is made of, and the file that is written.

Finished frames are kept beside the file, so that an interrupted export goes on: with those whose
sweep, or improved depth, and calibration are what they were.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import multiprocessing
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from tqdm import tqdm

from datasets.kitti import (
    CAMERA_FILE,
    LIDAR_FILE,
    day_folder,
    first_few,
    image_paths,
    missing_files,
)
from datasets.lidar import truth_paths
from datasets.splits import SplitLine
from evaluation.ground_truth import (
    CAMERA,
    FORWARD,
    IMPROVED,
    KIND_KEY,
    LINES_KEY,
    MAP_KEY,
    frame_depth,
    open_archive,
)
from system.errors import InputError
from system.files import FileState, file_state, read_text, written_whole
from system.locks import alone_at
from system.memory import keep_freed_memory
from system.workers import end_with_parent

logger = logging.getLogger(__name__)

SETTINGS_NAME = "settings.json"  # of an export that goes on
PART_VERSION = 3  # raised when the depth of a frame, or the file that it is kept in, changes
# zlib's fastest: files are 1.2 times as large, and written and read in half of the time.
COMPRESSION = 1
SOURCES = {FORWARD: "LiDAR sweep", CAMERA: "LiDAR sweep", IMPROVED: "improved depth map"}


def lines_on_disk(data_path: Path, lines: Sequence[SplitLine], kind: str) -> list[SplitLine]:
    """Those of the lines whose image is there, and what their ground truth is made of.

    Raises:
        InputError: there are none.
    """
    truths = truth_paths(data_path, lines, kind == IMPROVED)
    images = image_paths(data_path, lines, None)
    missing = set(missing_files([*truths, *images]))
    held = [n for n, *paths in zip(lines, truths, images) if missing.isdisjoint(paths)]
    if not held:
        raise InputError(
            f"--data_path {data_path}: of none of the {len(lines)} test images, the image and its "
            f"{SOURCES[kind]} are both there; {first_few([truths[0], images[0]])} are looked for"
        )
    return held


def check_sources(data_path: Path, lines: Sequence[SplitLine], kind: str) -> None:
    """Refuse frames without what their ground truth is made of, all at once.

    Raises:
        InputError: sweeps, improved depth maps or calibrations are missing.
    """
    problems = []
    missing = missing_files(truth_paths(data_path, lines, kind == IMPROVED))
    if missing:
        problems.append(
            f"{len(missing)} of {len(lines)} {SOURCES[kind]}s are missing: {first_few(missing)}; "
            "python -m datasets.check --only test names the archives that hold them; "
            "--allow_missing exports those images of the list that are there"
        )
    if kind != IMPROVED:
        days = dict.fromkeys(day_folder(data_path, line.folder) for line in lines)
        files = [day / name for day in days if day.is_dir() for name in (CAMERA_FILE, LIDAR_FILE)]
        bare = missing_files(files)
        if bare:
            problems.append(
                f"{len(bare)} of {len(files)} calibration files are missing: {first_few(bare)}; "
                "KITTI gives each day's calibration as a separate download"
            )
    if problems:
        raise InputError("; ".join(problems))


def export_ground_truth(
    data_path: Path,
    lines: Sequence[SplitLine],
    kind: str,
    target: Path,
    num_workers: int,
    whole: bool = True,
) -> None:
    """Write the ground truth of ``lines`` to ``target``, an ``.npz`` file.

    Finished frames are kept in a folder ``<name>.parts`` beside it, so that an interrupted
    export goes on where it stopped; the folder goes when the file is there.

    Args:
        data_path: folder of the drives.
        lines: the frames, in the order of the file.
        kind: a key of :data:`KINDS`.
        target: the file.
        num_workers: processes that export frames; 0 for this one.
        whole: whether these are all test images of the split. A part does not replace a file that
            holds more.

    Raises:
        InputError: frames' files are missing or damaged, or ``target`` cannot be written.
    """
    if not data_path.is_dir():
        raise InputError(f"--data_path {data_path}: no such folder")
    remedy = "give another place with --gt_path FILE.npz"
    keep_freed_memory()
    with alone_at(target, "exports", remedy):
        _export_alone(data_path, lines, kind, target, num_workers, whole)


def _export_alone(
    data_path: Path,
    lines: Sequence[SplitLine],
    kind: str,
    target: Path,
    num_workers: int,
    whole: bool,
) -> None:
    if not whole:
        _keep_fuller(target, len(lines))
    parts = target.with_name(f"{target.stem}.parts")
    names = list(map(str, lines))
    listing = "\n".join(names)
    settings = {"data_path": str(data_path.resolve()), "kind": kind, "version": PART_VERSION}
    settings["lines"] = hashlib.sha256(listing.encode()).hexdigest()
    line_of = {parts / f"{MAP_KEY.format(i)}.npz": line for i, line in enumerate(lines)}
    goes_on = _goes_on(parts, json.dumps(settings))
    missing = {
        part: line
        for part, line in line_of.items()
        if not (goes_on and _is_done(part, data_path, line, kind))
    }
    check_sources(data_path, list(missing.values()), kind)
    _prepare_parts(parts, json.dumps(settings))
    _export_frames(data_path, kind, missing, num_workers)
    with written_whole(target) as temporary:
        _assemble(line_of, names, kind, temporary)
    shutil.rmtree(parts)


def _keep_fuller(target: Path, count: int) -> None:
    """Refuse to replace ground truth that holds more than ``count`` images."""
    if not target.is_file():
        return
    with open_archive(target) as archive:
        maps = len(set(archive.files) - {KIND_KEY, LINES_KEY})
        more = KIND_KEY not in archive.files or maps > count  # published ones are whole
    if more:
        raise InputError(
            f"{target}: holds more images than the {count} that are there now; give another place "
            "with --gt_path FILE.npz, or move it"
        )


def _goes_on(parts: Path, settings: str) -> bool:
    """Whether there are parts of an interrupted export with the same settings."""
    path = parts / SETTINGS_NAME
    return path.is_file() and read_text(path) == settings


def _prepare_parts(parts: Path, settings: str) -> None:
    """Keep the parts of an interrupted export with the same settings; begin anew otherwise."""
    path = parts / SETTINGS_NAME
    if _goes_on(parts, settings):
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
        count = min(num_workers, len(missing))
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker)
    with pool or nullcontext():
        apply = map if pool is None else pool.map
        exported = apply(partial(_export_frame, data_path, kind), missing, missing.values())
        for _ in tqdm(exported, total=len(missing), desc="ground truth", unit="frame"):
            pass


def _start_worker() -> None:
    end_with_parent()
    keep_freed_memory()


def _export_frame(data_path: Path, kind: str, part: Path, line: SplitLine) -> None:
    made_from = json.dumps(_sources(data_path, line, kind))  # before they are read
    depth = frame_depth(data_path, line, kind)
    with written_whole(part) as temporary, temporary.open("wb") as file:
        # As points: the map is compressed once, when it comes to its place.
        places = np.flatnonzero(depth != 0).astype(np.uint32)
        known = depth.ravel()[places]
        np.savez(file, shape=depth.shape, places=places, known=known, made_from=made_from)


def _map_of(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The depth map of what a part holds."""
    depth = np.zeros(arrays["shape"], np.float32)
    depth.ravel()[arrays["places"]] = arrays["known"]
    return depth


def _sources(data_path: Path, line: SplitLine, kind: str) -> dict[str, FileState]:
    """The files that the depth of a frame is made of and that are there, by path."""
    day = day_folder(data_path, line.folder)
    calibration = [] if kind == IMPROVED else [day / CAMERA_FILE, day / LIDAR_FILE]
    states = {}
    for path in (*truth_paths(data_path, [line], kind == IMPROVED), *calibration):
        with suppress(OSError):
            states[str(path.absolute())] = file_state(path)
    return states


def _is_done(part: Path, data_path: Path, line: SplitLine, kind: str) -> bool:
    """Whether a part is whole and of the files that are there now; those that went do not count."""
    try:
        with np.load(part, allow_pickle=False) as arrays:
            said = json.loads(str(arrays["made_from"]))
            _map_of(arrays)  # whole, or it raises
        now = _sources(data_path, line, kind)
        return all(FileState(*said[name]) == state for name, state in now.items())
    except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error, zipfile.BadZipFile):
        return False


def _assemble(parts: Iterable[Path], names: Sequence[str], kind: str, path: Path) -> None:
    """Join the parts into one archive, holding one frame in memory at a time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        _add_array(archive, KIND_KEY, np.array(kind))
        _add_array(archive, LINES_KEY, np.array(names))
        for index, part in enumerate(parts):
            with np.load(part, allow_pickle=False) as arrays:
                _add_array(archive, MAP_KEY.format(index), _map_of(arrays))


def _add_array(archive: zipfile.ZipFile, key: str, array: np.ndarray) -> None:
    info = zipfile.ZipInfo(f"{key}.npy")  # without the time, so that the same maps are one file
    info.compress_type, info.external_attr = archive.compression, 0o600 << 16
    content = io.BytesIO()
    npy.write_array(content, array, allow_pickle=False)
    archive.writestr(info, content.getbuffer(), compresslevel=COMPRESSION)
