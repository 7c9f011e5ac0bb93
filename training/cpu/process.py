"""What the process itself is told: how many threads there are, and to keep freed memory."""

from __future__ import annotations

import ctypes
import os
import platform

import paddle

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
NEVER = 2**31 - 1


def on_cpu() -> bool:
    """Whether Paddle's device is a CPU."""
    return paddle.device.get_device().startswith("cpu")


def share_of_cores(processes: int) -> int:
    """Threads for each of so many processes on this machine."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, (cores or 1) // processes)


def use_threads(count: int) -> None:
    """How many threads one operation may use on CPUs, which decides how its sums are rounded."""
    setter = getattr(getattr(paddle.base, "core", None), "set_num_threads", None)
    if on_cpu() and setter is not None:
        setter(count)


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory of any size, on CPUs; whether it does.

    A step on the CPU allocates and frees megabytes for every operation. glibc maps such blocks
    from the system and unmaps them again, and the system clears each page once more: for simple
    operations that takes ten times as long as the arithmetic. The process no longer shrinks
    between them, so small trainings hold more than they would (benchmarks/LOG.md).
    """
    if not on_cpu() or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, NEVER))
