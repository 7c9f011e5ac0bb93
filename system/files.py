"""Files and folders: read within bounds, and written so that none is found half-written."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import math
import os
import secrets
import shutil
import stat
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from system.checksums import SUMS_FILE, compare_sum, parse_sums
from system.disk import check_room, disk_errors
from system.errors import InputError
from system.folders import claimed_folder, remove_abandoned, replace_folder

logger = logging.getLogger(__name__)

MOST_BYTES = 64 << 20  # of a text; the longest published list of frames has 3 MB
MOST_JSON = 1 << 20  # bytes of a JSON file; in memory it takes fifty times as much
LARGEST_NUMBER = 2**63 - 1  # among the whole numbers of JSON


def check_regular(path: Path, most: int | None = None) -> Path:
    """``path``, if it is a file that reading comes to the end of.

    Args:
        path: of the file.
        most: bytes that it may have; None for any number.

    Raises:
        OSError: it is missing, a pipe, a device or a folder, or larger; ``strerror`` says what.
    """
    _check_facts(_facts(path), path, most)
    return path


def _facts(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except ValueError as error:  # a NUL in the name
        raise OSError(errno.EINVAL, f"no file can have this name ({error})", str(path)) from None


def _check_facts(facts: os.stat_result, path: Path, most: int | None) -> None:
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    if most is not None and facts.st_size > most:
        words = f"it has {facts.st_size} bytes, and at most {most} are read"
        raise OSError(errno.EFBIG, words, str(path))


def open_regular(path: Path, most: int | None = None) -> IO[bytes]:
    """Open a file for reading, without waiting for anyone.

    What is opened is looked at once more: meanwhile another file may have come to its place.

    Raises:
        OSError: see :func:`check_regular`.
    """
    check_regular(path, most)
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - for the caller to close
    try:
        _check_facts(os.fstat(file.fileno()), path, most)
    except OSError:
        file.close()
        raise
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # Windows has no pipes of this kind


class FileState(NamedTuple):
    """What of a file shows that it is another than before, without reading it."""

    size: int  # bytes
    modified: int  # time of the content, nanoseconds; a copy may take it over
    changed: int  # time of any change, nanoseconds


def file_state(path: Path) -> FileState:
    """Size and times of a file; raises OSError where there is none."""
    facts = path.stat()
    return FileState(facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a file; for what it raises see :func:`check_regular`.

    A file that grows while it is read, or that says nothing of its size, is refused as well.
    """
    with open_regular(path, most) as file:
        return read_opened(file, path)


def read_opened(file: IO[bytes], path: Path) -> bytes:
    """The content of a file from :func:`open_regular`; ``path`` is for messages.

    Raises:
        OSError: it has more than it says.
    """
    size = os.fstat(file.fileno()).st_size
    content = file.read(size + 1)
    if content is None or len(content) > size:  # None: the system has it wait for more
        raise OSError(errno.EINVAL, "it does not end, or grows while it is read", str(path))
    return content


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a file in UTF-8, without a byte order mark.

    Raises:
        OSError: see :func:`check_regular`.
        UnicodeDecodeError: it is no text.
    """
    return text_of(read_bytes(path, most))


def text_of(content: bytes) -> str:
    """What :func:`read_text` makes of the content of a file."""
    return content.decode("utf-8-sig").replace("\r\n", "\n")


def read_json(path: Path, most: int = MOST_JSON) -> Any:
    """The value in a JSON file.

    Raises:
        OSError: see :func:`check_regular`.
        ValueError: it is no JSON, or nested too deeply.
    """
    return parse_json(read_text(path, most))


def parse_json(text: str) -> Any:
    """The value of a text in JSON.

    Raises:
        ValueError: it is no JSON, nested too deeply, says something twice, or holds a whole number
            beyond 64 bits, which nothing that computes takes.
    """
    try:
        return json.loads(text, parse_int=_whole_number, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # the last one would win without a word
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"'{twice[:80]}' is said twice")
    return found


def _whole_number(digits: str) -> int:
    # The length first: many digits take long to read, and Python itself refuses them from 3.11 on.
    if len(digits) > len(str(-LARGEST_NUMBER)) or abs(int(digits)) > LARGEST_NUMBER:
        raise ValueError(f"the number {digits[:20]} of {len(digits)} digits is too large")
    return int(digits)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all; what JSON does not know becomes its text.

    Raises:
        OSError: it cannot be written.
    """
    text = json_text(value)
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(value: Any) -> str:
    """A value as JSON for people to read, ending in a new line.

    Raises:
        InputError: it holds a number that is infinite or none, which is no result and no JSON.
    """
    wrong = next(_not_finite(value, ""), None)
    if wrong is not None:
        raise InputError(f"{wrong}, which is not written as a result; check model and data")
    return json.dumps(value, indent=2, default=str, allow_nan=False) + "\n"


