"""The cache: resized frames on disk, decoded once for all epochs, runs and processes.

python -m datasets.cache --data_path kitti --split eigen_zhou --use_stereo --cache_dir DIR [--plan]

A store is a folder with two files that only ever grow, the first mapped into memory:

- ``frames.bin``: frames one after another, RGB planes uint8 [3, height, width].
- ``frames.tsv``: one line per frame, in the same order: its path below the data folder, size and
  time of the file that it was made from, width and height of the image in there.

A line is written after its frame is on the disk, so whatever stops the building, what the lines
name is whole. A later line for a path replaces an earlier one.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from tqdm import tqdm

from datasets.conventions import STEREO
from datasets.frames import AREA, LANCZOS, FrameFiles, FrameStore, Row, relative
from datasets.items import TrainingItems, make_items
from datasets.layouts import LAYOUTS
from datasets.splits import SplitLine, load_split
from system.command_line import path_of
from system.errors import InputError, run_command
from system.files import locked

logger = logging.getLogger(__name__)

FRAMES_FILE, ROWS_FILE, LOCK_FILE = "frames.bin", "frames.tsv", "lock"
CHUNK = 64  # frames between two syncs
TIMED_FRAMES = 16


def store_folder(cache_dir: Path, data_path: Path, files: FrameFiles) -> Path:
    """The folder of the store for a data set and a size."""
    return cache_dir / f"{data_path.resolve().name}_{files.width}x{files.height}_{files.resize}"


@dataclass(frozen=True)
class Plan:
    """What building a store takes."""

    folder: Path  # of the store
    missing: list[Path]  # frames to add
    num_frames: int  # asked for
    frame_bytes: int  # of one frame
    free_bytes: int  # on the disk

    def __str__(self) -> str:
        size, total = (n * self.frame_bytes / 2**30 for n in (len(self.missing), self.num_frames))
        return (
            f"{self.folder}: {len(self.missing)} of {self.num_frames} frames to add, "
            f"{size:.2f} of {total:.2f} GiB; {self.free_bytes / 2**30:.1f} GiB free"
        )


def plan_store(folder: Path, data_path: Path, files: FrameFiles, paths: Sequence[Path]) -> Plan:
    """Compare a store with the image files that are needed.

    Raises:
        InputError: a file is missing, or the store cannot be read.
    """
    rows, missing, paths = read_rows(folder), [], dict.fromkeys(paths)
    for path in paths:
        row = rows.get(relative(path, data_path))
        try:
            facts = path.stat()
        except OSError:
            raise InputError(f"{path}: no such image") from None
        if row is None or row.made_from != (facts.st_size, facts.st_mtime_ns):
            missing.append(path)
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(existing).free
    return Plan(folder, missing, len(paths), 3 * files.height * files.width, free)


def open_store(folder: Path, data_path: Path, files: FrameFiles) -> FrameStore:
    """Map a store into memory."""
    rows = read_rows(folder)
    path, count = folder / FRAMES_FILE, 1 + max((row.number for row in rows.values()), default=-1)
    shape = (count, 3, files.height, files.width)
    if count == 0:
        return FrameStore(data_path, rows, np.empty(shape, np.uint8))
    if path.stat().st_size < np.prod(shape):
        raise InputError(f"{path}: shorter than {ROWS_FILE} says; remove the folder {folder}")
    return FrameStore(data_path, rows, np.memmap(path, np.uint8, "r", shape=shape))


def build_store(
    folder: Path, data_path: Path, files: FrameFiles, paths: Sequence[Path], num_threads: int
) -> FrameStore:
    """Add to a store what it lacks of the frames at ``paths``, and open it.

    Interrupted, it keeps what it has; a second process waits for the first one and adds nothing.

    Raises:
        InputError: a frame cannot be read, or the disk has no room.
    """
    if plan_store(folder, data_path, files, paths).missing:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / LOCK_FILE, f"waiting for another process that builds {folder}"):
            plan = plan_store(folder, data_path, files, paths)
            logger.info("cache %s", plan)
            if len(plan.missing) * plan.frame_bytes > plan.free_bytes:
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
    whole = _whole_lines(rows_path)
    with rows_path.open("ab") as lines, (plan.folder / FRAMES_FILE).open("ab") as frames:
        lines.truncate(len(whole))  # without what a stopped building left
        frames.truncate(whole.count(b"\n") * plan.frame_bytes)
        # OpenCV and Pillow work outside Python's lock.
        bar = tqdm(total=len(plan.missing), desc="cache", unit="frame")
        with ThreadPoolExecutor(num_threads) as pool, bar as progress:
            for start in range(0, len(plan.missing), CHUNK):
                chunk = plan.missing[start : start + CHUNK]
                facts = [path.stat() for path in chunk]
                made = list(pool.map(files.load, chunk))
                frames.writelines(frame.tobytes() for frame, _ in made)
                _sync(frames)
                for path, fact, (_, size) in zip(chunk, facts, made):
                    fields = (relative(path, data_path), fact.st_size, fact.st_mtime_ns, *size)
                    lines.write(("\t".join(map(str, fields)) + "\n").encode())
                _sync(lines)
                progress.update(len(chunk))


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _whole_lines(path: Path) -> bytes:
    """The lines of a file, if there is one, that were written to their end."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def read_rows(folder: Path) -> dict[str, Row]:
    """The frames that a store holds, by path.

    Raises:
        InputError: the list is damaged.
    """
    path, rows = folder / ROWS_FILE, {}
    try:
        for number, line in enumerate(_whole_lines(path).decode().splitlines()):
            name, *fields = line.split("\t")
            file_size, file_time, width, height = map(int, fields)
            rows[name] = Row(number, (file_size, file_time), (width, height))
    except ValueError as error:
        raise InputError(f"{path}: damaged ({error}); remove the folder {folder}") from error
    return rows


