"""How long training waits for its data, and what helps."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator

from datasets.loader import Batch

TOLERABLE = 0.1  # share of the time
FEWEST = 10  # batches that tell anything


class DataWait:
    """Measures the waiting while batches pass through :meth:`watch`.

    The first batch and the work on it do not count: workers start, and the step is compiled.

    Attributes:
        waited: seconds until the batches came.
        worked: seconds between them.
        batches: that were measured.
    """

    def __init__(self) -> None:
        self.waited = 0.0
        self.worked = 0.0
        self.batches = 0

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Pass batches on."""
        iterator = iter(batches)
        for batch in iterator:
            yield batch
            break
        given = time.perf_counter()
        while True:
            asked = time.perf_counter()
            self.worked += asked - given
            try:
                batch = next(iterator)
            except StopIteration:
                return
            given = time.perf_counter()
            self.waited += given - asked
            self.batches += 1
            yield batch

    @property
    def telling(self) -> bool:
        """Whether enough was measured to say anything."""
        return self.batches >= FEWEST

    @property
    def share(self) -> float:
        """Share of the time that went by waiting."""
        return self.waited / max(self.waited + self.worked, 1e-9)

    def advice(self, num_workers: int, cached: bool) -> str | None:
        """What to change, when the share is not tolerable."""
        if self.share <= TOLERABLE or not self.telling:
            return None
        cores = os.cpu_count() or 1
        if cached:
            remedy = "the disk of --cache_dir is too slow; put it on a faster one"
        elif num_workers < cores:
            remedy = f"try --num_workers {cores}, or --cache_dir"
        else:
            remedy = f"all {cores} cores are busy with it; try --cache_dir"
        return f"training waits for its data {self.share:.0%} of the time; {remedy}"
