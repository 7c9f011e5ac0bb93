"""What decides the items of a run, in few words: whoever goes on with it can say what changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from system.files import sha256

Facts = dict[str, str]  # what is said of each thing that decides the items
CONTENT_BYTES = 64 << 20  # that are read of the files of a part


def digest(text: str) -> str:
    """A short text that is another one for another text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def facts_of_files(paths: Iterable[Path]) -> Facts:
    """Names, sizes and contents of files, by their folders below the one that holds them all.

    Of files that are large together, the content counts for some that are evenly spread.
    """
    names: dict[str, set[str]] = {}
    for path in paths:
        folder, name = os.path.split(path)
        names.setdefault(folder, set()).add(name)
    files = dict(sorted(pair for folder, those in names.items() for pair in _sizes(folder, those)))
    every = max(1, -(-sum(files.values()) // CONTENT_BYTES))
    lines: dict[str, list[str]] = {}
    for number, (path, size) in enumerate(files.items()):
        folder, name = os.path.split(path)
        content = _content(path) if number % every == 0 else ""
        lines.setdefault(folder, []).append(f"{name}\t{size}\t{content}")
    return {
        f"files in {_below(lines, folder)}": f"{len(those)} ({digest(chr(10).join(those))})"
        for folder, those in lines.items()
    }


def _below(folders: Iterable[str], folder: str) -> str:
    """One of some folders, as seen from the one that holds them all."""
    try:
        return Path(os.path.relpath(folder, os.path.commonpath(folders))).as_posix()
    except ValueError:  # they are on several drives of Windows
        return folder


def _sizes(folder: str, names: set[str]) -> Iterator[tuple[str, int]]:
    """Absolute paths and sizes of files in a folder; 0 of what is not there: its reader says so."""
    sizes = dict.fromkeys(names, 0)
    with suppress(OSError), os.scandir(folder or os.curdir) as entries:
        for entry in entries:
            if entry.name in names:
                with suppress(OSError):
                    sizes[entry.name] = entry.stat().st_size
    place = os.path.abspath(folder)  # noqa: PTH100 - resolve() would follow links
    return ((f"{place.rstrip(os.sep)}{os.sep}{name}", size) for name, size in sizes.items())


def _content(path: str) -> str:
    try:
        return sha256(Path(path))
    except OSError:
        return "unreadable"
