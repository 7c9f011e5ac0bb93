"""Renders generated streets in the layout of KITTI raw: a data set that needs no download.

``python -m datasets.streets OUT`` writes stereo pairs, LiDAR sweeps, calibration and the lists
``OUT/splits/{train,val,test}_files.txt``. The same settings give the same files, whatever the
number of workers; a second run finishes what an interrupted one left.
"""

from __future__ import annotations

import argparse
import io
import logging
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from datasets.kitti import frame_path, sweep_path
from datasets.streets.render import render_image
from datasets.streets.sensors import calibration_files, kitti_camera, right_camera_pose, scan_street
from datasets.streets.world import Street, make_street
from system.command_line import path_of
from system.errors import InputError
from system.files import json_text, written_whole
from system.terminal import offer_verbose
from system.workers import leave_stops_to_parent

logger = logging.getLogger(__name__)

RENDERER_VERSION = 5  # to be raised when the same settings give other files
COMPLETE, PARTIAL = "streets.json", "streets.partial.json"
DATE = "2000_01_01"  # a day on which KITTI recorded nothing
SPLITS = ("train", "val", "test")
TEST_STRIDE = 3  # frames between two test items
JPEG_QUALITY = 92
FRAMES_TOGETHER = 15  # at most so many frames of a drive are one task for a worker
LARGEST_KEPT = 24 << 20  # bytes; up to 32 MiB has an effect


def _setting(default: int, text: str) -> int:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class StreetSettings:
    """What to generate; the files are a function of this alone.

    Raises:
        InputError: A value is out of range.
    """

    seed: int = _setting(0, "draws the streets; another seed gives other streets")
    width: int = _setting(424, "image width in pixels")
    height: int = _setting(128, "image height in pixels")
    train_drives: int = _setting(12, "number of drives to train on")
    val_drives: int = _setting(2, "number of drives to validate on")
    test_drives: int = _setting(3, "number of drives to test on")
    frames: int = _setting(30, "frames per drive, ten a second")
    png: bool = _setting(False, "write PNG images instead of JPEG")

    def __post_init__(self) -> None:
        # Frames: a training item needs both neighbours.
        lowest = {"seed": 0, "width": 32, "height": 32, "frames": 3, "png": 0}
        for name, value in asdict(self).items():
            if value < lowest.get(name, 1):
                raise InputError(f"--{name} {value}: must be at least {lowest.get(name, 1)}")


@dataclass(frozen=True)
class Drive:
    """One drive of the data set: its split, its place in the split and its folder."""

    split: str
    index: int
    folder: str  # relative to the data set


def list_drives(settings: StreetSettings) -> list[Drive]:
    """All drives in the order of their numbers: training, validation, test."""
    counts = (settings.train_drives, settings.val_drives, settings.test_drives)
    members = [(split, i) for split, count in zip(SPLITS, counts) for i in range(count)]
    return [
        Drive(split, index, f"{DATE}/{DATE}_drive_{number:04d}_sync")
        for number, (split, index) in enumerate(members, start=1)
    ]


@lru_cache(maxsize=2)  # a worker renders frame after frame of a drive
def load_street(settings: StreetSettings, drive: Drive) -> Street:
    """The world of a drive and the motion through it."""
    seed = np.random.SeedSequence([settings.seed, SPLITS.index(drive.split), drive.index])
    return make_street(seed, drive.index, settings.frames)


def generate_streets(out: Path, settings: StreetSettings, num_workers: int | None = None) -> None:
    """Write the data set of ``settings`` to ``out``, or what is missing of it there.

    Args:
        out: New or empty folder, or one that an earlier run with the same settings wrote to.
        settings: What to generate.
        num_workers: Processes that render, by default one per core; 0 or 1 render in this one.

    Raises:
        InputError: ``out`` holds something else, or ``num_workers`` is negative.
    """
    if num_workers is None:
        num_workers = os.cpu_count() or 1
    if num_workers < 0:
        raise InputError(f"--num_workers {num_workers}: must be at least 0")
    is_complete = _claim_folder(out, settings)
    tasks = [
        (drive, frame)
        for drive in list_drives(settings)
        for frame in range(settings.frames)
        if not all(path.exists() for path in _frame_files(out, settings, drive, frame))
    ]
    texts = _text_files(out, settings)
    if is_complete and not tasks and all(path.exists() for path in texts):
        logger.info(f"{out} already holds these streets: nothing to do")
        return
    for path, text in texts.items():
        _write(path, text.encode())
    _render_all(out, settings, tasks, num_workers)
    _write(out / COMPLETE, _manifest(settings))
    (out / PARTIAL).unlink(missing_ok=True)
    logger.info(f"wrote {len(tasks)} stereo pairs with sweeps to {out}")


