"""What Paddle's matrix library on CPUs is told, before Paddle is loaded.

That library (Intel MKL of 2019) takes its slowest code on AMD's processors unless it is told what
they can do: convolutions then take two and a half times as long.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "MKL_DEBUG_CPU_TYPE"
DEFAULT, AVX2, AVX512 = "0", "5", "7"  # what it chooses by itself, and what may be chosen
CPU_FACTS = Path("/proc/cpuinfo")
# Of a product of matrices by NumPy: for more, OpenBLAS has threads that keep the other cores busy.
MOST_PRODUCTS = 2**18


def instructions(facts: str) -> set[str]:
    """The processor's instructions, from ``/proc/cpuinfo``'s text."""
    return set(facts.partition("\nflags")[2].partition("\n")[0].split())


def cpu_type(facts: str) -> str | None:
    """The library's name for an AMD processor's instructions, from ``/proc/cpuinfo``'s text."""
    if "AuthenticAMD" not in facts:
        return None
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= instructions(facts):
        return AVX512
    return AVX2 if {"avx2", "fma"} <= instructions(facts) else None


def common_type(facts: str) -> str:
    """AVX2 where the processor has it, as all of the last ten years do: it rounds alike on them."""
    return AVX2 if {"avx2", "fma"} <= instructions(facts) else DEFAULT


def read_facts() -> str:
    """``/proc/cpuinfo``'s text, empty where there is none: not on Linux."""
    try:
        return CPU_FACTS.read_text(encoding="utf-8")
    except OSError:
        return ""


def prepare() -> None:
    """Set the variable that the library reads, unless it is set."""
    found = cpu_type(read_facts())
    if found is not None:
        os.environ.setdefault(VARIABLE, found)
