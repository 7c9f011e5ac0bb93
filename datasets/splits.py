"""Lists of frames: which images a split trains on, validates on and tests on.

``python -m datasets.splits NAME [train|val|test]`` prints a split; ``--write DIR`` writes its text
files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets.published_splits import FOLDER, published_files
from errors import InputError, run_command
from files import make_writable_folder, written_whole

PUBLISHED_NAMES = ("eigen", "eigen_zhou", "eigen_full", "eigen_benchmark", "benchmark", "odom")
PARTS = ("train", "val", "test")
SIDES = ("l", "r")


@dataclass(frozen=True)
class SplitLine:
    """One line of a split: a frame of a drive, seen by one camera of the stereo pair.

    ``folder`` is relative to the data folder (``2011_09_26/2011_09_26_drive_0001_sync``),
    ``side`` is ``l`` (KITTI's camera 2) or ``r`` (camera 3).
    """

    folder: str
    frame: int
    side: str


def split_folder(name_or_dir: str) -> Path:
    """Return the folder of a split, given by a published name or by the path of a folder.

    A published name wins over a folder of the same name, which ``./name`` still reaches. The
    folder of a published name holds no lists, and may not exist: it is the place of what belongs
    to the split.

    Raises:
        InputError: neither a published name nor a folder.
    """
    if name_or_dir in PUBLISHED_NAMES:
        return FOLDER / name_or_dir
    folder = Path(name_or_dir)
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
        others = [other for other in PUBLISHED_NAMES if _has_part(other, part)]
        raise InputError(f"split '{name}': has no {part} list; these have: {', '.join(others)}")
    return lines


def _has_part(name: str, part: str) -> bool:
    return any(file.startswith(part) for file in published_files(name))


def read_split_file(path: Path) -> list[SplitLine]:
    """Read a list of frames: one ``folder frame side`` per line, as the published lists do.

    Raises:
        InputError: the file is missing, is not text, has no line, or has a malformed line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; a split's folder needs it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of frames ({error})") from error
    lines = _parse_lines(text.splitlines(), path)
    if not lines:
        raise InputError(f"{path}: empty; it needs one 'folder frame side' per line")
    return lines


def _parse_lines(lines: Iterable[str], path: Path) -> list[SplitLine]:
    numbered = enumerate(lines, start=1)
    return [_parse_line(line, path, number) for number, line in numbered if line.strip()]


def _parse_line(line: str, path: Path, number: int) -> SplitLine:
    fields = line.split()
    well_formed = (
        len(fields) == 3 and fields[1].isascii() and fields[1].isdecimal() and fields[2] in SIDES
    )
    if not well_formed:
        raise InputError(
            f"{path}, line {number}: expected 'folder frame side' with a whole frame number and "
            f"side l or r, got '{line.strip()[:80]}'"
        )
    return SplitLine(folder=fields[0], frame=int(fields[1]), side=fields[2])


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line; print a part of a published split, or write its files."""
    parser = argparse.ArgumentParser(
        prog="python -m datasets.splits",
        description="Print a published split, or write its text files.",
    )
    parser.add_argument("name", choices=PUBLISHED_NAMES, help="of the split")
    parser.add_argument("part", nargs="?", choices=PARTS, help="list to print")
    parser.add_argument("--write", type=Path, metavar="DIR", help="write all files into a folder")
    options = parser.parse_args(arguments)
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