def _not_finite(value: Any, place: str) -> Iterator[str]:
    """The places in a value of JSON where a number is not finite, and what it is there."""
    if isinstance(value, float) and not math.isfinite(value):
        yield f"{place.lstrip('.')} is {value}"
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _not_finite(each, f"{place}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from _not_finite(each, f"{place}.{index}")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write to; it becomes ``path`` at the end.

    When the writing fails, or is interrupted, ``path`` stays as it was. An ``OSError`` then names
    ``path``, which a full disk leaves out.

    Raises:
        OSError: it cannot be written, or is there already and no regular file: a device would be
            replaced.
    """
    if path.exists():
        check_regular(path)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with disk_errors(path):
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


@contextmanager
def folder_written_whole(
    folder: Path, replace: bool = False, parents: bool = True
) -> Iterator[Path]:
    """Yield a new folder beside ``folder`` to write to; it becomes ``folder`` at the end.

    When the writing fails, or is interrupted, ``folder`` stays as it was. What fills the disk
    without saying so, as libraries do, counts as failing. What a killed process left of its writing
    is removed.

    Args:
        folder: to make.
        replace: whether an earlier one gives way to it; else there must be none.
        parents: whether to make the folder that it is in; else that must be there.

    Raises:
        OSError: it cannot be written.
    """
    if parents:
        folder.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(folder)
    new, claim = claimed_folder(folder)
    try:
        with disk_errors(folder):
            yield new
            check_room(folder)
        if replace:
            replace_folder(new, folder)
        else:
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        if claim is not None:
            os.close(claim)


def write_sums(folder: Path) -> None:
    """Write the checksums of a folder's files into it, as ``sha256sum -c SHA256SUMS`` reads them.

    All get the usual permissions; safetensors writes files that nobody else may read.
    Everything is on the disk itself when this returns, as far as the system can say.
    """
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name != SUMS_FILE)
    lines = [f"{sha256(path)}  {path.name}\n" for path in files]
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8")
    usual = (folder / SUMS_FILE).stat().st_mode
    for path in (*files, folder / SUMS_FILE):
        path.chmod(usual)
        _sync(path)
    if os.name == "posix":  # elsewhere folders cannot be opened
        _sync(folder)


def check_sum(path: Path, named: bool = False) -> None:
    """Compare a file, if it is there, with the checksum that its folder holds of it, if it does.

    Args:
        path: of the file.
        named: whether it must be among the checksums, if there are any.

    Raises:
        InputError: they differ, or the folder's checksums cannot be read.
    """
    sums_path = path.parent / SUMS_FILE
    try:
        sums = parse_sums(read_bytes(sums_path, MOST_BYTES), sums_path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{sums_path}: damaged ({error})") from error
    if path.is_file() and (named or path.name in sums):
        compare_sum(path, sums, sha256(path))


def is_whole(folder: Path) -> bool:
    """Whether a folder has checksums, and all the files that they name, unchanged."""
    try:
        sums = parse_sums(read_bytes(folder / SUMS_FILE), folder / SUMS_FILE)
        return all(sha256(folder / name) == value for name, value in sums.items())
    except (OSError, InputError):
        return False


def sha256(path: Path, algorithm: str = "sha256") -> str:
    """The SHA-256 of a file's content, or another hash, in hexadecimal digits."""
    digest = hashlib.new(algorithm)
    with open_regular(path) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() or os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
