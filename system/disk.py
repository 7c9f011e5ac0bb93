"""What a disk refuses: told as the error that it is, whatever a library makes of it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from system.errors import InputError

BLOCK = 4096  # bytes that a disk gives at once
OS_ERROR = re.compile(r"\(os error (\d+)\)")  # how libraries written in Rust name it


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise what libraries make of a full disk as the ``OSError`` that it is.

    Args:
        path: that is written; others lie on the same disk.
    """
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    except Exception as error:
        said = OS_ERROR.search(str(error))
        if said is not None:
            raise OSError(int(said[1]), os.strerror(int(said[1])), str(path)) from error
        check_room(path)
        raise


def check_room(path: Path) -> None:
    """Raise OSError unless something can still be written beside ``path``."""
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(bytes(BLOCK))
    except OSError as error:
        error.filename = str(path)
        raise


@contextmanager
def told_as_input(path: Path, remedy: str) -> Iterator[None]:
    """Raise an ``OSError`` of writing ``path`` as an InputError, which ends in ``remedy``."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); {remedy}"
        ) from error
