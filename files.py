"""Writing files so that none is ever found half-written, and knowing early that one can be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from errors import InputError


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
