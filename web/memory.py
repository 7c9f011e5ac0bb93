"""What the process is told about memory: give back what large pictures took."""

from __future__ import annotations

import ctypes
import platform

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of glibc's malloc.h
LARGE = 4 << 20  # bytes; what a usual picture needs is kept, and asked for again
ARENAS = 2


def give_back_memory() -> bool:
    """Tell glibc to give large blocks back as soon as they are freed; whether it does.

    Each thread may else keep 64 MB of what it has freed, and the page has dozens. To be called
    before there are any.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGE) and mallopt(M_ARENA_MAX, ARENAS))
