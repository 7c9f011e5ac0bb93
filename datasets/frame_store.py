"""Resized frames kept on disk, mapped into memory: decoded once for all epochs, runs and processes.

A store is a folder with two files that only ever grow:

- ``frames.bin``: frames one after another, RGB planes uint8 [3, height, width].
- ``frames.tsv``: one line per frame, in the same order: its path below the data folder, size and
  time of the file that it was made from, width and height of the image in there.

A line is written after its frame is on the disk, so whatever stops the building, what the lines
name is whole. A later line for a path replaces an earlier one.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from tqdm import tqdm

from datasets.frames import FrameFiles, wrong_size
from errors import InputError
from files import locked

logger = logging.getLogger(__name__)

FRAMES_FILE, ROWS_FILE, LOCK_FILE = "frames.bin", "frames.tsv", "lock"
CHUNK = 64  # frames between two syncs
TIMED_FRAMES = 16


@dataclass(frozen=True)
class Row:
    """One frame of a store.

    Attributes:
        number: its place in ``frames.bin``.
        file_size: of the image file, bytes.
        file_time: its modification, nanoseconds.
        size: (width, height) of the image.
    """

    number: int
    file_size: int
    file_time: int
    size: tuple[int, int]

    def is_of(self, facts: os.stat_result) -> bool:
        """Whether the frame was made from a file as it is now."""
        return (self.file_size, self.file_time) == (facts.st_size, facts.st_mtime_ns)


@dataclass(frozen=True)
class FrameStore:
    """Frames from a store; as :class:`FrameFiles` to those who read.

    Attributes:
        data_path: folder that the paths in the store are below.
        rows: per path.
        frames: [N, 3, height, width] uint8, mapped.
    """

    data_path: Path
    rows: Mapping[str, Row]
    frames: np.ndarray

    def read(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        """The frame at ``path``, RGB uint8 [3, height, width], not to be written to.

        Raises:
            InputError: the store does not hold it, or it was of another size than (width, height).
        """
        row = self.rows.get(relative(path, self.data_path))
        if row is None:
            raise InputError(f"{path}: is not in the cache; start again to add it")
        if row.size != size:
            raise InputError(wrong_size(path, row.size, size))
        return self.frames[row.number]


def relative(path: Path, data_path: Path) -> str:
    """How a store names a frame."""
    return path.relative_to(data_path).as_posix()


def store_folder(cache_dir: Path, data_path: Path, files: FrameFiles) -> Path:
    """The folder of the store for a data set and a size."""
    return cache_dir / f"{data_path.resolve().name}_{files.width}x{files.height}_{files.resize}"


@dataclass(frozen=True)
class Plan:
    """What building a store takes.

    Attributes:
        folder: of the store.
        missing: frames to add.
        num_frames: asked for.
        frame_bytes: of one frame.
        free_bytes: on the disk.
    """

    folder: Path
    missing: list[Path]
    num_frames: int
    frame_bytes: int
    free_bytes: int

    @property
    def missing_bytes(self) -> int:
        """What will be added to the disk."""
        return len(self.missing) * self.frame_bytes

    def __str__(self) -> str:
        size, total = self.missing_bytes / 2**30, self.num_frames * self.frame_bytes / 2**30
        return (
            f"{self.folder}: {len(self.missing)} of {self.num_frames} frames to add, "
            f"{size:.2f} of {total:.2f} GiB; {self.free_bytes / 2**30:.1f} GiB free"
        )


def plan_store(folder: Path, data_path: Path, files: FrameFiles, paths: Iterable[Path]) -> Plan:
    """Compare a store with the image files that are needed.

    Raises:
        InputError: a file is missing, or the store cannot be read.
    """
    rows = read_rows(folder)
    missing, count = [], 0
    for path in dict.fromkeys(paths):
        count += 1
        row = rows.get(relative(path, data_path))
        try:
            facts = path.stat()
        except OSError:
            raise InputError(f"{path}: no such image") from None
        if row is None or not row.is_of(facts):
            missing.append(path)
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(existing).free
    return Plan(folder, missing, count, 3 * files.height * files.width, free)


def open_store(folder: Path, data_path: Path, files: FrameFiles) -> FrameStore:
    """Map a store into memory."""
    rows = read_rows(folder)
    count = 1 + max((row.number for row in rows.values()), default=-1)
    shape = (count, 3, files.height, files.width)
    path = folder / FRAMES_FILE
    if count == 0:
        return FrameStore(data_path, rows, np.empty(shape, np.uint8))
    if path.stat().st_size < np.prod(shape):
        raise InputError(f"{path}: shorter than {ROWS_FILE} says; remove the folder {folder}")
    return FrameStore(data_path, rows, np.memmap(path, np.uint8, "r", shape=shape))


def build_store(
    folder: Path, data_path: Path, files: FrameFiles, paths: Iterable[Path], num_threads: int
) -> FrameStore:
    """Add to a store what it lacks of the frames at ``paths``, and open it.

    Interrupted, it keeps what it has; a second process waits for the first one and adds nothing.

    Raises:
        InputError: a frame cannot be read, or the disk has no room.
    """
    paths = list(dict.fromkeys(paths))
    plan = plan_store(folder, data_path, files, paths)
    if plan.missing:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / LOCK_FILE, f"waiting for another process that builds {folder}"):
            plan = plan_store(folder, data_path, files, paths)
            logger.info("cache %s", plan)
            if plan.missing_bytes > plan.free_bytes:
                raise InputError(
                    f"--cache_dir: {plan}; take another disk, or train without the cache"
                )
            try:
                _add(plan, data_path, files, max(1, num_threads))
            except OSError as error:
                raise InputError(
                    f"{folder}: cannot be written to ({error.strerror}); what is there stays good"
                ) from error
    return open_store(folder, data_path, files)


def seconds_per_frame(plan: Plan, files: FrameFiles) -> float:
    """How long one thread takes for a frame, from a few of them."""
    chosen = plan.missing[:: max(1, len(plan.missing) // TIMED_FRAMES)][:TIMED_FRAMES]
    start = time.perf_counter()
    for path in chosen:
        files.load(path)
    return (time.perf_counter() - start) / max(1, len(chosen))


def _add(plan: Plan, data_path: Path, files: FrameFiles, num_threads: int) -> None:
    rows_path = plan.folder / ROWS_FILE
    whole, count = _whole_lines(rows_path)
    if rows_path.exists():
        os.truncate(rows_path, whole)
    with rows_path.open("ab") as lines, (plan.folder / FRAMES_FILE).open("ab") as frames:
        frames.truncate(count * plan.frame_bytes)  # without what a stopped building left
        # OpenCV and Pillow work outside Python's lock.
        with ThreadPoolExecutor(num_threads) as pool, _progress(plan) as progress:
            for chunk in _chunks(plan.missing):
                facts = [path.stat() for path in chunk]
                made = list(pool.map(files.load, chunk))
                frames.writelines(frame.tobytes() for frame, _ in made)
                _sync(frames)
                for path, fact, (_, size) in zip(chunk, facts, made):
                    fields = (relative(path, data_path), fact.st_size, fact.st_mtime_ns, *size)
                    lines.write(("\t".join(map(str, fields)) + "\n").encode())
                _sync(lines)
                progress.update(len(chunk))


def _progress(plan: Plan) -> tqdm:
    return tqdm(total=len(plan.missing), desc="cache", unit="frame")


def _chunks(paths: list[Path]) -> Iterator[list[Path]]:
    for start in range(0, len(paths), CHUNK):
        yield paths[start : start + CHUNK]


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _whole_lines(path: Path) -> tuple[int, int]:
    """Bytes and number of the lines that were written to their end."""
    content = path.read_bytes() if path.exists() else b""
    return content.rfind(b"\n") + 1, content.count(b"\n")


def read_rows(folder: Path) -> dict[str, Row]:
    """The frames that a store holds, by path.

    Raises:
        InputError: the list is damaged.
    """
    path = folder / ROWS_FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    rows = {}
    whole = content[: content.rfind(b"\n") + 1]
    try:
        for number, line in enumerate(whole.decode().splitlines()):
            name, *fields = line.split("\t")
            file_size, file_time, width, height = map(int, fields)
            rows[name] = Row(number, file_size, file_time, (width, height))
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); remove the folder {folder}") from error
    return rows
