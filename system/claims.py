"""New folders to write to, of which others can tell whether somebody still does.

A claim is a lock on the folder, which the system takes back when the process ends, however it ends.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None

ABANDONED = 24 * 3600  # seconds without a change, where no lock tells that nobody writes any more


def claimed_folder(folder: Path) -> tuple[Path, int | None]:
    """An empty folder beside ``folder``, and what marks it as in use until it is closed."""
    while True:
        new = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.new")
        new.mkdir()
        with suppress(BlockingIOError, FileNotFoundError):  # taken for abandoned just now
            claim = _claim(new)
            if claim is None or new.is_dir():
                return new, claim
            os.close(claim)


def remove_abandoned(folder: Path) -> None:
    """Remove what :func:`claimed_folder` made for processes that were killed since."""
    name = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{8}}\.new")
    with suppress(OSError):  # may not be listed
        for path in [path for path in folder.parent.iterdir() if name.fullmatch(path.name)]:
            with suppress(BlockingIOError, FileNotFoundError):
                claim = _claim(path)
                if claim is not None or time.time() - _last_change(path) > ABANDONED:
                    shutil.rmtree(path, ignore_errors=True)
                if claim is not None:
                    os.close(claim)


def _claim(folder: Path) -> int | None:
    """Mark a folder as in use, until what is returned is closed or the process ends.

    None where the system has no locks for folders.

    Raises:
        BlockingIOError: somebody has it.
        FileNotFoundError: there is no such folder.
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise
        return None
    return descriptor


def _last_change(folder: Path) -> float:
    """When something in a folder was last written, seconds since 1970."""
    times = [time.time()]
    with suppress(OSError):
        times = [path.stat().st_mtime for path in (folder, *folder.rglob("*"))]
    return max(times)
