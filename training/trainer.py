"""The training loop: batches in, optimiser steps, validation, checkpoints and logs out.

What is trained, on what, and by which loss, is a :class:`training.task.Task`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from datasets.loader import Batch
from errors import InputError
from options import TrainOptions
from training.checkpoint import LAST
from training.data_wait import DataWait
from training.interrupt import Interrupted, StopRequest
from training.logger import Logger
from training.run import Run
from training.run_folder import open_run_folder
from training.schedule import in_turns, learning_rate
from training.task import Output, Place
from training.validation import check_finite, validate

logger = logging.getLogger(__name__)


class Trainer(Run):
    """The loop of one training run, which leaves ``best`` and ``last`` in its folder.

    Raises:
        InputError: see :class:`training.run.Run`.
    """

    def __init__(self, options: TrainOptions) -> None:
        super().__init__(options)
        self.logger: Logger | None = None  # of the first process

    def run(self) -> None:
        """Train to the last epoch or step.

        Raises:
            InputError: an item cannot be read, the loss is not finite, or a checkpoint cannot be
                written; earlier checkpoints stay.
            KeyboardInterrupt: on Ctrl-C or termination, after a checkpoint of the last full step.
        """
        if self.group.is_first:
            count = sum(parameter.size for parameter in self.model.parameters())
            open_run_folder(self.folder, self.options, int(count), self.progress)
            self.logger = Logger(self.folder)
        try:
            with StopRequest() as self.stop:
                while self.progress.epoch < self.options.num_epochs and not self.steps_done():
                    self.run_epoch()
        except Interrupted:
            self.save(LAST)
            logger.info("stopped at step %d; --resume goes on from there", self.progress.step)
            raise KeyboardInterrupt from None
        finally:
            if self.logger is not None:
                self.logger.close()
            self.train_loader.close()
            self.val_loader.close()

    def steps_done(self) -> bool:
        """Whether ``--max_steps`` is reached."""
        return self.options.max_steps is not None and self.progress.step >= self.options.max_steps

    def run_epoch(self) -> None:
        """Train for the rest of the current epoch, validate, save."""
        options, start = self.options, self.progress
        rate = learning_rate(self.rate, start.epoch, options.scheduler_step_size)
        self.update.set_rates(self.rate, rate, self.task.part_rates())
        self.step.train()
        wait = DataWait()
        per_step = self.train_loader.items_per_step
        with tqdm(
            total=len(self.train_loader) * per_step,
            initial=start.step_in_epoch * per_step,
            unit="item",
            desc=f"epoch {start.epoch + 1}/{options.num_epochs}",
            disable=not self.group.is_first,
        ) as bar:
            batches = self.train_loader.batches(start.epoch, skip=start.step_in_epoch)
            for turns in in_turns(wait.watch(self.or_save(batches)), options.accumulate):
                loss, stop = self.train_on(turns)
                bar.set_postfix(loss=f"{loss:.4f}", step=self.progress.step)
                bar.update(per_step)
                if stop:
                    raise Interrupted
                if self.steps_done():
                    break
                if options.save_every_steps and self.progress.step % options.save_every_steps == 0:
                    self.save(LAST)
        logger.info("waited for data %.1f %% of the epoch's time", 100 * wait.share)
        advice = wait.advice(options.num_workers, self.train_loader.items.cached)
        if advice is not None:
            logger.warning(advice)
        loss = self.validate()
        if self.progress.step_in_epoch == len(self.train_loader):
            self.progress = replace(self.progress, epoch=start.epoch + 1, step_in_epoch=0)
        if self.progress.best_loss is None or loss < self.progress.best_loss:
            self.progress = replace(self.progress, best_loss=loss)
            self.save("best")
        last_epoch = self.progress.epoch == options.num_epochs or self.steps_done()
        if last_epoch or self.progress.epoch % options.save_frequency == 0:
            self.save(LAST)

    def or_save(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Pass batches on; save the steps done so far when one cannot be read."""
        try:
            yield from batches
        except InputError as error:
            if self.progress.step == 0:
                raise
            self.save(LAST)
            raise InputError(
                f"{error}\nstopped at step {self.progress.step}; --resume goes on from there"
            ) from error

    def train_on(self, turns: Sequence[Batch]) -> tuple[float, bool]:
        """One optimiser step on a batch per turn.

        Returns:
            The loss before the step, and whether any process was asked to stop.
        """
        losses = []
        for turn, batch in enumerate(turns):
            output = self.evaluate(batch, self.place(turn))
            self.update.add(output.total / len(turns))
            losses.append(float(output.total))
        mean = float(np.mean(losses))
        loss, stop = self.group.share(self.model, [mean, float(self.stop.requested)])
        loss = mean if self.group.size == 1 else loss
        names = (self.train_loader.items.name(i) for batch in turns for i in batch["index"])
        check_finite(loss, self.progress.step, names, self.folder)
        self.update.apply()
        if self.logger is not None and self.progress.step % self.options.log_frequency == 0:
            values = {"loss": loss, "learning_rate": self.update.rate}
            self.log("train", output, batch, {**values, **self.task.scalars(output, batch)})
            for message in self.task.warnings(output, batch):
                logger.warning("step %d: %s", self.progress.step, message)
        self.progress = replace(
            self.progress,
            step=self.progress.step + 1,
            step_in_epoch=self.progress.step_in_epoch + 1,
            loss_scaling=self.update.scaling,
        )
        return loss, stop > 0

    def place(self, turn: int) -> Place:
        """Where this process's batch of a turn stands in the step."""
        share, items_per_step = self.train_loader.share, self.train_loader.items_per_step
        first = (turn * share.processes + share.rank) * self.options.batch_size
        return Place(self.progress.step, first, items_per_step)

    def evaluate(self, batch: Batch, place: Place) -> Output:
        """Forward pass and loss of a batch, on the device."""
        return self.task.output(self.step(*self.task.inputs(batch, place)))

    def log(self, phase: str, output: Output, batch: Batch, scalars: dict[str, float]) -> None:
        """Log scalars of a batch, and what its first item looks like."""
        self.logger.scalars(phase, self.progress.step, scalars)
        self.logger.pictures(phase, self.progress.step, self.task.pictures(output, batch))

    def validate(self) -> float:
        """Mean loss over the validation items, without augmentation."""

        def look(loss: float, batch: Batch) -> None:
            names = (self.val_loader.items.name(i) for i in batch["index"])
            check_finite(loss, self.progress.step, names, self.folder)
            if self.stop.requested and self.group.size == 1:
                raise Interrupted

        self.step.eval()
        batches = self.or_save(self.val_loader.batches(epoch=0))
        share = math.ceil(len(self.val_loader) / self.group.size)
        done = validate(self.evaluate, batches, share, self.group, look)
        self.step.train()
        if self.logger is not None:
            self.log("val", done.output, done.batch, {"loss": done.loss})
        logger.info("step %d: validation loss %.5f", self.progress.step, done.loss)
        return done.loss
