"""Batches: the same for any number of workers, in an order of its own for each epoch."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datasets.items import make_items
from datasets.loader import Loader
from datasets.splits import load_split
from system.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


class NumberedItems:
    """Stands for a split where only the order of its items matters."""

    def __init__(self, count, seed=0):
        self.count, self.seed = count, seed

    def __len__(self):
        return self.count

    def item(self, epoch, index):
        return {"index": np.int64(index), "epoch": np.int64(epoch)}


def order(loader, epoch, skip=0):
    """The items of each batch."""
    return [batch["index"].tolist() for batch in loader.batches(epoch, skip)]


def flat(batches):
    return [index for batch in batches for index in batch]


def numbered(count=11, batch_size=3, shuffle=True, seed=0):
    return Loader(NumberedItems(count, seed), batch_size, num_workers=0, shuffle=shuffle)


def few_items(data, count=5):
    lines = load_split(str(data / "splits"), "train")[:count]
    return make_items(data, lines, (-1, 1, "s"), height=32, width=64, seed=2)


@pytest.fixture
def loaders():
    """Makes loaders whose workers are stopped at the end."""
    made = []

    def make(*args, **more):
        made.append(Loader(*args, **more))
        return made[-1]

    yield make
    for loader in made:
        loader.close()


@pytest.fixture
def new_workers():
    """The worker processes started since the test began."""
    before = set(multiprocessing.active_children())
    return lambda: [p for p in multiprocessing.active_children() if p not in before]


def assert_same(batches, expected):
    assert len(batches) == len(expected)
    for batch, wanted in zip(batches, expected):
        assert batch.keys() == wanted.keys()
        for key, value in wanted.items():
            assert batch[key].dtype == value.dtype
            np.testing.assert_array_equal(batch[key], value)


def test_an_unshuffled_epoch_is_the_split_with_a_smaller_last_batch():
    loader = numbered(shuffle=False)
    assert order(loader, 0) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10]]
    assert order(loader, 1) == order(loader, 0)
    assert len(loader) == 4


def test_a_shuffled_epoch_leaves_the_smaller_last_batch_out():
    loader = numbered()
    batches = order(loader, 0)
    assert [len(batch) for batch in batches] == [3, 3, 3]
    assert len(loader) == 3
    assert len(set(flat(batches))) == 9  # none twice
    assert len(numbered(count=12)) == 4
    assert sorted(flat(order(numbered(count=12), 0))) == list(range(12))


def test_each_epoch_leaves_out_other_items():
    seen = {index for epoch in range(20) for index in flat(order(numbered(), epoch))}
    assert seen == set(range(11))


def test_the_order_follows_from_seed_and_epoch():
    first = order(numbered(count=40), 3)
    np.random.seed(0)  # no global state takes part
    assert order(numbered(count=40), 3) == first
    assert order(numbered(count=40), 4) != first
    assert order(numbered(count=40, seed=1), 3) != first
    assert flat(first) != sorted(flat(first))


@pytest.mark.parametrize("shuffle", [False, True])
def test_skipping_continues_exactly(shuffle):
    loader = numbered(shuffle=shuffle)
    whole = order(loader, 5)
    for skip in range(len(whole) + 1):
        assert order(loader, 5, skip) == whole[skip:]


def test_a_batch_stacks_items_of_its_epoch(streets):
    items = few_items(streets)
    batches = list(Loader(items, 2, num_workers=0, shuffle=True).batches(epoch=3))
    assert [batch["sources"].shape for batch in batches] == [(2, 3, 3, 32, 64)] * 2
    for batch in batches:
        for place, index in enumerate(batch["index"].tolist()):
            for key, value in items.item(3, index).items():
                np.testing.assert_array_equal(batch[key][place], value)


@pytest.mark.parametrize("threads", [False, True])
def test_workers_change_nothing(threads, streets, loaders):
    items = few_items(streets)
    inline = loaders(items, 2, num_workers=0, shuffle=False)
    expected = list(inline.batches(1))
    assert [len(batch["index"]) for batch in expected] == [2, 2, 1]
    for workers in (1, 2):
        loader = loaders(items, 2, num_workers=workers, shuffle=False, threads=threads)
        assert_same(list(loader.batches(1)), expected)
        next(loader.batches(0))  # an epoch given up half-way
        assert_same(list(loader.batches(2, skip=1)), list(inline.batches(2))[1:])


def test_workers_keep_a_shuffled_order(loaders):
    items = NumberedItems(13)
    inline = loaders(items, 2, num_workers=0, shuffle=True)
    loader = loaders(items, 2, num_workers=2, shuffle=True)
    for epoch in (0, 1):
        assert order(loader, epoch) == order(inline, epoch)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_unreadable_image_is_named_and_the_other_batches_still_come(
    num_workers, streets, tmp_path, loaders
):
    data = shutil.copytree(streets, tmp_path / "streets")
    items = few_items(data, count=6)
    path = items.paths(4)[2]  # the next frame, which no other item needs
    path.write_bytes(path.read_bytes()[:-400])
    loader = loaders(items, 1, num_workers=num_workers, shuffle=False)
    read = []
    with pytest.raises(InputError) as error:
        read.extend(batch["index"].item() for batch in loader.batches(0))
    assert str(error.value).startswith(f"{path}: ")
    assert read == [0, 1, 2, 3]
    assert order(loader, 0, skip=5) == [[5]]


def test_a_killed_worker_is_reported(loaders, new_workers):
    loader = loaders(NumberedItems(60), 1, num_workers=1, shuffle=False)
    batches = loader.batches(0)
    next(batches)
    (worker,) = new_workers()
    worker.kill()
    worker.join(10)
    with pytest.raises(InputError, match=r"data worker was killed.*--num_workers"):
        list(batches)


def test_a_worker_killed_between_epochs_is_reported(loaders, new_workers):
    loader = loaders(NumberedItems(2), 1, num_workers=1, shuffle=False)
    assert order(loader, 0) == [[0], [1]]
    (worker,) = new_workers()
    worker.kill()
    worker.join(10)
    with pytest.raises(InputError, match="data worker was killed"):
        order(loader, 1)


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_workers_leave_ctrl_c_to_the_main_process_and_end_when_closed(loaders, new_workers):
    loader = loaders(NumberedItems(12), 2, num_workers=1, shuffle=False)
    batches = loader.batches(0)
    next(batches)
    (worker,) = new_workers()
    os.kill(worker.pid, signal.SIGINT)
    assert len(list(batches)) == 5
    assert worker.is_alive()
    loader.close()
    # Not is_alive: the pool's own thread may just be collecting the process's exit code.
    assert multiprocessing.connection.wait([worker.sentinel], timeout=60)
    loader.close()  # a second time does no harm


LOAD = """
import os, sys
from datasets.loader import Loader
from tests.test_datasets_loader import NumberedItems

if __name__ == "__main__":
    batches = Loader(NumberedItems(60), 1, num_workers=2, shuffle=False).batches(0)
    next(batches)
    print("begun", flush=True)
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    program = tmp_path / "load.py"
    program.write_text(LOAD)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # The output ends with the last process that holds it.
    done = subprocess.run(
        [sys.executable, str(program)],
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == b"begun\n"


def test_workers_start_without_paddle():
    code = "import sys, datasets.loader; sys.exit('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
