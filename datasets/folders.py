"""What a folder of pictures and videos holds: the files that count, in the order that people mean.

Numbers in names count as numbers: ``frame_2`` comes before ``frame_10``. What does not count is
kept with the reason, so that nothing is left out without a word.
"""

from __future__ import annotations

import logging
import re
import stat
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from datasets.picture_kinds import UNREAD

logger = logging.getLogger(__name__)

# Files and folders that systems and programs leave among those of people, in small letters; also
# all whose names begin with a dot (``._a.jpg`` and ``.DS_Store`` of macOS).
OF_SYSTEMS = frozenset(
    (
        *("__macosx", "icon\r", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),
        *("@eadir", "@recycle", "@recently-snapshot", "@tmp", "#recycle", "#snapshot"),
        *("$recycle.bin", "recycler", "system volume information", "lost+found", "found.000"),
    )
)
# What predictions of a picture or video are called, behind its name.
OUTPUT = re.compile(
    r"_(disp\.(jpeg|png|npy|json|mp4|webm)|depth(\.(png|npy))?|side\.jpeg|cloud\.ply|mesh\.glb)$"
)
HIDDEN = "hidden, or made by the system"
OUTPUTS = "named like what predicting writes"
NOT_READ = "of a kind that is not read (convert them to JPEG or PNG)"
OTHERS = "neither picture nor video"
NO_FILE = "no file, or a link that leads nowhere"
SHOWN = 3  # names per reason
NUMBER = re.compile(r"([0-9]+)")
# Text and numbers by turns, with a fraction or, at the start, a sign.
REAL_NUMBER = re.compile(r"(^-[0-9]+(?:\.[0-9]+)?|(?<![\d.])[0-9]+\.[0-9]+(?![\d.])|[0-9]+)")

LeftOut = dict[str, list[Path]]  # what does not count, by the reason


@dataclass(frozen=True)
class Listing:
    """What some paths are, each list in the order of :func:`natural_key`."""

    files: list[Path] = field(default_factory=list)  # those that count
    folders: list[Path] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=dict)


def is_hidden(path: PurePath) -> bool:
    """Whether any part of a relative path is hidden, or of an operating system."""
    return any(
        (part.startswith(".") and part not in (".", "..")) or part.casefold() in OF_SYSTEMS
        for part in path.parts
    )


def sort_out(
    paths: Iterable[Path],
    below: Path,
    suffixes: Collection[str],
    own: AbstractSet[str] = frozenset(),
) -> Listing:
    """Sort paths into files that count, folders, and what is left out.

    Args:
        paths: all below one folder.
        below: that folder, whose own name may be of any kind.
        suffixes: of the files that count, in small letters.
        own: names of files and folders that belong there without counting, and are passed over.
    """
    listing = Listing()
    seen = {path: path.relative_to(below) for path in paths}
    for path, relative in sorted(seen.items(), key=lambda item: path_key(item[1])):
        if not own.isdisjoint(relative.parts):
            continue
        try:
            mode = path.stat().st_mode
        except OSError:
            mode = 0
        if is_hidden(relative):
            reason = HIDDEN
        elif any(OUTPUT.search(part) for part in relative.parts):
            reason = OUTPUTS
        elif stat.S_ISDIR(mode):
            listing.folders.append(path)
            continue
        elif path.suffix.lower() not in suffixes:
            reason = NOT_READ if path.suffix.lower() in UNREAD else OTHERS
        elif not stat.S_ISREG(mode):
            reason = NO_FILE
        else:
            listing.files.append(path)
            continue
        listing.left_out.setdefault(reason, []).append(path)
    return listing


def list_folder(
    folder: Path, suffixes: Collection[str], own: AbstractSet[str] = frozenset()
) -> Listing:
    """What a folder holds, without what its folders hold; see :func:`sort_out`."""
    return sort_out(folder.iterdir(), folder, suffixes, own)


def in_words(left_out: Mapping[str, Sequence[Path]]) -> str:
    """What was left out and why, for people."""
    return "; ".join(
        f"{len(paths)} {reason}: {', '.join(path.name for path in paths[:SHOWN])}"
        + (", …" if len(paths) > SHOWN else "")
        for reason, paths in left_out.items()
    )


def say_left_out(where: Path, left_out: Mapping[str, Sequence[Path]]) -> None:
    """Say what was left out of a folder, if anything was."""
    if left_out:
        logger.warning("%s: left out: %s", where, in_words(left_out))


