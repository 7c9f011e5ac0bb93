"""Steps of a run: what each takes, at which learning rate, and where a run stands in them."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from datasets.loader import Batch
from options import COSINE, STEP, TrainOptions
from system.errors import InputError
from training.checkpoint import Progress

logger = logging.getLogger(__name__)

LEARNING_RATE_DECAY = 0.1
CYCLE_RISE = 0.3  # share of a cycle
CYCLE_START = 1 / 25  # of the base rate
CYCLE_END = 1e-4  # likewise


@dataclass(frozen=True)
class Schedule:
    """How the learning rate goes over a run.

    Attributes:
        kind: ``step``, ``cosine`` or ``one_cycle``.
        step_size: epochs after each of which ``step`` takes a tenth.
        steps: optimiser steps that the other kinds are laid out for, warm-up included; None where
            that does not matter.
        warmup_steps: that lead up to the rate which the schedule has next.
    """

    kind: str = STEP
    step_size: int = 15
    steps: int | None = None
    warmup_steps: int = 0


def learning_rate(schedule: Schedule, base: float, step: int, epoch: int) -> float:
    """The learning rate of an optimiser step.

    Args:
        schedule: of the run.
        base: the rate that it is made of, the largest.
        step: from 0.
        epoch: that the step is in, from 0.
    """
    if step < schedule.warmup_steps:
        rise = (step + 1) / (schedule.warmup_steps + 1)
        return rise * learning_rate(schedule, base, schedule.warmup_steps, epoch)
    if schedule.kind == STEP:
        return base * LEARNING_RATE_DECAY ** (epoch // schedule.step_size)
    done = (step - schedule.warmup_steps) / (schedule.steps - schedule.warmup_steps)
    return base * (cosine if schedule.kind == COSINE else one_cycle)(min(done, 1))


def cosine(done: float) -> float:
    """Half a cosine from 1 to 0 over a run of which a share is ``done``.

    Loshchilov and Hutter (ICLR 2017), equation 5, without restarts.
    """
    return (1 + math.cos(math.pi * done)) / 2


def one_cycle(done: float) -> float:
    """Up from :data:`CYCLE_START` to 1, and down to :data:`CYCLE_END`, by the share ``done``.

    Smith and Topin (2018), with a straight rise; the fall is half a cosine instead of two straight
    lines. Adam's moments stay as they are.
    """
    if done < CYCLE_RISE:
        return CYCLE_START + (1 - CYCLE_START) * done / CYCLE_RISE
    return CYCLE_END + (1 - CYCLE_END) * cosine((done - CYCLE_RISE) / (1 - CYCLE_RISE))


def last_step(progress: Progress, options: TrainOptions, steps_per_epoch: int) -> int:
    """Optimiser steps after which a run from ``progress`` ends."""
    left = (options.num_epochs - progress.epoch) * steps_per_epoch - progress.step_in_epoch
    end = progress.step + max(0, left)
    return end if options.max_steps is None else min(end, options.max_steps)


def make_schedule(progress: Progress, options: TrainOptions, steps_per_epoch: int) -> Schedule:
    """The schedule of a run that goes on from ``progress``.

    A curve with an end keeps the length that it was laid out for when the run began: what was
    learnt so far was learnt on it. Stopping earlier leaves it as it is.

    Raises:
        InputError: the run would go on after the end of its curve, or has no steps for it after
            the warm-up.
    """
    kind, warmup = options.scheduler, options.warmup_steps
    if kind == STEP:
        return Schedule(kind, options.scheduler_step_size, warmup_steps=warmup)
    end = last_step(progress, options, steps_per_epoch)
    steps = end if progress.schedule_steps is None else progress.schedule_steps
    if end > steps:
        raise InputError(
            f"--resume: the run would go on to step {end}, and its learning rate (--scheduler "
            f"{kind}) was laid out for {steps} when it began; add --max_steps {steps}, or train "
            "longer in a run of its own that starts from these weights (--load_weights_folder)"
        )
    if warmup >= steps:
        raise InputError(f"--warmup_steps {warmup}: the run has {steps} steps; give fewer")
    logger.info("learning rate: --scheduler %s over %d steps", kind, steps)
    return Schedule(kind, steps=steps, warmup_steps=warmup)


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


def within_epoch(progress: Progress, steps_per_epoch: int) -> Progress:
    """Where a run stands in an epoch that may have become shorter: at its end at most."""
    return replace(progress, step_in_epoch=min(progress.step_in_epoch, steps_per_epoch))


def step_in_words(items: int, devices: int, batch_size: int, accumulate: int) -> str:
    """What an optimiser step takes."""
    return (
        f"{items} items a step: {devices} device{'s' * (devices > 1)}, "
        f"--batch_size {batch_size}, --accumulate {accumulate}"
    )
