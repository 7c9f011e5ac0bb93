"""Locks between processes that the system takes back when a process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from system.errors import InputError
from system.files import make_writable_folder

logger = logging.getLogger(__name__)

# Disks, mostly far away ones, that have no locks.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold a lock, after the process that has it.

    Args:
        path: of the lock file, which stays.
        waiting: what to log when another process holds it.
    """
    with path.open("a+b") as file:
        held = True
        try:
            for attempt in itertools.count():
                if _try_lock(file):
                    break
                if attempt == 0:
                    logger.info(waiting)
                time.sleep(0.1)
        except OSError as error:
            held = _has_locks(path, error)
        try:
            yield
        finally:
            if held:
                _unlock(file)


@contextmanager
def alone_at(output: Path, work: str, remedy: str) -> Iterator[None]:
    """Refuse to do a long work on an output that another process is at.

    The lock file lies beside the output and goes with the lock. A process that is killed leaves
    the file, which locks nothing.

    Args:
        output: file or folder; the folder that it is in is made, and goes again if it stays empty.
        work: what is done, as in "trains".
        remedy: what else to do than to wait.

    Raises:
        InputError: another process is at it, or the folder cannot be written to.
    """
    output = output.absolute()
    new = [folder for folder in output.parents if not folder.exists()]
    make_writable_folder(output.parent, remedy)
    path = output.with_name(f".{output.name}.lock")
    try:
        file = _open_alone(path)
        if file is None:
            raise InputError(f"{output}: another process {work} there; wait for it, or {remedy}")
        with file:
            try:
                yield
            finally:
                _remove(path, file)
    finally:
        with contextlib.suppress(OSError):  # the first one that is not empty
            for folder in new:
                folder.rmdir()


def _open_alone(path: Path) -> IO[bytes] | None:
    """A lock file, locked; None where another process has it."""
    while True:
        try:
            file = path.open("a+b")
        except FileNotFoundError:  # the folder was new, and another process has left it
            path.parent.mkdir(parents=True, exist_ok=True)
            continue
        try:
            if not _try_lock(file):
                file.close()
                return None
        except OSError as error:
            try:
                _has_locks(path, error)
            except OSError:
                file.close()
                raise
            return file
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # its owner has just removed it: it locks nothing


def _remove(path: Path, file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # elsewhere than on POSIX an open file stays
        if os.name != "posix":
            _unlock(file)
            file.close()
        path.unlink()


def _has_locks(path: Path, error: OSError) -> bool:
    """Say that a disk has no locks, False, where that is the ``error``; else raise it."""
    if error.errno not in NO_LOCKS:
        raise error
    logger.warning("%s: this disk has no locks (%s); start one process only", path, error)
    return False


def _try_lock(file: IO[bytes]) -> bool:
    try:
        _lock(file)
    except (BlockingIOError, PermissionError):  # of POSIX, of Windows
        return False
    return True


if os.name == "posix":
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)

else:
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
