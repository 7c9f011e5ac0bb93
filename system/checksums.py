"""Files of checksums, as ``sha256sum`` and its like write them: what they say of which file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from system.errors import InputError

SUMS_FILE = "SHA256SUMS"
# Lines of sha256sum, in text and binary mode, and of those that name the algorithm: sha256sum
# --tag, shasum, openssl. A backslash at the start says that the name has some for other signs.
SUM_LINES = (
    re.compile(r"(?P<escaped>\\?)(?P<value>[0-9a-fA-F]{64})(?: [ *]|[ \t])(?P<name>.+)"),
    re.compile(r"(?P<escaped>\\?)SHA2?-?256 ?\((?P<name>.+)\) ?= ?(?P<value>[0-9a-fA-F]{64})"),
)
ESCAPES = {r"\n": "\n", r"\r": "\r", r"\\": "\\"}
SUMS_REMEDY = f"write it anew with `sha256sum * > {SUMS_FILE}` if the files are right, or remove it"


def parse_sums(content: bytes, path: Path) -> Mapping[str, str]:
    """The checksums in the ``content`` of a file of them, in lower case, by file name.

    Only those of files that lie beside it: neither of subfolders, nor of itself.

    Raises:
        InputError: it is no text, a line is no checksum, or there is none.
    """
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))  # as some shells of Windows write
    try:
        text = content.decode("utf-16" if utf16 else "utf-8").lstrip("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: damaged ({error}); {SUMS_REMEDY}") from error
    sums: dict[str, str] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = next(filter(None, (each.fullmatch(line.rstrip()) for each in SUM_LINES)), None)
        if found is None:
            raise InputError(
                f"{path}: damaged, line {number} is not the SHA-256 and the name of a file; "
                f"{SUMS_REMEDY}"
            )
        name, value = found["name"], found["value"].lower()
        if found["escaped"]:
            name = re.sub(r"\\.", lambda match: ESCAPES.get(match[0], match[0]), name)
        place = PurePosixPath(name if found["escaped"] else name.replace("\\", "/"))
        if place.name in ("", SUMS_FILE) or place.parent.name not in ("", path.parent.name):
            continue
        if sums.setdefault(place.name, value) != value:
            raise InputError(
                f"{path}: damaged, it has two checksums of {place.name}; {SUMS_REMEDY}"
            )
    if not sums:
        raise InputError(
            f"{path}: damaged, it names none of the files beside it, so that nothing can be "
            f"checked; {SUMS_REMEDY}"
        )
    return sums


def compare_sum(path: Path, sums: Mapping[str, str], found: str) -> None:
    """Raise InputError where the checksum of a file is not what its folder says, or not said."""
    if path.name not in sums:
        raise InputError(
            f"{path.parent / SUMS_FILE}: damaged, it does not name {path.name}, which is beside "
            f"it; {SUMS_REMEDY}"
        )
    if sums[path.name] != found:
        raise InputError(
            f"{path}: damaged, it differs from its checksum; take another copy of it, or remove "
            f"{SUMS_FILE} if the file was changed on purpose"
        )
