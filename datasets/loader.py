"""Batches of training items, made by worker processes ahead of their use."""

from __future__ import annotations

import itertools
import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import cv2
import numpy as np

from datasets.items import TrainingItems
from errors import InputError

PREFETCHED_PER_WORKER = 2
Batch = dict[str, np.ndarray]


def make_batch(items: TrainingItems, epoch: int, indices: Sequence[int]) -> Batch:
    """Stack items along a new first axis."""
    made = [items.item(epoch, index) for index in indices]
    return {key: np.stack([item[key] for item in made]) for key in made[0]}


class Loader:
    """Batches of a split, in an order that follows from (seed, epoch) alone.

    Args:
        items: what to load.
        batch_size: items per batch.
        num_workers: processes, or threads; 0 loads in the caller's.
        shuffle: whether each epoch has an order of its own; the last, smaller batch is then left
            out, as published.
        threads: whether the workers are threads, which suits items that are merely copied.
    """

    def __init__(
        self,
        items: TrainingItems,
        batch_size: int,
        num_workers: int,
        shuffle: bool,
        threads: bool = False,
    ) -> None:
        self.items = items
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.shuffle = shuffle
        self.threads = threads
        self._pool: Executor | None = None

    def __len__(self) -> int:
        """Batches per epoch."""
        count = len(self.items)
        return count // self.batch_size if self.shuffle else -(-count // self.batch_size)

    def batches(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, without its first ``skip``.

        Raises:
            InputError: an item cannot be made, or a worker was killed.
        """
        order = np.arange(len(self.items))
        if self.shuffle:
            order = np.random.default_rng((self.items.seed, epoch)).permutation(order)
        size = self.batch_size
        chunks = [order[i * size : (i + 1) * size].tolist() for i in range(skip, len(self))]
        if self.num_workers == 0:
            return (make_batch(self.items, epoch, chunk) for chunk in chunks)
        return self._from_workers(epoch, chunks)

    def close(self) -> None:
        """Stop the workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _from_workers(self, epoch: int, chunks: Sequence[Sequence[int]]) -> Iterator[Batch]:
        if self._pool is None:
            self._pool = self._start_workers()
        waiting = iter(chunks)
        pending = deque()
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
_worker: dict[str, TrainingItems] = {}


def _start_worker(items: TrainingItems) -> None:
    _worker["items"] = items
    cv2.setNumThreads(1)  # the workers share the cores between them
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Paddle's own handler prints its stack


def _work(epoch: int, indices: Sequence[int]) -> Batch:
    return make_batch(_worker["items"], epoch, indices)
