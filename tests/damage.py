"""What happens to files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """One of: cut short, a byte changed, a run of zeros, a run of noise, something appended."""
    place, length = int(rng.integers(len(content))), int(rng.integers(1, 30))
    noise = rng.integers(0, 256, length, np.uint8).tobytes()
    return [
        content[:place],
        content[:place]
        + bytes([content[place] ^ int(rng.integers(1, 256))])
        + content[place + 1 :],
        content[:place] + bytes(length) + content[place + length :],
        content[:place] + noise + content[place + length :],
        content + noise,
    ][int(rng.integers(5))]


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Have the system refuse every byte of a file beyond ``size``, as a full disk does."""
    resource = pytest.importorskip("resource", reason="only POSIX limits the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
