"""What is compressed fast is of zlib's format, and what is damaged is said as zlib says it."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from system import compression


@pytest.fixture(params=["ISA-L", "zlib"])
def library(request, monkeypatch):
    """What compresses: the extra, or what takes its place where it is not installed."""
    if request.param == "ISA-L":
        pytest.importorskip("isal", reason="isal, an extra, is not installed")
    else:
        monkeypatch.setattr(compression, "_zlib", zlib)


@pytest.mark.usefixtures("library")
def test_any_reader_reads_what_was_compressed():
    numbers = np.arange(20_000, dtype=np.uint16).reshape(40, -1)
    packed = compression.compress(numbers)
    assert len(packed) < numbers.nbytes
    assert zlib.decompress(packed) == numbers.tobytes()
    assert compression.decompress(zlib.compress(numbers, 9)) == numbers.tobytes()


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("damage", [b"", b"no such", -1])
def test_damage_is_said_as_by_zlib(damage):
    content = compression.compress(bytes(1000))[:damage] if damage == -1 else damage
    with pytest.raises(zlib.error):
        compression.decompress(content)