def with_cache(items: TrainingItems, cache_dir: Path, num_threads: int) -> TrainingItems:
    """The same items, their frames from a store below ``cache_dir``; see :func:`build_store`."""
    files = items.frames
    folder = store_folder(cache_dir, items.data_path, files)
    store = build_store(folder, items.data_path, files, items.all_paths(), num_threads)
    return replace(items, frames=store)


def data_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """A parser that knows which frames of which data are meant."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data_path", type=path_of, default=Path("kitti_data"), help="the data")
    parser.add_argument("--dataset", default="kitti", choices=tuple(LAYOUTS), help="as training")
    parser.add_argument("--split", default="eigen_zhou", help="name of a split, or a folder")
    parser.add_argument("--frame_ids", type=int, nargs="+", default=[0, -1, 1], help="as training")
    parser.add_argument("--use_stereo", action="store_true", help="as training")
    parser.add_argument("--png", action="store_true", help="as training")
    parser.add_argument("--height", type=int, default=192, help="as training")
    parser.add_argument("--width", type=int, default=640, help="as training")
    parser.add_argument("--resize", default=AREA, choices=(AREA, LANCZOS), help="as training")
    parser.add_argument("--num_workers", type=int, default=4, help="as training")
    return parser


def source_ids(args: argparse.Namespace) -> tuple[int | str, ...]:
    """The sources that such a command line names."""
    return (*args.frame_ids[1:], *((STEREO,) if args.use_stereo else ()))


def items_of(args: argparse.Namespace, lines: Sequence[SplitLine]) -> TrainingItems:
    """The items that training with such a command line makes of a split; see :func:`make_items`."""
    return make_items(
        args.data_path,
        lines,
        source_ids(args),
        args.height,
        args.width,
        args.png or None,
        layout=LAYOUTS[args.dataset],
        resize=args.resize,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, say what it takes, and build."""
    parser = data_parser("python -m datasets.cache", __doc__.splitlines()[0])
    parser.add_argument("--cache_dir", type=path_of, required=True, help="folder of the cache")
    parser.add_argument("--plan", action="store_true", help="say what it would take, and stop")
    args = parser.parse_args(arguments)
    if not args.data_path.is_dir():
        raise InputError(f"--data_path {args.data_path}: no such folder")
    files = FrameFiles(args.height, args.width, args.resize)
    folder = store_folder(args.cache_dir, args.data_path, files)
    items = [items_of(args, load_split(args.split, part)) for part in ("train", "val")]
    paths = [path for each in items for path in each.all_paths()]
    plan = plan_store(folder, args.data_path, files, paths)
    threads = max(1, args.num_workers)
    hours = len(plan.missing) * seconds_per_frame(plan, files) / threads / 3600
    print(f"{plan}; about {hours:.2f} hours with {threads} threads on as many cores")
    if not args.plan:
        build_store(folder, args.data_path, files, paths, threads)


if __name__ == "__main__":
    run_command(main)
