"""What the process itself is told: how many threads there are, and to keep freed memory."""

from __future__ import annotations

import os

import paddle

from system import memory

BATCH_TO_FREE = 0.05  # GB


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


def free_in_batches() -> None:
    """Have programs that are compiled from here on free what they no longer need by the 50 MB.

    Else Paddle wakes a thread for every single tensor, which takes some 4 % of a step.
    """
    if on_cpu():
        paddle.set_flags({"FLAGS_eager_delete_tensor_gb": BATCH_TO_FREE})


def keep_freed_memory() -> bool:
    """:func:`system.memory.keep_freed_memory`, where Paddle computes on the CPU."""
    return on_cpu() and memory.keep_freed_memory()
