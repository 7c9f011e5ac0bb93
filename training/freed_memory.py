"""What the C library does with the memory that a step has freed: keep it for the next one."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory of any size; whether it does.

    A step on the CPU allocates and frees megabytes for every operation. glibc maps such blocks
    from the system and unmaps them again, and the system clears each page once more: for simple
    operations that takes ten times as long as the arithmetic. The process no longer shrinks
    between them, so small trainings hold more than they would (docs/performance.md).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(M_MMAP_MAX, 0) and library.mallopt(M_TRIM_THRESHOLD, NEVER))
