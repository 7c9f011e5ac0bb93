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
from system.errors import InputError
from system.workers import leave_stops_to_parent

PREFETCHED_PER_WORKER = 2
Batch = dict[str, np.ndarray]


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
    made = [items.item(epoch, index) for index in indices]
    return {key: np.stack([item[key] for item in made]) for key in made[0]}


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
            self._pool = None

    def _from_workers(self, epoch: int, chunks: Sequence[Sequence[int]]) -> Iterator[Batch]:
        if self._pool is None:
            self._pool = self._start_workers()
        waiting, pending = iter(chunks), deque()
        try:
            for chunk in itertools.islice(waiting, self.num_workers * PREFETCHED_PER_WORKER):
                pending.append(self._submit(epoch, chunk))
            while pending:
                batch = pending.popleft().result()
                for chunk in itertools.islice(waiting, 1):
                    pending.append(self._submit(epoch, chunk))
                yield batch
        except BrokenProcessPool as error:
            self.close()
            raise InputError(
                "a data worker was killed, perhaps for lack of memory; "
                "use a smaller --num_workers or --batch_size"
            ) from error
        finally:
            for future in pending:
                future.cancel()

    def _start_workers(self) -> Executor:
        if self.threads:
            return ThreadPoolExecutor(self.num_workers)
        return ProcessPoolExecutor(
            self.num_workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(self.items,),
        )

    def _submit(self, epoch: int, indices: Sequence[int]) -> Future[Batch]:
        if self.threads:
            return self._pool.submit(make_batch, self.items, epoch, indices)
        return self._pool.submit(_work, epoch, indices)


# What a worker process loads from; set once when it starts.
_worker: dict[str, Items] = {}


def _start_worker(items: Items) -> None:
    _worker["items"] = items
    leave_stops_to_parent()
    cv2.setNumThreads(1)  # the workers share the cores between them
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Paddle's own handler prints its stack


def _work(epoch: int, indices: Sequence[int]) -> Batch:
    return make_batch(_worker["items"], epoch, indices)
