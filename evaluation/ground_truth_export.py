"""Export of the ground truth of a split: one sparse depth map per test image."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.kitti import day_folder, improved_depth_path, read_calibration, sweep_path
from datasets.lidar import project_sweep, read_improved_depth, read_sweep
from datasets.splits import SplitLine
from errors import InputError
from evaluation.ground_truth import CAMERA, FORWARD, IMPROVED, KIND_KEY, array_key
from files import make_writable_folder, written_whole

logger = logging.getLogger(__name__)

SETTINGS_NAME = "settings.json"


@dataclass(frozen=True)
class FrameTask:
    """The export of one frame: what a worker process needs to know."""

    data_path: Path
    line: SplitLine
    kind: str
    part: Path


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


def frame_depth(data_path: Path, line: SplitLine, kind: str) -> np.ndarray:
    """Return the ground truth of one frame, float32 [H,W] in metres, 0 where unknown."""
    if kind == IMPROVED:
        return read_improved_depth(
            improved_depth_path(data_path, line.folder, line.frame, line.side)
        )
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
    _prepare_parts(parts, _settings(data_path, lines, kind))
    tasks = [
        FrameTask(data_path, line, kind, parts / f"{array_key(index)}.npz")
        for index, line in enumerate(lines)
    ]
    _export_frames([task for task in tasks if not task.part.exists()], num_workers)
    with written_whole(target) as temporary:
        _assemble([task.part for task in tasks], kind, temporary)
    shutil.rmtree(parts)


def _settings(data_path: Path, lines: Sequence[SplitLine], kind: str) -> str:
    listing = "\n".join(f"{line.folder} {line.frame} {line.side}" for line in lines)
    return json.dumps(
        {
            "data_path": str(data_path.resolve()),
            "kind": kind,
            "lines": hashlib.sha256(listing.encode()).hexdigest(),
        }
    )


def _prepare_parts(parts: Path, settings: str) -> None:
    """Keep the parts of an interrupted export with the same settings; begin anew otherwise."""
    path = parts / SETTINGS_NAME
    if path.is_file() and path.read_text(encoding="utf-8") == settings:
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


def _export_frames(tasks: Sequence[FrameTask], num_workers: int) -> None:
    if num_workers == 0 or len(tasks) < 2:
        _wait_for(map(_export_frame, tasks), len(tasks))
        return
    context = multiprocessing.get_context("spawn")  # the same on every system
    with ProcessPoolExecutor(min(num_workers, len(tasks)), mp_context=context) as pool:
        _wait_for(pool.map(_export_frame, tasks), len(tasks))


def _wait_for(finished: Iterable[None], count: int) -> None:
    for _ in tqdm(finished, total=count, desc="ground truth", unit="frame"):
        pass


def _export_frame(task: FrameTask) -> None:
    depth = frame_depth(task.data_path, task.line, task.kind)
    with written_whole(task.part) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, depth=depth)


def _assemble(parts: Sequence[Path], kind: str, path: Path) -> None:
    """Join the parts into one archive, holding one frame in memory at a time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        _add_array(archive, KIND_KEY, np.array(kind))
        for index, part in enumerate(parts):
            with np.load(part, allow_pickle=False) as arrays:
                _add_array(archive, array_key(index), arrays["depth"])


def _add_array(archive: zipfile.ZipFile, key: str, array: np.ndarray) -> None:
    with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)
