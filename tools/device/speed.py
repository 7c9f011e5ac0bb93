"""Items a second of training, as it runs with its loader, and what memory it takes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable

import paddle

from datasets.loader import Batch
from tools.device.data import repeated_split, streets, training_options
from tools.device.paths import synchronise
from tools.device.rows import NOT_HERE, Row, Settings, judged
from tools.stages import peak_memory_mib
from training.trainer import Trainer

UNTIMED, TIMED = 5, 20  # steps: the first ones compile, and start the workers
SMALL_UNTIMED, SMALL_TIMED = 1, 3
WORKERS = 8  # at most
TOLERABLE = 0.1  # share of the time that may go by waiting for data
FULL = ("out of memory", "resourceexhausted", "cannot allocate")  # as Paddle says it


@dataclass
class Watch:
    """Passes batches on, and measures the steps between them.

    Attributes:
        untimed: steps before those that are measured.
        given: batches so far.
        start: when the first measured step began.
        waited: seconds of the measured steps that batches took to come.
        seconds: of the measured steps.
    """

    untimed: int
    given: int = 0
    start: float = 0.0
    waited: float = 0.0
    seconds: float = 0.0

    def over(self, batches: Callable[..., Iterator[Batch]]) -> Callable[..., Iterator[Batch]]:
        """A function that gives the batches of another, measured."""

        def watched(*arguments: Any, **named: Any) -> Iterator[Batch]:
            source = iter(batches(*arguments, **named))
            while True:
                if self.given == self.untimed:
                    synchronise()
                    self.start = time.perf_counter()
                asked = time.perf_counter()
                batch = next(source, None)
                if batch is None:
                    break
                if self.given >= self.untimed:
                    self.waited += time.perf_counter() - asked
                self.given += 1
                yield batch
                del batch  # whose memory the loader takes again when nobody has it
            synchronise()
            self.seconds = time.perf_counter() - self.start

        return watched


def check_speed(settings: Settings, batch_size: int) -> Iterator[Row]:
    """A row for a batch size; not available where the device's memory does not hold it."""
    untimed, timed = (SMALL_UNTIMED, SMALL_TIMED) if settings.small else (UNTIMED, TIMED)
    steps = untimed + timed
    split = repeated_split(
        streets(settings), settings.folder / f"split_{batch_size}", steps * batch_size
    )
    workers = 0 if settings.small else min(WORKERS, os.cpu_count() or 1)
    words = ["--model_name", f"speed_{batch_size}", "--split", split, "--batch_size", batch_size]
    words += ["--num_epochs", 1, "--num_workers", workers, "--log_frequency", 1000]
    name = f"training, batch {batch_size}"
    try:
        watch = watched_run(training_options(settings, streets(settings), *words), untimed)
    except Exception as error:  # whatever Paddle raises where memory ends
        if not (isinstance(error, MemoryError) or any(w in str(error).lower() for w in FULL)):
            raise
        yield Row(name, NOT_HERE, "the device's memory does not hold it; see --accumulate")
        return
    yield speed_row(name, watch, batch_size, settings.size, peak_mib())


def watched_run(options: Any, untimed: int) -> Watch:
    """Train as ``train.py`` does, and measure."""
    trainer, watch = Trainer(options), Watch(untimed)
    trainer.train_loader.batches = watch.over(trainer.train_loader.batches)
    trainer.run()
    return watch


def peak_mib() -> tuple[str, float | None]:
    """Whose peak memory it is, the device's or this process's, and how much."""
    if paddle.device.get_device().startswith("gpu"):
        return "on the device", round(paddle.device.cuda.max_memory_allocated() / 2**20, 1)
    return "of the process", peak_memory_mib(own=True)


def speed_row(
    name: str,
    watch: Watch,
    batch_size: int,
    size: tuple[int, int],
    peak: tuple[str, float | None],
) -> Row:
    """Items a second; off where training waits for its data."""
    rate = (watch.given - watch.untimed) * batch_size / watch.seconds
    waiting = watch.waited / watch.seconds
    whose, mib = peak
    memory = "memory unknown" if mib is None else f"{mib:.0f} MiB {whose}"
    height, width = size
    return judged(
        name,
        waiting <= TOLERABLE,
        f"{rate:.2f} items/s at {width}x{height}, {waiting:.0%} of it waiting for data, {memory}",
        "training waits for its data: a processor with more cores, or --num_workers and "
        "--cache_dir (docs/performance.md)",
        items_per_second=rate,
        waiting=waiting,
        peak_mib=mib,
        height=height,
        width=width,
        batch_size=batch_size,
    )
