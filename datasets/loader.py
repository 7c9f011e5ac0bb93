"""Batches of training items, made by worker processes ahead of their use."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np

from datasets.facts import Facts
from datasets.shared_batches import (
    Answer,
    Batch,
    SharedBatches,
    SharedMemory,
    share_batches,
    stacked,
)
from system.errors import InputError
from system.memory import keep_freed_memory
from system.workers import leave_stops_to_parent

PREFETCHED_PER_WORKER = 2


class Items(Protocol):
    """What batches are made of."""

    seed: int  # of every draw
    cached: bool  # whether making an item is no more than copying from memory

    def __len__(self) -> int: ...

    def item(self, epoch: int, index: int) -> dict[str, np.ndarray]:
        """One item, which follows from (seed, epoch, index) alone; ``index`` is among its keys."""

    def name(self, index: int) -> str:
        """What the item with this ``index`` among its keys was made of, for messages."""

    def facts(self) -> Facts:
        """What decides all items, besides the options."""


def make_batch(items: Items, epoch: int, indices: Sequence[int]) -> Batch:
    """Stack items along a new first axis."""
    return stacked([items.item(epoch, index) for index in indices])


@dataclass(frozen=True)
class Share:
    """The part of each training step that one of several processes does."""

    rank: int = 0  # of the process, from 0
    processes: int = 1  # that share a step
    accumulate: int = 1  # batches that each of them does in a step, one after the other


@dataclass(eq=False)
class Loader:
    """Batches of a split, in an order that follows from (seed, epoch) alone.

    A step takes the same items whatever number of processes and batches they are divided into.
    """

    items: Items
    batch_size: int
    num_workers: int  # processes, or threads; 0 loads in the caller's
    # Whether each epoch has an order of its own; the last, smaller batch is then left out, as
    # published.
    shuffle: bool
    threads: bool = False  # whether the workers are, which suits items that are merely copied
    share: Share = Share()  # what this process does of each step
    _pool: Executor | None = field(default=None, init=False)
    _shared: SharedBatches | None = field(default=None, init=False)

    @property
    def items_per_step(self) -> int:
        """Items that all processes together take in a step."""
        return self.batch_size * self.share.processes * self.share.accumulate

    def __len__(self) -> int:
        """Steps per epoch; without shuffling, batches of all processes."""
        if self.shuffle:
            return len(self.items) // self.items_per_step
        return math.ceil(len(self.items) / self.batch_size)

    def batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """This process's batches of an epoch, without those of its first ``skip`` steps.

        Raises:
            InputError: an item cannot be made, or a worker was killed.
        """
        order = np.arange(len(self.items))
        if self.shuffle:
            order = np.random.default_rng((self.items.seed, epoch)).permutation(order)
        chunks = [order[start : start + self.batch_size].tolist() for start in self._starts(skip)]
        if self.num_workers == 0:
            return (make_batch(self.items, epoch, chunk) for chunk in chunks)
        return self._from_workers(epoch, chunks)

    def _starts(self, skip: int) -> list[int]:
        """Where in the order each batch of this process starts."""
        share, size = self.share, self.batch_size
        if not self.shuffle:
            return [batch * size for batch in range(skip, len(self))][share.rank :: share.processes]
        return [
            step * self.items_per_step + (turn * share.processes + share.rank) * size
            for step in range(skip, len(self))
            for turn in range(share.accumulate)
        ]

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = self._shared = None

    def _from_workers(self, epoch: int, chunks: Sequence[Sequence[int]]) -> Iterator[Batch]:
        if not chunks:
            return
        if self._pool is None:
            self._start_workers(epoch, first=chunks[0][0])
        waiting, pending = iter(chunks), deque()
        try:
            for chunk in itertools.islice(waiting, self.num_workers * PREFETCHED_PER_WORKER):
                pending.append(self._submit(epoch, chunk))
            while pending:
                slot, future = pending[0]
                answer = future.result()
                pending.popleft()
                batch = answer if self._shared is None else self._shared.batch(slot, answer)
                for chunk in itertools.islice(waiting, 1):
                    pending.append(self._submit(epoch, chunk))
                yield batch
                del batch, answer  # their slot is free when whoever uses them is done
        except BrokenProcessPool as error:
            self.close()
            raise InputError(
                "a data worker was killed, perhaps for lack of memory; "
                "use a smaller --num_workers or --batch_size"
            ) from error
        finally:
            for slot, future in pending:
                if self._shared is None:
                    future.cancel()
                else:
                    self._shared.abandon(slot, future)

    def _start_workers(self, epoch: int, first: int) -> None:
        if self.threads:
            self._pool = ThreadPoolExecutor(self.num_workers)
            return
        self._shared = self._share(epoch, first)
        self._pool = ProcessPoolExecutor(
            self.num_workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(self.items, self._shared and self._shared.memory),
        )

    def _share(self, epoch: int, first: int) -> SharedBatches | None:
        """Memory for as many batches, of items like the first one, as are there at a time."""
        try:
            item = self.items.item(epoch, first)
        except InputError:  # which is said when it is this item's turn
            return None
        in_use = 2 * self.share.accumulate  # of one step, while those of the next are collected
        slots = self.num_workers * PREFETCHED_PER_WORKER + in_use
        return share_batches(item, self.batch_size, slots)

    def _submit(self, epoch: int, indices: Sequence[int]) -> tuple[int | None, Future]:
        if self.threads:
            return None, self._pool.submit(make_batch, self.items, epoch, indices)
        slot = None if self._shared is None else self._shared.take()
        return slot, self._pool.submit(_work, epoch, indices, slot)


@dataclass(frozen=True)
class _Worker:
    """What a worker process loads from, and where it may write batches to."""

    items: Items
    memory: SharedMemory | None


_worker: list[_Worker] = []  # set once when it starts


def _start_worker(items: Items, memory: SharedMemory | None) -> None:
    _worker.append(_Worker(items, memory))
    leave_stops_to_parent()
    keep_freed_memory()
    cv2.setNumThreads(1)  # the workers share the cores between them
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Paddle's own handler prints its stack


def _work(epoch: int, indices: Sequence[int], slot: int | None) -> Answer:
    (worker,) = _worker
    items = [worker.items.item(epoch, index) for index in indices]
    if slot is None or not worker.memory.layout.fits(items):
        return stacked(items)
    worker.memory.write(items, slot)
    return len(items)