def _claim_folder(out: Path, settings: StreetSettings) -> bool:
    """Make sure that ``out`` is ours to write to; True if an earlier run finished there."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file: name a new folder to write the streets to")
    for name in (COMPLETE, PARTIAL):
        if (out / name).exists():
            if (out / name).read_bytes() != _manifest(settings):
                raise InputError(
                    f"{out} holds streets of other settings (see {out / name}): name another "
                    "folder, or delete this one to generate them anew"
                )
            return name == COMPLETE
    if out.exists() and any(out.iterdir()):
        raise InputError(
            f"{out} holds files that are not generated streets: name a new or an empty folder"
        )
    _write(out / PARTIAL, _manifest(settings))
    return False


def _manifest(settings: StreetSettings) -> bytes:
    content = {"renderer_version": RENDERER_VERSION, **asdict(settings)}
    return json_text(content).encode()


def _text_files(out: Path, settings: StreetSettings) -> dict[Path, str]:
    """Calibration and split lists by path.

    Splits list both cameras of every frame with two neighbours; to test, the left camera of some.
    """
    calibration = calibration_files(kitti_camera(settings.width, settings.height))
    files = {out / DATE / name: text for name, text in calibration.items()}
    for drive in list_drives(settings):
        frames, sides = range(1, settings.frames - 1), "lr"
        if drive.split == "test":
            frames, sides = range(0, settings.frames, TEST_STRIDE), "l"
        lines = [f"{drive.folder} {frame} {side}\n" for frame in frames for side in sides]
        path = out / "splits" / f"{drive.split}_files.txt"
        files[path] = files.get(path, "") + "".join(lines)
    return files


def _frame_files(
    out: Path, settings: StreetSettings, drive: Drive, frame: int
) -> tuple[Path, Path, Path]:
    """Left image, right image and sweep of a frame."""
    suffix = "png" if settings.png else "jpg"
    left, right = (frame_path(out, drive.folder, frame, side, suffix) for side in "lr")
    return left, right, sweep_path(out, drive.folder, frame)


def _render_all(
    out: Path, settings: StreetSettings, tasks: list[tuple[Drive, int]], num_workers: int
) -> None:
    """Render the frames of ``tasks``, showing progress."""
    with tqdm(total=len(tasks), desc="streets", unit="frame") as progress:
        if num_workers <= 1:
            _keep_memory()
            for drive, frame in tasks:
                _render_frame(out, settings, drive, frame)
                progress.update()
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(num_workers, context, initializer=_start_worker) as pool:
            parts = [pool.submit(_render_frames, out, settings, part) for part in _parts(tasks)]
            try:
                for done in as_completed(parts):
                    progress.update(done.result())
            except BaseException:
                # Frames under way are finished, those that wait are not begun.
                pool.shutdown(wait=True, cancel_futures=True)
                raise


def _parts(tasks: list[tuple[Drive, int]]) -> Iterator[list[tuple[Drive, int]]]:
    """Frames of one drive, for one worker: it draws the drive's street once."""
    for _, frames in groupby(tasks, key=lambda task: task[0]):
        part = list(frames)
        for start in range(0, len(part), FRAMES_TOGETHER):
            yield part[start : start + FRAMES_TOGETHER]


def _render_frames(out: Path, settings: StreetSettings, tasks: list[tuple[Drive, int]]) -> int:
    """Render frames, and say how many."""
    for drive, frame in tasks:
        _render_frame(out, settings, drive, frame)
    return len(tasks)


def _start_worker() -> None:
    cv2.setNumThreads(1)  # the workers share the cores between them
    leave_stops_to_parent()
    _keep_memory()


def _keep_memory() -> None:
    """Have glibc keep what is freed: it takes an array from the system no more often than needed.

    It returns freed memory at once unless a block as large has been freed before (mallopt(3),
    M_MMAP_THRESHOLD). Clearing new pages was a quarter of the time of a picture.
    """
    block = np.empty(LARGEST_KEPT, np.uint8)
    del block


def _render_frame(out: Path, settings: StreetSettings, drive: Drive, frame: int) -> None:
    """Render one frame: two images and a sweep."""
    street = load_street(settings, drive)
    camera = kitti_camera(settings.width, settings.height)
    left_file, right_file, sweep_file = _frame_files(out, settings, drive, frame)
    left = street.poses[frame]
    for pose, file in ((left, left_file), (right_camera_pose(left), right_file)):
        image, encoded = Image.fromarray(render_image(street, frame, pose, camera)), io.BytesIO()
        kind = "PNG" if settings.png else "JPEG"  # PNG takes no notice of the other options
        image.save(encoded, kind, quality=JPEG_QUALITY, subsampling=0)
        _write(file, encoded.getvalue())
    _write(sweep_file, scan_street(street, frame).tobytes())


def _write(file: Path, content: bytes) -> None:
    """Write a file into a folder that is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(file) as temporary:
        temporary.write_bytes(content)


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and generate the data set."""
    parser = argparse.ArgumentParser(
        prog="python -m datasets.streets",
        description="Render generated streets in the layout of KITTI raw.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    offer_verbose(parser)
    parser.add_argument("out", type=path_of, help="folder to write to")
    for setting in fields(StreetSettings):
        kind = {"action": "store_true"} if setting.name == "png" else {"type": int}
        parser.add_argument(
            f"--{setting.name}", default=setting.default, help=setting.metadata["help"], **kind
        )
    parser.add_argument("--num_workers", type=int, help="processes, by default one per core")
    options = vars(parser.parse_args(arguments))
    out, num_workers = options.pop("out"), options.pop("num_workers")
    generate_streets(out, StreetSettings(**options), num_workers)
