"""What the process itself is told: how many threads there are, and to keep freed memory."""

from __future__ import annotations

import os

import paddle

from system import memory


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
    """:func:`system.memory.keep_freed_memory`, where Paddle computes on the CPU."""
    return on_cpu() and memory.keep_freed_memory()
