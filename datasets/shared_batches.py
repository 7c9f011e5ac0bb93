"""Batches that workers write into memory which the process that uses them sees too.

A pipe copies a batch four times, twice of them by the process that trains. This memory has no name,
so that it is gone with the last process that has it, however that one ends.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import shutil
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from ctypes import c_byte
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Union

import numpy as np

logger = logging.getLogger(__name__)

Batch = dict[str, np.ndarray]
SYSTEM_MEMORY = Path("/dev/shm")  # what memory without a name is taken from, where it exists
ALIGNMENT = 64  # bytes
WORTHWHILE = 2**16  # bytes of a batch; smaller ones a pipe takes at once


def stacked(items: Sequence[Mapping[str, np.ndarray]]) -> Batch:
    """Items along a new first axis."""
    return {key: np.stack([item[key] for item in items]) for key in items[0]}


@dataclass(frozen=True)
class Layout:
    """Where the arrays of a batch lie in memory.

    Attributes:
        arrays: by name: first byte, shape and type of an item's.
        size: bytes of a batch.
    """

    arrays: Mapping[str, tuple[int, tuple[int, ...], np.dtype]]
    size: int

    @classmethod
    def of(cls, item: Mapping[str, np.ndarray], rows: int) -> Layout:
        """That of batches of at most so many items like this one."""
        arrays, size = {}, 0
        for name, value in item.items():
            arrays[name] = size, np.shape(value), value.dtype
            size += -(-rows * value.nbytes // ALIGNMENT) * ALIGNMENT
        return cls(arrays, size)

    def batch(self, memory: np.ndarray, count: int) -> Batch:
        """The arrays of so many items in the bytes [size] of a batch."""
        return {
            name: memory[first : first + count * math.prod(shape) * dtype.itemsize]
            .view(dtype)
            .reshape(count, *shape)
            for name, (first, shape, dtype) in self.arrays.items()
        }

    def fits(self, items: Sequence[Mapping[str, np.ndarray]]) -> bool:
        """Whether all items are like the one that it is of."""
        return all(
            item.keys() == self.arrays.keys()
            and all(
                (np.shape(item[name]), item[name].dtype) == (shape, dtype)
                for name, (_, shape, dtype) in self.arrays.items()
            )
            for item in items
        )


@dataclass(frozen=True)
class SharedMemory:
    """Slots, each for one batch; handed to worker processes as they start."""

    layout: Layout
    buffer: Any  # of ctypes

    def slot(self, slot: int) -> np.ndarray:
        """The bytes of one."""
        size = self.layout.size
        # By a memoryview of its own, which all arrays made of this one keep.
        return np.frombuffer(memoryview(self.buffer).cast("B"), np.uint8, size, slot * size)

    def write(self, items: Sequence[Mapping[str, np.ndarray]], slot: int) -> None:
        """Write a batch."""
        for name, rows in self.layout.batch(self.slot(slot), len(items)).items():
            np.stack([item[name] for item in items], out=rows)


# What a worker answers: how many items it has written, or a batch that was not to be written.
Answer = Union[int, Batch]


class SharedBatches:
    """The side that reads: which slots are free, and batches in the others.

    A slot is free again when nothing is left of its batch's arrays. Where none is, or an item is
    unlike the first one, the batch comes through the pipe.
    """

    def __init__(self, memory: SharedMemory, slots: int) -> None:
        self.memory = memory
        self._free = deque(range(slots))

    def take(self) -> int | None:
        """A slot to write to; None where all are in use."""
        return self._free.popleft() if self._free else None

    def batch(self, slot: int | None, answer: Answer) -> Batch:
        """The batch that a worker has made for a slot."""
        if not isinstance(answer, int):
            self.give_back(slot)
            return answer
        memory = self.memory.slot(slot)
        weakref.finalize(memory, self.give_back, slot).atexit = False
        return self.memory.layout.batch(memory, answer)

    def give_back(self, slot: int | None) -> None:
        """Free a slot that nobody reads or writes any more."""
        if slot is not None:
            self._free.append(slot)

    def abandon(self, slot: int | None, future: Future) -> None:
        """Free a slot as soon as its worker is done with it, whose batch nobody wants."""
        future.cancel()
        future.add_done_callback(lambda _: self.give_back(slot))


def share_batches(item: Mapping[str, np.ndarray], rows: int, slots: int) -> SharedBatches | None:
    """Memory for batches of items like this one; None where a pipe has to do.

    Args:
        item: an item.
        rows: largest number of them in a batch.
        slots: batches at a time.
    """
    layout = Layout.of(item, rows)
    if layout.size < WORTHWHILE:
        return None
    size = slots * layout.size
    if SYSTEM_MEMORY.is_dir() and shutil.disk_usage(SYSTEM_MEMORY).free < size:
        _say_small()
        return None
    try:
        buffer = multiprocessing.RawArray(c_byte, size)
    except OSError as error:
        logger.info("batches come through pipes: %s", error)
        return None
    return SharedBatches(SharedMemory(layout, buffer), slots)


@lru_cache(maxsize=1)  # once, though there are several loaders
def _say_small() -> None:
    logger.warning(
        "%s has no room for batches, which now come through pipes and take the processor longer; "
        "in Docker, run with --shm-size 2g or --ipc host",
        SYSTEM_MEMORY,
    )
