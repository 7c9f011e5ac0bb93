"""What can become of a file on its way: by accident, by another program, or on purpose.

Each mutator makes the content of a file out of a sound one's, by a generator of random numbers.
"""

from __future__ import annotations

import json
import os
import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np

Mutator = Callable[[bytes, np.random.Generator], bytes]

NUMBERS = ("-1", "0", "1e400", "-1e308", "1e-320", "nan", "inf", "3000000000", "0x10", "1_0", "٣")
NUMBERS += ("7" * 400, "7" * 5000, f"{2**63}", "1.5", "", "\0", "true")
VALUES: tuple[Any, ...] = (None, True, -1, 0, 1e308, 3_000_000_000, 2**63, "", "text", "a\0b")
VALUES += ([], {}, [1, 2, 3], [[1]], {"a": 1}, "../../etc/passwd", "x" * 100_000, [0] * 100_000)
FIELDS = (0, 1, 0x7F, 0x7FFF, 0xFFFF, 0x10000, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)
LINES = ("", "\0", "a", "-", "a b c d e f g", "7" * 5000, "a" * 100_000, "\x1b[2J", "é 1 l")
SPARSE = 6 << 30  # bytes of a file that takes no room


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    """The start of it."""
    return content[: int(rng.integers(len(content)))]


def one_byte(content: bytes, rng: np.random.Generator) -> bytes:
    """One byte changed."""
    place = int(rng.integers(len(content)))
    return _with(content, place, bytes([content[place] ^ int(rng.integers(1, 256))]))


def early_byte(content: bytes, rng: np.random.Generator) -> bytes:
    """One of the first bytes changed, where files say what they hold."""
    return one_byte(content[:256], rng) + content[256:]


def zeros(content: bytes, rng: np.random.Generator) -> bytes:
    """A run of zeros."""
    place, length = int(rng.integers(len(content))), int(rng.integers(1, 2000))
    return _with(content, place, bytes(length))[: len(content)]


def noise(content: bytes, rng: np.random.Generator) -> bytes:
    """A run of noise."""
    place, length = int(rng.integers(len(content))), int(rng.integers(1, 200))
    return _with(content, place, rng.bytes(length))


def appended(content: bytes, rng: np.random.Generator) -> bytes:
    """Something after its end."""
    return content + rng.bytes(int(rng.integers(1, 2000)))


def left_out(content: bytes, rng: np.random.Generator) -> bytes:
    """A part left out."""
    first, last = sorted(int(place) for place in rng.integers(len(content), size=2))
    return content[:first] + content[last:]


def doubled(content: bytes, rng: np.random.Generator) -> bytes:
    """A part twice."""
    first, last = sorted(int(place) for place in rng.integers(len(content), size=2))
    return content[:last] + content[first:last] + content[last:]


def field(content: bytes, rng: np.random.Generator) -> bytes:
    """A number of 1 to 8 bytes set to one where computing tends to go wrong."""
    size = int(rng.choice([1, 2, 4, 8]))
    value = FIELDS[int(rng.integers(len(FIELDS)))] % 256**size
    order = "little" if rng.random() < 0.5 else "big"
    most = 300 if rng.random() < 0.7 else len(content)
    return _with(content, int(rng.integers(min(most, len(content)))), value.to_bytes(size, order))


def other_kind(content: bytes, rng: np.random.Generator) -> bytes:
    """Nothing at all, zeros, noise, or text."""
    size = len(content)
    kinds = (b"", bytes(size), rng.bytes(size), b"<html>404</html>\n", b"\xff\xfe\0")
    return kinds[int(rng.integers(len(kinds)))]


def number(content: bytes, rng: np.random.Generator) -> bytes:
    """A number in a text replaced."""
    found = list(re.finditer(rb"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?", content))
    if not found:
        return other_kind(content, rng)
    place = found[int(rng.integers(len(found)))]
    value = NUMBERS[int(rng.integers(len(NUMBERS)))].encode()
    return content[: place.start()] + value + content[place.end() :]


def line(content: bytes, rng: np.random.Generator) -> bytes:
    """A line replaced, left out, or very many times there."""
    lines = content.split(b"\n")
    place = int(rng.integers(len(lines)))
    way = int(rng.integers(4))
    if way == 0:
        lines[place] = LINES[int(rng.integers(len(LINES)))].encode()
    elif way == 1:
        del lines[place]
    elif way == 2:
        lines[place:place] = [lines[place]] * 50_000
    else:
        lines[place] = lines[place].replace(b" ", b",", 1)
    return b"\n".join(lines)


def value(content: bytes, rng: np.random.Generator) -> bytes:
    """A value in JSON of another type, left out, or nested deeply."""
    try:
        tree = json.loads(content)
    except ValueError:
        return number(content, rng)
    places = list(_places(tree))
    way = rng.random()
    if way < 0.1 or not places:
        deep = int(rng.choice([50, 900, 100_000]))
        return b"[" * deep + b"]" * deep if way < 0.05 else b'{"a":' * deep + b"1" + b"}" * deep
    owner, key = places[int(rng.integers(len(places)))]
    if way < 0.2:
        del owner[key]
    else:
        owner[key] = VALUES[int(rng.integers(len(VALUES)))]
    return json.dumps(tree).encode()


def of_another_size(content: bytes, rng: np.random.Generator) -> bytes:
    """A PNG that says another size, and is whole otherwise."""
    if not content.startswith(b"\x89PNG"):
        return field(content, rng)
    sizes = (0, 1, 7, 5000, 9999, 50_000, 2**31 - 1)
    width, height = (sizes[int(n)] for n in rng.integers(len(sizes), size=2))
    header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


def _with(content: bytes, place: int, part: bytes) -> bytes:
    return content[:place] + part + content[place + len(part) :]


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every list or object in a value of JSON with each of its places."""
    if not isinstance(tree, (dict, list)):
        return []
    keys = list(tree) if isinstance(tree, dict) else range(len(tree))
    found = [(tree, key) for key in keys]
    for key in keys:
        if isinstance(tree[key], (dict, list)):
            found += _places(tree[key])
    return found


ANYWHERE: tuple[Mutator, ...] = (cut, one_byte, early_byte, zeros, noise, appended, left_out)
ANYWHERE += (doubled, field, field, other_kind)
IN_TEXT: tuple[Mutator, ...] = (*ANYWHERE, number, number, number, line, line)
IN_JSON: tuple[Mutator, ...] = (*IN_TEXT, *[value] * 8)
IN_PICTURES: tuple[Mutator, ...] = (*ANYWHERE, of_another_size, of_another_size)


def write_mutated(
    path: Path, content: bytes, mutators: Sequence[Mutator], rng: np.random.Generator
) -> str:
    """Write a mutated file; one in forty is no file at all, or a huge one. Returns what it is."""
    if rng.random() < 1 / 40:
        ways = list(SPECIAL) if os.name == "posix" else ["folder"]
        name = ways[int(rng.integers(len(ways)))]
        SPECIAL[name](path)
        return name
    mutator = mutators[int(rng.integers(len(mutators)))]
    path.write_bytes(mutator(content, rng))
    return mutator.__name__


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(SPARSE)


# Places where reading waits, or does not end.
SPECIAL: dict[str, Callable[[Path], None]] = {
    "pipe": _pipe,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "endless": lambda path: path.symlink_to("/dev/urandom"),
    "folder": lambda path: path.mkdir(),
    "link to itself": lambda path: path.symlink_to(path.name),
    "huge": _huge,
}
