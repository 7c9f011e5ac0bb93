"""Steps of a run: what each takes, at which learning rate, and where a run stands in them."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace

from datasets.loader import Batch
from training.checkpoint import Progress

logger = logging.getLogger(__name__)

LEARNING_RATE_DECAY = 0.1


def learning_rate(base: float, epoch: int, step_size: int) -> float:
    """Step decay: a tenth after every ``step_size`` full epochs."""
    return base * LEARNING_RATE_DECAY ** (epoch // step_size)


def in_turns(batches: Iterable[Batch], count: int) -> Iterator[list[Batch]]:
    """The batches of one step after the other."""
    iterator = iter(batches)
    while turns := list(itertools.islice(iterator, count)):
        yield turns


def with_steps_of(progress: Progress, items_per_step: int) -> Progress:
    """Where a run stands in steps of another size: the items that it has seen stay seen."""
    before = progress.items_per_step or items_per_step
    if before == items_per_step:
        return replace(progress, items_per_step=items_per_step)
    logger.warning(
        "--resume: a step takes %d items now, it took %d; the order of the items goes on, but the "
        "weights will not be those of a run that was never stopped",
        items_per_step,
        before,
    )
    done = progress.step_in_epoch * before // items_per_step
    return replace(progress, step_in_epoch=done, items_per_step=items_per_step)


def step_in_words(items: int, devices: int, batch_size: int, accumulate: int) -> str:
    """What an optimiser step takes."""
    return (
        f"{items} items a step: {devices} device{'s' * (devices > 1)}, "
        f"--batch_size {batch_size}, --accumulate {accumulate}"
    )
