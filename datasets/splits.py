"""Lists of frames: which images a split trains on, validates on and tests on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from errors import InputError

PUBLISHED_NAMES = ("eigen", "eigen_zhou", "eigen_full", "eigen_benchmark", "benchmark", "odom")
PARTS = ("train", "val", "test")
SIDES = ("l", "r")

_PUBLISHED_FOLDER = Path(__file__).resolve().parents[1] / "splits"


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

    A published name wins over a folder of the same name, which ``./name`` still reaches.
    The folder of a published name may not exist: :func:`load_split` says what to do then.

    Raises:
        InputError: neither a published name nor a folder.
    """
    if name_or_dir in PUBLISHED_NAMES:
        return _PUBLISHED_FOLDER / name_or_dir
    folder = Path(name_or_dir)
    if not folder.is_dir():
        raise InputError(
            f"split '{name_or_dir}' is neither a published name nor a folder; known names: "
            f"{', '.join(PUBLISHED_NAMES)}"
        )
    return folder


def load_split(name_or_dir: str, part: str) -> list[SplitLine]:
    """Read one part (``train``, ``val`` or ``test``) of a split, in the order of its file.

    Raises:
        InputError: unknown split, or its ``<part>_files.txt`` is missing, empty or malformed.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {PARTS}, got {part!r}")
    path = split_folder(name_or_dir) / f"{part}_files.txt"
    if not path.is_file() and name_or_dir in PUBLISHED_NAMES:
        raise InputError(
            f"split '{name_or_dir}': its {part} list does not come with the project yet; give a "
            f"folder that holds {path.name} instead (--split DIR), or put the published text "
            f"files into {path.parent}"
        )
    return read_split_file(path)


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
    numbered = enumerate(text.splitlines(), start=1)
    lines = [_parse_line(line, path, number) for number, line in numbered if line.strip()]
    if not lines:
        raise InputError(f"{path}: empty; it needs one 'folder frame side' per line")
    return lines


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
