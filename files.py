"""Writing files and folders so that none is found half-written or damaged without notice."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from errors import InputError

logger = logging.getLogger(__name__)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write to; it becomes ``path`` at the end.

    When the writing fails, or is interrupted, ``path`` stays as it was. An ``OSError`` then names
    ``path``, which a full disk leaves out.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Hold a lock that the system takes back when the process ends, however it ends.

    Args:
        path: of the lock file, which stays.
        waiting: what to log when another process holds it.
    """
    with path.open("a+b") as file:
        if not _lock(file, wait=False):
            logger.info(waiting)
            while not _lock(file, wait=True):
                time.sleep(0.1)
        try:
            yield
        finally:
            _unlock(file)


if os.name == "posix":
    import fcntl

    def _lock(file: IO[bytes], wait: bool) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)

else:
    import msvcrt

    def _lock(file: IO[bytes], wait: bool) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)


def make_writable_folder(folder: Path, remedy: str) -> None:
    """Make a folder unless it is there, and try to write into it before the long work begins.

    Raises:
        InputError: it cannot be made or written to; the message ends with ``remedy``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to ({error.strerror}); {remedy}") from error


def replace_folder(new: Path, folder: Path) -> None:
    """Put the complete folder ``new`` in the place of ``folder``.

    A kill in between leaves ``folder`` under its backup name, where :func:`recover_folder` finds
    it.
    """
    recover_folder(folder)
    old = backup_of(folder)
    if old.exists():
        shutil.rmtree(old)
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        recover_folder(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """Undo a :func:`replace_folder` that was killed between its two renames."""
    if not folder.exists() and backup_of(folder).exists():
        backup_of(folder).rename(folder)


def backup_of(folder: Path) -> Path:
    """Where :func:`replace_folder` keeps the old folder for a moment."""
    return folder.with_name(f".{folder.name}.old")


SUMS_FILE = "SHA256SUMS"


def write_sums(folder: Path) -> None:
    """Write the checksums of a folder's files into it, as ``sha256sum -c SHA256SUMS`` reads them.

    All get the usual permissions; safetensors writes files that nobody else may read.
    Everything is on the disk itself when this returns, as far as the system can say.
    """
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name != SUMS_FILE)
    lines = [f"{_sha256(path)}  {path.name}\n" for path in files]
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8")
    usual = (folder / SUMS_FILE).stat().st_mode
    for path in (*files, folder / SUMS_FILE):
        path.chmod(usual)
        _sync(path)
    if os.name == "posix":  # elsewhere folders cannot be opened
        _sync(folder)


def check_sum(path: Path) -> None:
    """Compare a file with the checksum that its folder holds of it, if it does.

    Raises:
        InputError: they differ.
    """
    try:
        lines = (path.parent / SUMS_FILE).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path.parent / SUMS_FILE}: damaged ({error})") from error
    sums = {name: value for value, _, name in (line.partition("  ") for line in lines)}
    if path.name in sums and path.is_file() and sums[path.name] != _sha256(path):
        raise InputError(
            f"{path}: damaged, it differs from its checksum; take another copy of it, or remove "
            f"{SUMS_FILE} if the file was changed on purpose"
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() or os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