def tokens(text: str) -> list[str]:
    """The parts of a name, text (also empty) and number by turns, in one spelling of letters."""
    return NUMBER.split(unicodedata.normalize("NFKC", text).casefold())


def natural_key(name: str) -> tuple[object, ...]:
    """What names are sorted by, so that numbers in them count as numbers."""
    stem, dot, suffix = name.rpartition(".")
    parts = tokens(stem if dot and stem else name)
    numbers = (part.lstrip("0") for part in parts[1::2])
    sizes = [(len(number), number) for number in numbers]
    key = [part for pair in zip(parts[::2], (*sizes, (0, ""))) for part in pair]
    return (key, suffix.casefold(), name)


def path_key(path: PurePath) -> tuple[object, ...]:
    """What relative paths are sorted by: folder by folder, see :func:`natural_key`."""
    return tuple(natural_key(part) for part in path.parts)


def order_doubt(paths: Sequence[Path]) -> str | None:
    """Why nobody can tell the order of pictures from their names; None where it is clear.

    Args:
        paths: of one folder, in the order of :func:`natural_key`.
    """
    names = [path.stem for path in paths]
    parts = [tokens(name) for name in names]
    if not any(len(each) > 1 for each in parts):
        twice = next(
            (i for i, pair in enumerate(zip(parts, parts[1:])) if pair[0] == pair[1]), None
        )
        return None if twice is None else _doubt(paths[twice], paths[twice + 1], "the same name")
    for before, after, path, other in zip(parts, parts[1:], paths, paths[1:]):
        differing = next((i for i, (a, b) in enumerate(zip(before, after)) if _differ(i, a, b)), 0)
        if differing % 2 == 0:
            how = "other text" if _numbers(before) != _numbers(after) else "the same number"
            return _doubt(path, other, how)
    by_value = sorted(names, key=_real_key)
    at = next((i for i, (a, b) in enumerate(zip(names, by_value)) if a != b), None)
    if at is not None:
        return (
            f"{by_value[at]} comes first where the numbers in the names have fractions or signs, "
            f"{names[at]} where they have none"
        )
    return _restarted(paths, parts)


def _doubt(path: Path, other: Path, how: str) -> str:
    return f"{path.name} and {other.name} have {how} (two cameras, several rides, or a copy)"


def _differ(index: int, part: str, other: str) -> bool:
    """Whether two parts at one place of two names differ; numbers by their value."""
    return part.lstrip("0") != other.lstrip("0") if index % 2 else part != other


def _numbers(parts: Sequence[str]) -> list[str]:
    return [number.lstrip("0") for number in parts[1::2]]


def _real_key(name: str) -> list[object]:
    parts = REAL_NUMBER.split(unicodedata.normalize("NFKC", name).casefold())
    return [float(part) if i % 2 else part for i, part in enumerate(parts)]


LAST_OF_CAMERAS = 9999  # after which they count from 1 again


def _restarted(paths: Sequence[Path], parts: Sequence[Sequence[str]]) -> str | None:
    """Why a camera seems to have counted from the start again, between the first and the last."""
    varying = varying_columns(parts)
    if len(varying) != 1:
        return None
    numbers = [int(each[varying[0]]) for each in parts]
    gap = max((b - a for a, b in zip(numbers, numbers[1:])), default=0)
    if numbers[0] > 1 or numbers[-1] != LAST_OF_CAMERAS or gap <= LAST_OF_CAMERAS // 2:
        return None
    return (
        f"between {paths[0].name} and {paths[-1].name} most numbers are missing: cameras count "
        f"from 1 again after {LAST_OF_CAMERAS}; rename those that come after it"
    )


def varying_columns(parts: Sequence[Sequence[str]]) -> list[int]:
    """The places of numbers that are not the same in all names, which have as many parts each."""
    if len({len(each) for each in parts}) != 1:
        return []
    columns = range(1, len(parts[0]), 2)
    return [i for i in columns if len({each[i].lstrip("0") for each in parts}) > 1]


def moments(names: Sequence[str]) -> list[tuple[str, ...]]:
    """What says which names of two folders are of the same moment: the numbers that change.

    Text, and numbers that are the same in the whole folder (of the camera, the day), do not count.
    Where no number changes, it is the whole name.
    """
    parts = [tokens(name) for name in names]
    varying = varying_columns(parts) if parts else []
    if not varying:
        return [tuple(each) for each in parts]
    return [tuple(each[i].lstrip("0") for i in varying) for each in parts]
