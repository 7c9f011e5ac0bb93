"""How far a run is and how long the rest will take, for the bar on the terminal."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Callable

from tqdm import tqdm

from training.checkpoint import Progress
from training.interrupt import Unbroken

WINDOW = 200  # steps that the pace is taken from
VALIDATION_SHARE = 0.4  # of the time of a step, for an item that is not learnt from
FEWEST_POINTS = 20  # that a run logs, if it has so many steps
LONGEST_GAP = 250  # steps between two of them
SECONDS_IN_A_FILE = 20  # between two lines


def log_frequency(steps: int) -> int:
    """Steps between logged points of a run of so many steps in all."""
    return min(LONGEST_GAP, max(1, steps // FEWEST_POINTS))


@dataclass
class Pace:
    """Measures steps and validations, and says how long those still to come will take.

    The first step is not typical, it is compiled: it counts only until there is a second one.

    Attributes:
        validation_steps: steps that see as many items as a validation.
        clock: seconds.
    """

    validation_steps: float
    clock: Callable[[], float] = time.monotonic
    _first: float | None = None
    _steps: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    _validation: float | None = None
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def step(self) -> None:
        """A step has ended; the next one begins."""
        now = self.clock()
        if self._first is None:
            self._first = now - self._last
        else:
            self._steps.append(now - self._last)
        self._last = now

    @contextmanager
    def validation(self) -> Iterator[None]:
        """What lasts meanwhile is a validation, and no part of a step."""
        start = self.clock()
        yield
        self._last = self.clock()
        self._validation = self._last - start

    def seconds_left(self, steps: int, validations: int) -> float | None:
        """What so many steps and validations will take, None before the first step."""
        if self._first is None:
            return None
        each = sum(self._steps) / len(self._steps) if self._steps else self._first
        validation = self._validation
        if validation is None:
            validation = VALIDATION_SHARE * self.validation_steps * each
        return steps * each + validations * validation


def in_words(seconds: float) -> str:
    """A time left, as exact as it can be known: ``40 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``.

    Rounded to ten seconds, minutes, ten minutes and hours.
    """
    if seconds < 95:
        return f"{round(seconds, -1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(round(minutes, -1), 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h"


class RunBar:
    """The bar of a run on the terminal: of the steps that will be run, from where it stands.

    Args:
        progress: where the run stands.
        end: optimiser steps after which it ends.
        steps_per_epoch: optimiser steps.
        validation_steps: see :class:`Pace`.
        shown: whether there is a bar at all.
    """

    def __init__(
        self,
        progress: Progress,
        end: int,
        steps_per_epoch: int,
        validation_steps: float,
        shown: bool = True,
    ) -> None:
        self._end, self._per_epoch = end, steps_per_epoch
        self._epochs = progress.epoch + self._epochs_left(progress)
        self._bar = tqdm(
            total=end,
            initial=progress.step,
            bar_format="{desc} |{bar:20}| {elapsed} gone{postfix}",
            desc=self._place(progress),
            # A file, as of a job that runs alone, is not to be filled.
            mininterval=0.1 if sys.stderr.isatty() else SECONDS_IN_A_FILE,
            miniters=1,
            disable=not shown,
            file=Unbroken(sys.stderr),
        )
        self.pace = Pace(validation_steps)

    def _epochs_left(self, progress: Progress) -> int:
        """Epochs that are still to be ended, each with a validation."""
        return math.ceil((self._end - progress.step + progress.step_in_epoch) / self._per_epoch)

    def _place(self, progress: Progress) -> str:
        epoch = min(progress.epoch + 1, self._epochs)
        return f"epoch {epoch} of {self._epochs}, step {progress.step} of {self._end}"

    def step(self, progress: Progress, loss: float | None) -> None:
        """A step has ended with ``progress``; ``loss`` is the latest that is known."""
        self.pace.step()
        left = self.pace.seconds_left(self._end - progress.step, self._epochs_left(progress))
        self._bar.set_description_str(self._place(progress), refresh=False)
        known = "" if loss is None else f", loss {loss:.4f}"
        self._bar.set_postfix_str(f"about {in_words(left)} left{known}", refresh=False)
        self._bar.update()

    @contextmanager
    def validation(self, count: int) -> Iterator[Callable[[], None]]:
        """Validation of so many batches; what is given is called after each."""
        done = itertools.count(1)

        def after_batch() -> None:
            self._bar.set_postfix_str(f"validation {next(done)} of {count}", refresh=False)
            self._bar.update(0)

        with self.pace.validation():
            yield after_batch

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
