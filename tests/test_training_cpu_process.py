"""What the process is told: freed memory is used again, and how many cores are its own."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import paddle
import pytest

from system import memory
from training.cpu import process

ROOT = Path(__file__).resolve().parents[1]
COUNT_FAULTS = """
import resource, sys
if {keep}:
    from system.memory import keep_freed_memory
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

    without = run(keep=False)
    assert without >= 20  # else there is nothing to gain
    assert 10 * run(keep=True) < without  # a thread may ask for a page of its own


def test_other_systems_and_gpus_are_left_alone(monkeypatch):
    def told(*words):
        raise AssertionError("nothing is to be told")

    monkeypatch.setattr(memory.ctypes, "CDLL", told)
    monkeypatch.setattr(paddle.base.core, "set_num_threads", told)
    monkeypatch.setattr(paddle, "set_flags", told)
    monkeypatch.setattr(paddle.device, "get_device", lambda: "gpu:0")
    assert not process.keep_freed_memory()
    process.use_threads(2)
    process.free_in_batches()
    monkeypatch.undo()
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not process.keep_freed_memory()


def test_what_another_version_of_paddle_lacks_is_not_asked_for(monkeypatch):
    monkeypatch.delattr(paddle.base.core, "set_num_threads")
    process.use_threads(2)


@pytest.mark.parametrize(("processes", "share"), [(1, 6), (2, 3), (4, 1), (9, 1)])
def test_processes_share_the_cores(monkeypatch, processes, share):
    monkeypatch.setattr(process.os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    assert process.share_of_cores(processes) == share


def test_compiled_programs_free_by_the_batch():
    name = "FLAGS_eager_delete_tensor_gb"
    before = paddle.get_flags(name)
    try:
        process.free_in_batches()
        assert 0 < paddle.get_flags(name)[name] <= 0.1
    finally:
        paddle.set_flags(before)
