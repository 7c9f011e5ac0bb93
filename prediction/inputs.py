"""Pictures and videos that are named on a command line."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from datasets.folders import NOT_READ, OTHERS, in_words, is_hidden, say_left_out, sort_out
from datasets.footage import VIDEOS
from datasets.pictures import PICTURES
from system.errors import InputError

GLOB = set("*?[")
LETTERS = re.compile(r"\[[^]]+\]|[A-Za-z]")  # of a pattern: one, or a choice
MANY_STARS = re.compile(r"\*\*+")


def find_inputs(
    paths: Sequence[Path], extension: str | None, suffixes: Collection[str] = PICTURES | VIDEOS
) -> list[Path]:
    """The files that paths on a command line name: files, folders, patterns.

    In a folder, and for a pattern, only files with ``suffixes`` count, or only those with
    ``extension`` (in any case), in the order of their names (:func:`datasets.folders.natural_key`),
    and no output of an earlier run. What else is there is said.

    Raises:
        InputError: a path does not exist, or names no picture.
    """
    if extension:
        suffixes = {"." + extension.lower().lstrip(".")}
    return list(dict.fromkeys(f for path in paths for f in _files_of(path, suffixes, extension)))


def _files_of(path: Path, suffixes: Collection[str], extension: str | None) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        listing = sort_out(path.iterdir(), path, suffixes)
        not_entered = listing.folders
    elif GLOB & set(str(path)):
        # The start that is there is meant as it is, with its brackets.
        base = next(parent for parent in path.parents if parent.is_dir())
        listing = sort_out(_matches(base, path.relative_to(base)), base, suffixes)
        not_entered = []
    else:
        raise InputError(f"--image_path {path}: there is no such file or folder; check the path")
    left_out = listing.left_out
    if extension:  # others are not asked for
        left_out = {why: left_out[why] for why in left_out if why not in (NOT_READ, OTHERS)}
    if not_entered:
        left_out = {**left_out, f"folders in it (all: '{path / '**' / '*'}')": not_entered}
    if not listing.files:
        kind = f"that ends in {next(iter(suffixes))}" if extension else "or video in it"
        others = f" (left out: {in_words(left_out)})" if left_out else ""
        raise InputError(
            f"--image_path {path}: has no picture {kind}{others}; "
            "name another ending with --ext, as in --ext png"
        )
    say_left_out(path, left_out)
    return listing.files


def _matches(base: Path, pattern: Path) -> Iterator[Path]:
    """What a pattern names, and the files of each folder that it names; endings in any case."""
    parts = [part if part == "**" else MANY_STARS.sub("*", part) for part in pattern.parts]
    if parts[-1] == "**":  # folders alone before Python 3.13, files as well from then on
        parts.append("*")
    stem, dot, ending = parts[-1].rpartition(".")
    parts[-1] = stem + dot + LETTERS.sub(_in_any_case, ending) if dot else ending
    for match in base.glob("/".join(parts)):
        yield match
        if match.is_dir() and not is_hidden(match.relative_to(base)):
            yield from (path for path in match.iterdir() if not path.is_dir())


def _in_any_case(letters: re.Match[str]) -> str:
    inside = letters[0].strip("[]")
    return f"[{inside}{inside.swapcase()}]"
