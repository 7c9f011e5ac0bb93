"""Batches in shared memory: the same arrays, for as long as somebody has them, and nothing left."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from datasets import shared_batches
from datasets.loader import Loader
from datasets.shared_batches import Layout, share_batches, stacked

ROOT = Path(__file__).resolve().parents[1]


def item(index, side=96):
    rng = np.random.default_rng(index)
    return {
        "index": np.int64(index),
        "odd": rng.integers(0, 256, 7).astype(np.uint8),
        "K": rng.random((3, 3), np.float32),
        "frames": rng.integers(0, 256, (3, side, 2 * side)).astype(np.uint8),
    }


class Pictures:
    """Items that are worth sharing; those from ``unlike`` on are of another size."""

    seed, cached = 0, False

    def __init__(self, count, unlike=None):
        self.count, self.unlike = count, count if unlike is None else unlike

    def __len__(self):
        return self.count

    def item(self, epoch, index):
        return item(index, 96 if index < self.unlike else 32)


def assert_same(batch, expected):
    assert batch.keys() == expected.keys()
    for key, value in expected.items():
        assert batch[key].dtype == value.dtype
        np.testing.assert_array_equal(batch[key], value)


def written(shared, indices):
    """A batch that a worker has written."""
    slot = shared.take()
    shared.memory.write([item(index) for index in indices], slot)
    return shared.batch(slot, len(indices))


def test_what_is_read_is_what_was_written():
    shared = share_batches(item(0), rows=3, slots=2)
    for indices in ([4, 5, 6], [7], [8, 9, 10]):  # the last batch of an epoch may be smaller
        assert_same(written(shared, indices), stacked([item(index) for index in indices]))


def test_a_slot_is_free_again_when_nothing_is_left_of_its_batch():
    shared = share_batches(item(0), rows=2, slots=2)
    first, second = written(shared, [0, 1]), written(shared, [2, 3])
    assert shared.take() is None
    row = first["frames"][1].reshape(-1)[5:].view(np.int8)  # of the memory still
    del first
    gc.collect()
    assert shared.take() is None
    del row
    gc.collect()
    assert_same(written(shared, [4, 5]), stacked([item(4), item(5)]))
    assert_same(second, stacked([item(2), item(3)]))


def test_a_slot_that_nobody_waits_for_is_free_once_its_worker_is_done():
    shared = share_batches(item(0), rows=2, slots=1)
    slot, future = shared.take(), Future()
    future.set_running_or_notify_cancel()
    shared.abandon(slot, future)
    assert shared.take() is None  # it is being written
    future.set_result(2)
    assert shared.take() == slot


def test_what_came_through_the_pipe_frees_its_slot():
    shared = share_batches(item(0), rows=2, slots=1)
    batch = stacked([item(1)])
    assert shared.batch(shared.take(), batch) is batch
    assert shared.take() is not None


def test_an_item_unlike_the_first_is_noticed():
    layout = Layout.of(item(0), 2)
    other = item(1)
    assert layout.fits([item(1), item(2)])
    for wrong in (item(1, 32), {**other, "more": other["K"]}, {**other, "K": np.eye(3)}):
        assert not layout.fits([item(2), wrong])


Usage = namedtuple("Usage", "total used free")


def test_where_there_is_no_room_a_pipe_does_and_that_is_said_once(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(shared_batches, "SYSTEM_MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(64 << 20, 63 << 20, 1 << 20))
    shared_batches._say_small.cache_clear()
    assert share_batches(item(0), rows=12, slots=1) is not None
    assert [share_batches(item(0), rows=12, slots=slots) for slots in (20, 30)] == [None, None]
    assert len(caplog.messages) == 1
    assert "--shm-size" in caplog.text
    monkeypatch.setattr(shared_batches, "SYSTEM_MEMORY", tmp_path / "nowhere")
    assert share_batches(item(0), rows=12, slots=20) is not None


def test_small_batches_are_left_to_the_pipe():
    assert share_batches({"index": np.int64(0)}, rows=12, slots=2) is None


def test_batches_of_a_worker_are_those_of_the_process_itself():
    loader = Loader(Pictures(9, unlike=6), 2, num_workers=1, shuffle=False)
    expected = [stacked([item(index) for index in indices]) for indices in ([0, 1], [2, 3])]
    try:
        batches = loader.batches(0)
        kept = [next(batches), next(batches)]
        batches.close()  # given up half-way
        for _ in range(4):  # more batches than there are slots
            for batch, wanted in zip(loader.batches(0), expected):
                assert_same(batch, wanted)
        for batch, wanted in zip(kept, expected):  # nothing was written over
            assert_same(batch, wanted)
        unlike = list(loader.batches(0, skip=3))
        assert [batch["frames"].shape for batch in unlike] == [(2, 3, 32, 64), (1, 3, 32, 64)]
    finally:
        loader.close()


LOAD = """
import os, signal, sys, time
from datasets.loader import Loader
from tests.test_datasets_shared_batches import Pictures

if __name__ == "__main__":
    loader = Loader(Pictures(60), 4, num_workers=1, shuffle=False)
    batches = loader.batches(0)
    kept = next(batches)
    assert loader._shared is not None
    print(os.getpid(), flush=True)
    if sys.argv[1] == "worker":
        (worker,) = loader._pool._processes
        os.kill(worker, signal.SIGKILL)
        list(batches)
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    time.sleep(60)
"""


@pytest.mark.skipif(not shared_batches.SYSTEM_MEMORY.is_dir(), reason="looks where Linux has it")
@pytest.mark.parametrize("killed", ["SIGKILL", "SIGINT", "worker"])
def test_nothing_is_left_in_memory_whoever_is_killed(tmp_path, killed):
    program = tmp_path / "load.py"
    program.write_text(LOAD)
    done = subprocess.run(
        [sys.executable, str(program), killed],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode != 0
    if killed == "SIGKILL":
        assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)  # the output ended with the last process
    assert not list(shared_batches.SYSTEM_MEMORY.glob(f"*-{pid}-*"))
