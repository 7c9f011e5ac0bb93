"""Zip archives of weights, unpacked without trust in the names and sizes that they state."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from errors import InputError

LARGEST = 2 << 30  # bytes of all files together; the published models have 0.2 GB


def unpack(archive: Path, folder: Path, names: Collection[str]) -> None:
    """Write those files of a zip that have one of ``names`` into ``folder``, without subfolders.

    Raises:
        InputError: the archive is damaged, holds paths that lead out of it or one name twice, or
            is larger unpacked than any model.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            members = [info for info in content.infolist() if not info.is_dir()]
            for info in members:
                _check_path(info.filename, archive)
            wanted = [info for info in members if PurePosixPath(info.filename).name in names]
            found = [PurePosixPath(info.filename).name for info in wanted]
            if len(set(found)) < len(found):
                raise InputError(f"{archive}: holds a file of weights twice: {sorted(found)}")
            if sum(info.file_size for info in wanted) > LARGEST:
                raise InputError(f"{archive}: would unpack to more than {LARGEST >> 30} GiB")
            for name, info in zip(found, wanted):
                # Reading stops at the stated size, and compares the checksum there.
                with content.open(info) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, RuntimeError, EOFError) as error:
        raise InputError(f"{archive}: damaged, or no zip archive ({error})") from error
    except OSError as error:
        if error.filename is not None or error.errno is not None:
            raise
        raise InputError(f"{archive}: damaged ({error})") from error


def _check_path(name: str, archive: Path) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise InputError(f"{archive}: refused, it names a path outside of its folder: {name!r}")
