"""Folders that are made, and put in the place of others, while other processes look.

Of a folder that is being written to, others can tell whether somebody still does: a claim is a lock
on it, which the system takes back when the process ends, however it ends.
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

SWAP_SECONDS = 1.0  # for which a folder that cannot be replaced is tried again
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


def replace_folder(new: Path, folder: Path, kept: Path | None = None) -> None:
    """Put the complete folder ``new`` in the place of ``folder``, which becomes ``kept`` or goes.

    A kill in between leaves ``folder`` under its backup name, where :func:`recover_folder` finds
    it. That may happen while this process is only slow, and a reader may hold files open, which
    Windows minds: so it is tried for a while.
    """
    end = time.monotonic() + SWAP_SECONDS
    old = backup_of(folder)
    recover_folder(folder)
    while True:
        try:
            if folder.exists():
                if old.exists():
                    shutil.rmtree(old)
                folder.rename(old)
            new.rename(folder)
            break
        except OSError:
            if time.monotonic() > end or not new.is_dir():
                recover_folder(folder)
                raise
            time.sleep(0.02)
    if kept is not None and old.exists():
        old.replace(kept)
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(folder: Path, patience: float = 0.0) -> None:
    """Undo a :func:`replace_folder` that was killed between its two renames.

    Args:
        folder: which should be there.
        patience: seconds that another process may still take for the second one.
    """
    end, old = time.monotonic() + patience, backup_of(folder)
    while not folder.exists() and old.exists() and time.monotonic() < end:
        time.sleep(0.01)
    if not folder.exists() and old.exists():
        try:
            old.rename(folder)
        except OSError:
            if not folder.exists():  # else another process was as fast
                raise


def where_now(folder: Path) -> Path | None:
    """Where a folder is: under its backup name while it is replaced; None where it is not."""
    places = (folder, backup_of(folder), folder)  # it may come back between two looks
    return next((place for place in places if place.is_dir()), None)


def backup_of(folder: Path) -> Path:
    """Where :func:`replace_folder` keeps the old folder for a moment."""
    return folder.with_name(f".{folder.name}.old")
