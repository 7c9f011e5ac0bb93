"""Memory that is used again, in the place of asking the system for cleared pages each time."""

from __future__ import annotations

import ctypes
import gc
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4  # of glibc's malloc.h
LARGEST_THRESHOLD = 32 << 20  # bytes, that glibc takes
NEVER = 2**31 - 1
MOST_KEPT = 32 << 20  # bytes of one array; what is larger is rare, and freed after its use

_kept = threading.local()


def keep_freed_memory(any_size: bool = True) -> bool:
    """Tell glibc to keep freed memory; whether it does.

    glibc maps arrays of megabytes from the system and unmaps them again, and the system clears
    each page once more: reading a picture takes a third longer for it, and simple operations on
    images ten times as long as their arithmetic. The process no longer shrinks between them, so
    small jobs hold more than they would (benchmarks/LOG.md).

    Args:
        any_size: also of what is larger than 32 MB; else as much as that is kept in each thread.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    if any_size:
        return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER))
    kept = mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
    return bool(kept and mallopt(M_TRIM_THRESHOLD, LARGEST_THRESHOLD))


@contextmanager
def without_collection() -> Iterator[None]:
    """Look for no garbage meanwhile: for what makes very many objects that stay.

    Python looks through them again and again as they become more.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def scratch(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 memory for what lies in between, the same one for each use of a name in a thread.

    It holds whatever the last use left there, and must not be handed on.
    """
    array = getattr(_kept, name, None)
    if array is None or array.shape != shape:
        array = np.empty(shape, np.uint8)
        if array.nbytes <= MOST_KEPT:
            setattr(_kept, name, array)
    return array
