"""The cache: resized frames on disk, decoded once for all epochs, runs and processes.

python -m datasets.cache --data_path kitti --split eigen_zhou --use_stereo --cache_dir DIR [--plan]

A store is a folder with two files that only ever grow, the first mapped into memory:

- ``frames.bin``: frames one after another, RGB planes uint8 [3, height, width].
- ``frames.tsv``: one line per frame and state of its image file: its path below the data folder,
  its place in ``frames.bin``, size and times of the file that it was made from and the CRC-32 of
  its content, width and height of the image in there, CRC-32 of the frame, CRC-32 of the line.

A line is written after its frame is on the disk, so whatever stops the building, what the lines
name is whole. A frame is taken where its file has the size and times of a line. Where it only has
other times, its content decides: a copy of the data, or a change of its owner, costs reading it.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import time
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote_to_bytes

import numpy as np
from tqdm import tqdm

from datasets.conventions import STEREO
from datasets.frames import AREA, LANCZOS, FrameFiles, FrameStore, Row, image_state, relative
from datasets.items import TrainingItems, make_items
from datasets.layouts import LAYOUTS
from datasets.pictures import MOST_BYTES, READING_VERSION
from datasets.splits import SplitLine, load_split
from system.command_line import path_of
from system.errors import InputError, run_command
from system.files import FileState, read_bytes
from system.locks import locked
from system.terminal import offer_verbose

logger = logging.getLogger(__name__)

FRAMES_FILE, ROWS_FILE, LOCK_FILE = "frames.bin", "frames.tsv", "lock"
STORE_VERSION = 2  # raised when the files, or what is done to frames, change
CHUNK = 64  # frames between two syncs
TIMED_FRAMES = 16


def store_folder(cache_dir: Path, data_path: Path, files: FrameFiles) -> Path:
    """The folder of the store for a data set, a size, and the rules by which pictures are read."""
    size, version = f"{files.width}x{files.height}", f"v{STORE_VERSION}.{READING_VERSION}"
    return cache_dir / f"{data_path.resolve().name}_{size}_{files.resize}_{version}"


@dataclass(frozen=True)
class Plan:
    """What building a store takes."""

    folder: Path  # of the store
    found: Mapping[str, Row]  # frames that are there
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
    rows, found, missing, paths = read_rows(folder), {}, [], dict.fromkeys(paths)
    for path in paths:
        name, state = relative(path, data_path), image_state(path)
        row = next((row for row in rows.get(name, ()) if row.made_from == state), None)
        if row is None:
            missing.append(path)
        else:
            found[name] = row
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(existing).free
    return Plan(folder, found, missing, len(paths), 3 * files.height * files.width, free)


def open_store(
    folder: Path, data_path: Path, files: FrameFiles, rows: Mapping[str, Row] | None = None
) -> FrameStore:
    """Map a store into memory: those of its ``rows``, or the last one of each path."""
    held = read_rows(folder)
    if rows is None:
        rows = {name: each[-1] for name, each in held.items()}
    path, count = folder / FRAMES_FILE, num_frames(held)
    shape = (count, 3, files.height, files.width)
    if count == 0:
        return FrameStore(data_path, rows, np.empty(shape, np.uint8), path)
    _check_length(path, count, 3 * files.height * files.width)
    return FrameStore(data_path, rows, np.memmap(path, np.uint8, "r", shape=shape), path)


def num_frames(rows: Mapping[str, Sequence[Row]]) -> int:
    """How many frames the lines of a store name."""
    return 1 + max((row.number for each in rows.values() for row in each), default=-1)


def _check_length(path: Path, count: int, frame_bytes: int) -> None:
    """Refuse a file of frames that has lost some of its ``count``."""
    length = path.stat().st_size if path.exists() else 0
    if length < count * frame_bytes:
        raise InputError(f"{path}: shorter than {ROWS_FILE} says; remove the folder {path.parent}")


def build_store(
    folder: Path, data_path: Path, files: FrameFiles, paths: Sequence[Path], num_threads: int
) -> FrameStore:
    """Add to a store what it lacks of the frames at ``paths``, and open it.

    Interrupted, it keeps what it has; a second process waits for the first one and adds nothing.

    Raises:
        InputError: a frame cannot be read, or the disk has no room.
    """
    plan = plan_store(folder, data_path, files, paths)
    if plan.missing:
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
            plan = plan_store(folder, data_path, files, paths)
    if plan.missing:
        raise InputError(
            f"{plan.missing[0]}: changed while it was put into the cache; start again when the "
            "data is complete"
        )
    return open_store(folder, data_path, files, plan.found)


def seconds_per_frame(plan: Plan, files: FrameFiles) -> float:
    """How long one thread takes for a frame, from a few of them."""
    chosen = plan.missing[:: max(1, len(plan.missing) // TIMED_FRAMES)][:TIMED_FRAMES]
    start = time.perf_counter()
    for path in chosen:
        files.load(path)
    return (time.perf_counter() - start) / max(1, len(chosen))


def _add(plan: Plan, data_path: Path, files: FrameFiles, num_threads: int) -> None:
    rows_path, frames_path = plan.folder / ROWS_FILE, plan.folder / FRAMES_FILE
    rows, whole = read_rows(plan.folder), _whole_lines(rows_path)
    count = num_frames(rows)
    _check_length(frames_path, count, plan.frame_bytes)

    def make(path: Path) -> tuple[Row, np.ndarray | None]:
        """The row of an image file, and its frame unless an earlier state of it had the same."""
        state = image_state(path)
        try:
            content = zlib.crc32(read_bytes(path, MOST_BYTES))
        except OSError:
            files.load(path)  # says what is wrong
            raise
        for row in rows.get(relative(path, data_path), ()):
            if (row.made_from.size, row.content) == (state.size, content):
                return row._replace(made_from=state), None
        frame, size = files.load(path)
        return Row(-1, state, content, size, zlib.crc32(frame)), frame

    with rows_path.open("ab") as lines, frames_path.open("ab") as frames:
        lines.truncate(len(whole))  # without what a stopped building left
        frames.truncate(count * plan.frame_bytes)
        # OpenCV and Pillow work outside Python's lock.
        bar = tqdm(total=len(plan.missing), desc="cache", unit="frame")
        with ThreadPoolExecutor(num_threads) as pool, bar as progress:
            for start in range(0, len(plan.missing), CHUNK):
                chunk, text = plan.missing[start : start + CHUNK], []
                for path, (row, frame) in zip(chunk, pool.map(make, chunk)):
                    number = row.number
                    if frame is not None:
                        number, count = count, count + 1
                        frames.write(frame.tobytes())
                    text.append(line_of(relative(path, data_path), row._replace(number=number)))
                _sync(frames)
                lines.write("".join(text).encode())
                _sync(lines)
                progress.update(len(chunk))


def line_of(name: str, row: Row) -> str:
    """The line of a frame in :data:`ROWS_FILE`."""
    fields = (row.number, *row.made_from, row.content, *row.size, row.frame)
    text = "\t".join([quote(os.fsencode(name)), *map(str, fields)])
    return f"{text}\t{zlib.crc32(text.encode())}\n"


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _whole_lines(path: Path) -> bytes:
    """The lines of a file, if there is one, that were written to their end."""
    content = path.read_bytes() if path.exists() else b""
    return content[: content.rfind(b"\n") + 1]


def read_rows(folder: Path) -> dict[str, list[Row]]:
    """The frames that a store holds by path, one for each state of its file.

    Raises:
        InputError: the list is damaged.
    """
    path, rows = folder / ROWS_FILE, {}
    try:
        for line in _whole_lines(path).decode().split("\n")[:-1]:
            text, _, checksum = line.rpartition("\t")
            if int(checksum) != zlib.crc32(text.encode()):
                raise ValueError(f"not as it was written: {line[:60]!r}")
            name, *fields = text.split("\t")
            number, size, modified, changed, content, width, height, frame = map(int, fields)
            state = FileState(size, modified, changed)
            row = Row(number, state, content, (width, height), frame)
            rows.setdefault(os.fsdecode(unquote_to_bytes(name)), []).append(row)
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
    offer_verbose(parser)
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
