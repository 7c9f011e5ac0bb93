"""Memory that is freed is used again without asking the system for it."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COUNT_FAULTS = """
import resource, sys
if {keep}:
    from training.freed_memory import keep_freed_memory
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(8 << 20)
before = faults()
for _ in range(20):
    bytearray(8 << 20)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this system has no glibc")
def test_pages_are_asked_for_once():
    def run(keep: bool) -> int:
        command = [sys.executable, "-c", COUNT_FAULTS.format(keep=keep)]
        return int(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)

    assert run(keep=False) >= 20  # else there is nothing to gain
    assert run(keep=True) == 0


def test_other_systems_are_left_alone(monkeypatch):
    from training import freed_memory  # noqa: PLC0415

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not freed_memory.keep_freed_memory()
