"""Lists of frames: which images a split trains on, validates on and tests on.

The published ones are held in a compact form: ``splits/<name>.json`` says in other words what the
split's text files say:

- ``drives``: per folder the frames of its training and validation lists together, as ranges. In
  every published split both cameras have the same ones.
- ``validation``: which of them are for validation: one bit per folder, frame and side (l before
  r) in that order, packed, compressed by zlib, in base64.
- ``tests``: per test file the frames of each folder in their published order, left camera;
  ``frame_digits`` says how many digits a frame number is written with, at least.
- ``anonymous``: the number of test images that have no drive.

``python -m datasets.splits NAME [train|val|test]`` prints a split; ``--write DIR`` writes its text
files. ``--from FILE [--to FILE]`` converts a list of another project
(:mod:`datasets.split_formats`).
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np

from datasets.split_formats import convert, is_frame
from system.command_line import path_of
from system.errors import InputError, run_command
from system.files import make_writable_folder, read_text, written_whole
from system.terminal import offer_verbose

FOLDER = Path(__file__).resolve().parents[1] / "splits"
PUBLISHED_NAMES = ("eigen", "eigen_zhou", "eigen_full", "eigen_benchmark", "benchmark", "odom")
PARTS = ("train", "val", "test")
SIDES = {"l": "l", "r": "r", "2": "l", "3": "r"}  # as lists write them, KITTI's cameras too
MOST_LINES = 2_000_000  # of a list; they take half a gigabyte in memory
LONGEST_FOLDER = 1000  # characters; file systems take 4096 with all that is around it
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
IMPROVED_SPLIT = "eigen_benchmark"  # measured on KITTI's improved depth, not on sweeps
TRAIN_FILE, VAL_FILE, TEST_FILE = (f"{part}_files.txt" for part in PARTS)


@dataclass(frozen=True)
class SplitLine:
    """One line of a split: a frame of a drive, seen by one camera of the stereo pair.

    ``folder`` is relative to the data folder (``2011_09_26/2011_09_26_drive_0001_sync``),
    ``side`` is ``l`` (KITTI's camera 2) or ``r`` (camera 3).
    """

    folder: str
    frame: int
    side: str

    def __str__(self) -> str:
        """The line as it stands in a split file."""
        return f"{self.folder} {self.frame} {self.side}"


def split_folder(name_or_dir: str) -> Path:
    """Return the folder of a split, given by a published name or by the path of a folder.

    A published name wins over a folder of the same name, which ``./name`` still reaches. The
    folder of a published name holds no lists, and may not exist: it is the place of what belongs
    to the split. A folder that is not there is looked for among those of the published names, where
    the published code has all lists.

    Raises:
        InputError: neither a published name nor a folder.
    """
    if name_or_dir in PUBLISHED_NAMES:
        return FOLDER / name_or_dir
    folder = path_of(name_or_dir)
    if not folder.is_dir() and (FOLDER / name_or_dir).is_dir():
        return FOLDER / name_or_dir
    if not folder.is_dir():
        raise InputError(
            f"split '{name_or_dir}' is neither a published name nor a folder; known names: "
            f"{', '.join(PUBLISHED_NAMES)}"
        )
    return folder


def load_split(name_or_dir: str, part: str) -> list[SplitLine]:
    """Read one part (``train``, ``val`` or ``test``) of a split, in the order of its list.

    Raises:
        InputError: unknown split, or its ``<part>_files.txt`` is missing, empty or malformed.
    """
    if name_or_dir in PUBLISHED_NAMES:
        lines = published_lines(name_or_dir, part)
        if lines[0].startswith("image "):
            raise InputError(
                f"split '{name_or_dir}': its {part} images belong to no drive of KITTI raw"
            )
        return _parse_lines(lines, Path(f"{name_or_dir}/{part}_files.txt"))
    return read_split_file(split_folder(name_or_dir) / f"{part}_files.txt")


def published_lines(name: str, part: str) -> list[str]:
    """The lines of one part of a published split, of all its files if it has several.

    Raises:
        InputError: the split has no such part.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {PARTS}, got {part!r}")
    files = published_files(name)
    lines = [line for file in files if file.startswith(part) for line in files[file]]
    if not lines:
        having = (n for n in PUBLISHED_NAMES if any(f.startswith(part) for f in published_files(n)))
        raise InputError(f"split '{name}': has no {part} list; these have: {', '.join(having)}")
    return lines


def read_split_file(path: Path) -> list[SplitLine]:
    """Read a list of frames: one ``folder frame side`` per line, as the published lists do.

    Raises:
        InputError: the file is missing, is not text, has no line, or has a malformed line.
    """
    text = _read_list(path, str(path), "a split's folder needs it")
    lines = _parse_lines(text.splitlines(), path)
    if not lines:
        raise InputError(f"{path}: empty; it needs one 'folder frame side' per line")
    return lines


def _read_list(path: Path, name: str, advice: str) -> str:
    """The text of a list of frames; messages call it ``name``."""
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; {advice}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read as a list of frames ({error})") from error
    if text.count("\n") > MOST_LINES:
        raise InputError(f"{name}: has more than {MOST_LINES} lines; make several lists of it")
    return text


def _parse_lines(lines: Iterable[str], path: Path) -> list[SplitLine]:
    parsed = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = line.strip().rsplit(maxsplit=2)  # names of folders may have spaces
        if len(fields) != 3 or not is_frame(fields[1]) or fields[2] not in SIDES:
            raise InputError(
                f"{path}, line {number}: expected 'folder frame side' with a whole frame number "
                f"and side l or r (or 2 or 3), got '{line.strip()[:80]}'"
            )
        if len(fields[0]) > LONGEST_FOLDER or CONTROL.search(fields[0]):
            raise InputError(
                f"{path}, line {number}: no folder can be named '{fields[0][:80]}'; it is too "
                "long, or holds characters that cannot be written"
            )
        parsed.append(SplitLine(_folder(fields[0]), int(fields[1]), SIDES[fields[2]]))
    return parsed


@cache
def _folder(text: str) -> str:
    """A folder in one spelling: with ``/``, also where Windows wrote it, and none at the end."""
    return PurePosixPath(text.replace("\\", "/")).as_posix()


@cache
def published_files(name: str) -> Mapping[str, tuple[str, ...]]:
    """The text files of a published split by name, each as its lines.

    Training and validation lists come sorted by folder, frame and side; training shuffles them.
    """
    return decode((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def decode(text: str) -> dict[str, tuple[str, ...]]:
    """Files and their lines from the compact form."""
    content = json.loads(text)
    files = {}
    if "drives" in content:
        lines = [
            f"{folder} {frame} {side}"
            for folder, ranges in content["drives"].items()
            for frame in _frames(ranges)
            for side in "lr"
        ]
        packed = zlib.decompress(base64.b64decode(content["validation"]))
        is_val = np.unpackbits(np.frombuffer(packed, np.uint8), count=len(lines)).astype(bool)
        files[TRAIN_FILE] = tuple(line for line, val in zip(lines, is_val) if not val)
        files[VAL_FILE] = tuple(line for line, val in zip(lines, is_val) if val)
    digits = content.get("frame_digits", 1)
    for file, drives in content.get("tests", {}).items():
        files[file] = tuple(
            f"{folder} {frame:0{digits}d} l"
            for folder, frames in drives.items()
            for frame in _frames(frames)
        )
    if "anonymous" in content:
        files[TEST_FILE] = tuple(f"image {i}" for i in range(content["anonymous"]))
    return files


def _frames(ranges: str) -> list[int]:
    """The numbers of ``3 5-9 2``: runs of following ones as ``first-last``."""
    frames: list[int] = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        frames.extend(range(int(first), int(last or first) + 1))
    return frames


def convert_file(source: Path, target: Path | None) -> None:
    """Convert a list of another project into ``target``, or onto the terminal.

    Raises:
        InputError: see :func:`datasets.split_formats.convert`; or a file cannot be read or written.
    """
    text = _read_list(source, f"--from {source}", "name the list to convert")
    if target is not None and target.is_dir():
        raise InputError(f"--to {target}: is a folder; name the list, as {target / TRAIN_FILE}")
    converted = convert(text.splitlines(), str(source))
    content = "".join(f"{line}\n" for line in converted.lines)
    if target is None:
        sys.stdout.write(content)
    else:
        make_writable_folder(target.parent, "choose another place for --to")
        with written_whole(target) as path:
            path.write_text(content, encoding="utf-8")
    depth = f"; {converted.without_depth} without depth" if converted.without_depth else ""
    written = "" if target is None else f"; wrote {target}"
    said = f"{source}: {len(converted.lines)} lines, {converted.form}{depth}{written}"
    print(said, file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line; print a part of a published split, write its files, or convert."""
    parser = argparse.ArgumentParser(
        prog="python -m datasets.splits",
        description="Print a published split, write its text files, or convert a list of another "
        "project.",
    )
    offer_verbose(parser)
    parser.add_argument("name", nargs="?", choices=PUBLISHED_NAMES, help="of the split")
    parser.add_argument("part", nargs="?", choices=PARTS, help="list to print")
    parser.add_argument(
        "--write", type=path_of, metavar="DIR", help="write all files into a folder"
    )
    parser.add_argument(
        "--from",
        dest="source",
        type=path_of,
        metavar="FILE",
        help="convert a list of SfMLearner, Monodepth or BTS",
    )
    parser.add_argument(
        "--to", type=path_of, metavar="FILE", help="write it, as DIR/train_files.txt; else print it"
    )
    options = parser.parse_args(arguments)
    if options.source is not None:
        if options.name is not None or options.write is not None:
            parser.error("--from FILE goes with --to FILE only")
        convert_file(options.source, options.to)
        return
    if options.name is None or options.to is not None:
        parser.error("name a published split, or a list to convert with --from FILE")
    if options.part is None and options.write is None:
        parser.error("name a part to print, or a folder with --write DIR")
    if options.part:
        sys.stdout.writelines(f"{line}\n" for line in published_lines(options.name, options.part))
    if options.write:
        make_writable_folder(options.write, "choose another folder for --write")
        for file, lines in published_files(options.name).items():
            with written_whole(options.write / file) as path:
                path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            print(f"wrote {options.write / file}", file=sys.stderr)


if __name__ == "__main__":
    run_command(main)
