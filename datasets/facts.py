"""What decides the items of a run, in few words: whoever goes on with it can say what changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

Facts = dict[str, str]  # what is said of each thing that decides the items
CONTENT_BYTES = 64 << 20  # that are read of the files of a part


def digest(text: str) -> str:
    """A short text that is another one for another text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def facts_of_files(paths: Iterable[Path]) -> Facts:
    """Names, sizes and contents of files, by their folders below the one that holds them all.

    Of files that are large together, the content counts for some that are evenly spread.
    """
    files = {path.absolute(): _size(path) for path in sorted(set(paths))}
    every = max(1, -(-sum(files.values()) // CONTENT_BYTES))
    try:
        root = Path(os.path.commonpath([path.parent for path in files]))
    except ValueError:  # none, or on several drives of Windows
        root = Path()
    lines: dict[str, list[str]] = {}
    for number, (path, size) in enumerate(files.items()):
        folder = Path(os.path.relpath(path.parent, root)) if root.name else path.parent
        content = _content(path) if number % every == 0 else ""
        lines.setdefault(folder.as_posix(), []).append(f"{path.name}\t{size}\t{content}")
    return {
        f"files in {folder}": f"{len(those)} ({digest(chr(10).join(those))})"
        for folder, those in lines.items()
    }


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # whoever reads it says so
        return 0


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "unreadable"
