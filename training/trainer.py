"""The training loop: batches in, optimiser steps, validation, checkpoints and logs out.

What is trained, on what, and by which loss, is a :class:`training.task.Task`.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import paddle

from datasets.facts import Facts
from datasets.loader import Batch, Loader, Share
from options import SUPERVISED, TrainOptions, flag
from system.device import choose_device, device_in_words
from system.errors import InputError
from system.locks import alone_at
from training.averaging import WeightAverage
from training.checkpoint import BEST, LAST, Progress, resume, save_checkpoint
from training.cpu.fast_paths import compile_layers
from training.cpu.process import keep_freed_memory, use_threads
from training.data_wait import DataWait
from training.group import is_first, join_group, synchronised
from training.health import Health
from training.interrupt import Interrupted, StopRequest
from training.late_loss import LateLoss
from training.logger import Logger
from training.optimisation import Update, check_precision
from training.pace import RunBar, log_frequency
from training.recompute import recompute_blocks
from training.run_folder import (
    check_data,
    check_run_folder,
    facts_of,
    open_run_folder,
    starting_options,
)
from training.schedule import (
    in_turns,
    last_step,
    learning_rate,
    make_schedule,
    step_in_words,
    with_steps_of,
    within_epoch,
)
from training.self_supervised import SelfSupervised
from training.supervised import Supervised
from training.task import Output, Task

logger = logging.getLogger(__name__)

EPOCH_FOLDER = "models/weights_{}"  # as published, counted from 0
VALIDATION_EPOCH = 0  # what is drawn is the same for every validation


def task_of(options: TrainOptions) -> Task:
    """The method that the options ask for."""
    return (Supervised if options.task == SUPERVISED else SelfSupervised)(options)


def train(options: TrainOptions) -> None:
    """Train, as the only job of that name; see :class:`Trainer`.

    Raises:
        InputError: another process trains it; see :meth:`Trainer.run`.
    """
    with contextlib.ExitStack() as stack:
        if is_first():
            remedy = "choose another --model_name or --log_dir"
            folder = options.log_dir / options.model_name
            stack.enter_context(alone_at(folder, "trains", remedy))
        trainer = Trainer(options)
        with trainer.group.together():
            trainer.run()


class Trainer:
    """One training run, new or resumed, which leaves ``best`` and ``last`` in its folder.

    Attributes:
        folder: ``<log_dir>/<model_name>``.
        group: the processes that train together.
        task: the method.
        train_loader: batches to train on.
        val_loader: batches to validate on.
        model: the networks.
        model_with_loss: networks and loss, compiled unless ``--eager``.
        update: the optimiser.
        average: of the weights, which validates and is saved; the weights themselves without
            ``--ema_decay``.
        progress: where the run stands.
        rate: learning rate that it began with.
        schedule: what becomes of that rate.
        last_step: optimiser steps after which it ends.
        log_frequency: steps between logged points: given, or by the length of the run.
        bar: on the terminal, while it runs.
        logger: of the first process, while it runs.
        health: of this run, once it lasts.
        advised: whether it was said that training waits for its data.
        loss: of the last step that was read.

    Raises:
        InputError: data, weights, device or an earlier run of that name keep it from starting.
    """

    def __init__(self, options: TrainOptions) -> None:
        self.folder = options.log_dir / options.model_name
        check_run_folder(self.folder, options)
        options = self.options = starting_options(self.folder, options)
        device = choose_device(options.device, options.tf32, options.deterministic)
        check_precision(options.precision, compiled=not options.eager)
        words = device_in_words(device, options.tf32)
        logger.info("device: %s, networks in %s", words, options.precision)
        keep_freed_memory()
        self.group = join_group()
        self.task = task_of(options)
        self.train_loader, self.val_loader = (self.loader(part) for part in ("train", "val"))
        self.model = self.task.initial_model()
        self.group.equalise(self.model)
        if options.sync_batch_norm:
            self.model = synchronised(self.model, self.group)
        if options.recompute:
            recompute_blocks(self.model)
        self.model_with_loss = self.task.model_with_loss(self.model)
        if options.eager:
            use_threads(1)  # as Paddle does, whatever ran before in this process
        else:
            compile_layers(self.model_with_loss, self.group.size)
        self.update = Update(self.model, options.precision, options.clip_norm, options.optimizer)
        self.average = WeightAverage(self.model, options.ema_decay)
        items_per_step = self.train_loader.items_per_step
        self.progress = Progress(items_per_step=items_per_step)
        if options.resume:
            progress = resume(self.folder, self.model, self.update.optimiser, self.average)
            self.progress = self.among_data(with_steps_of(progress, items_per_step))
            self.update.restore_scaling(progress.loss_scaling)
            logger.info("resuming at epoch %d, step %d", self.progress.epoch, self.progress.step)
        self.rate = self.choose_rate()
        self.schedule = make_schedule(self.progress, options, len(self.train_loader))
        self.progress = replace(self.progress, schedule_steps=self.schedule.steps)
        self.last_step = last_step(self.progress, options, len(self.train_loader))
        self.log_frequency = options.log_frequency or log_frequency(self.last_step)
        self.bar = self.run_bar(shown=False)
        self.logger: Logger | None = None
        self.health = Health()
        self.advised = False
        self.loss = LateLoss(partial(self.check_finite, self.train_loader))

    def loader(self, part: str) -> Loader:
        """Batches of the items of ``train`` or ``val``, this process's share of them.

        Raises:
            InputError: items are missing, or too few for a step.
        """
        options, group, training = self.options, self.group, part == "train"
        items = self.task.items(part)
        logger.info("%s: %d items", part, len(items))
        share = Share(group.rank, group.size, options.accumulate)
        workers = options.num_workers
        loader = Loader(items, options.batch_size, workers, training, items.cached, share)
        if training and len(loader) == 0:
            most = max(1, len(items) // (group.size * options.accumulate))
            raise InputError(
                f"{flag('batch_size', options.batch_size)}: a step takes {loader.items_per_step} "
                f"items and there are only {len(items)} to train on; try --batch_size {most}"
            )
        return loader

    def facts(self) -> Facts:
        """What decides the items, besides the options."""
        return facts_of(*(each.items.facts() for each in (self.train_loader, self.val_loader)))

    def among_data(self, progress: Progress) -> Progress:
        """Where a run stands in the data that there are; see :func:`check_data`."""
        steps = len(self.train_loader)
        if not self.group.is_first:  # whose word holds for all
            return within_epoch(progress, steps)
        return check_data(self.folder, self.options, self.facts(), progress, steps)

    def choose_rate(self) -> float:
        """The learning rate to start with: given, that of the run that goes on, or the task's."""
        options, reason = self.options, "as before"
        rate = options.learning_rate or self.progress.learning_rate
        if rate is None:
            rate, reason = self.task.learning_rate()
        words = f"{rate:g}"
        if options.learning_rate is None:
            words = f"{rate:g} ({reason})"
            self.progress = replace(self.progress, learning_rate=rate)
        size = (self.train_loader.items_per_step, self.group.size)
        step = step_in_words(*size, options.batch_size, options.accumulate)
        logger.info("%s; learning rate %s, not scaled by any of these", step, words)
        return rate

    def run_bar(self, shown: bool) -> RunBar:
        """The bar of what is left of the run."""
        validation_steps = len(self.val_loader.items) / self.train_loader.items_per_step
        per_epoch = len(self.train_loader)
        return RunBar(self.progress, self.last_step, per_epoch, validation_steps, shown)

    def run(self) -> None:
        """Train to the last epoch or step.

        Raises:
            InputError: an item cannot be read, the loss is not finite, or a checkpoint cannot be
                written; earlier checkpoints stay.
            KeyboardInterrupt: on Ctrl-C, termination or a closed terminal, after a checkpoint of
                the last full step.
        """
        if self.finished():
            logger.info(
                "%s: is finished, after %d epochs and %d steps; more of them than that "
                "(--num_epochs, --max_steps) go on",
                self.folder,
                self.progress.epoch,
                self.progress.step,
            )
            return
        if self.group.is_first:
            count = sum(parameter.size for parameter in self.model.parameters())
            if not self.progress.data:
                self.progress = replace(self.progress, data=self.facts())
            open_run_folder(self.folder, self.options, int(count), self.progress)
            self.logger = Logger(self.folder)
        self.bar = self.run_bar(shown=self.group.is_first)
        try:
            with StopRequest() as self.stop:
                self.run_epochs()
            self.bar.close()
            logger.info("done: %s and %s are for --load_weights_folder", *self.saved())
        finally:
            self.bar.close()
            if self.logger is not None:
                self.logger.close()
            self.train_loader.close()
            self.val_loader.close()

    def finished(self) -> bool:
        """Whether the run is at its last epoch or step, which has been validated."""
        progress = self.progress
        validated = self.steps_done() and progress.validated == progress.step
        return progress.epoch >= self.options.num_epochs or validated

    def run_epochs(self) -> None:
        """Train to the end; save the steps done where something else comes first."""
        try:
            while not self.finished():
                self.run_epoch()
        except Interrupted:
            self.save(LAST)
            logger.info("stopped at step %d; --resume goes on from there", self.progress.step)
            raise KeyboardInterrupt from None

    def save(self, name: str) -> None:
        """Save a weights folder: ``best``, or ``last`` with all that resuming needs.

        Raises:
            InputError: the loss of the last step is not finite; nothing is saved.
        """
        self.loss.read()
        if not self.group.is_first:
            return
        self.progress = replace(self.progress, loss_scaling=self.update.scaling)
        info = self.task.info(self.train_loader.items, self.progress.step)
        more = (self.update.optimiser, self.progress, self.options.keep_checkpoints, self.average)
        with self.average.in_model():
            save_checkpoint(self.folder / name, self.model, info, *(more if name == LAST else ()))

    def saved(self) -> tuple[Path, Path]:
        """Its weights folders: of the lowest validation loss, and of the last step."""
        return self.folder / BEST, self.folder / LAST

    def steps_done(self) -> bool:
        """Whether ``--max_steps`` is reached."""
        return self.options.max_steps is not None and self.progress.step >= self.options.max_steps

    def run_epoch(self) -> None:
        """Train for the rest of the current epoch, validate, save."""
        options, start = self.options, self.progress
        self.model_with_loss.train()
        wait = DataWait()
        batches = self.train_loader.batches(start.epoch, skip=start.step_in_epoch)
        if self.steps_done():  # all but their validation
            batches = []
        for turns in in_turns(wait.watch(self.or_save(batches)), options.accumulate):
            self.train_on(turns)
            self.bar.step(self.progress, self.loss.value)
            if self.stopping:
                raise Interrupted
            if self.steps_done():
                break
            if options.save_every_steps and self.progress.step % options.save_every_steps == 0:
                self.save(LAST)
        if wait.telling:
            logger.info("waited for data %.1f %% of the epoch's time", 100 * wait.share)
        advice = wait.advice(options.num_workers, self.train_loader.items.cached)
        if advice is not None and not self.advised:
            logger.warning(advice)
            self.advised = True
        self.loss.read()
        if self.stopping:
            raise Interrupted
        loss = self.validate()
        self.progress = replace(self.progress, validated=self.progress.step)
        if self.progress.step_in_epoch == len(self.train_loader):
            self.progress = replace(self.progress, epoch=start.epoch + 1, step_in_epoch=0)
        if self.progress.best_loss is None or loss < self.progress.best_loss:
            self.progress = replace(self.progress, best_loss=loss)
            self.save(BEST)
        last_epoch = self.progress.epoch == options.num_epochs or self.steps_done()
        due = self.progress.epoch % (options.save_frequency or 1) == 0
        if last_epoch or due:
            self.save(LAST)
        if options.save_frequency and due and self.progress.step_in_epoch == 0:
            self.save(EPOCH_FOLDER.format(self.progress.epoch - 1))

    def or_save(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Pass batches on; save the steps done so far when one cannot be read."""
        try:
            yield from batches
        except InputError as error:
            if self.progress.step == 0:
                raise
            # The file will have to be replaced: the next start takes the data as they are then.
            self.progress = replace(self.progress, data={})
            raise self.saved_after(str(error)) from error

    def saved_after(self, problem: str) -> InputError:
        """Save the steps done; returns what to say of that and the problem."""
        self.save(LAST)
        step = self.progress.step
        return InputError(f"{problem}\nstopped at step {step}; --resume goes on from there")

    @property
    def stopping(self) -> bool:
        """Whether to stop after this step, in which all processes agree."""
        return self.loss.stop if self.group.size > 1 else self.stop.requested

    def train_on(self, turns: Sequence[Batch]) -> None:
        """One optimiser step on a batch per turn.

        Nothing is read back from the device on the way, so that it never waits for the next work;
        the loss is read after another step has been given to it, or to be logged.
        """
        rate = learning_rate(self.schedule, self.rate, self.progress.step, self.progress.epoch)
        self.update.set_rates(self.rate, rate, self.task.part_rates(self.rate))
        values = []
        for batch in turns:
            output = self.evaluate(batch, self.progress.epoch)
            self.update.add(output.total / len(turns))
            values.append(output.total.detach())
        values.append(paddle.full([], float(self.stop.requested), "float32"))
        values = self.group.share(self.model, paddle.stack(values))
        self.update.apply()
        self.average.update(self.progress.step)
        step = self.progress.step
        self.loss.give(values, step, [int(index) for batch in turns for index in batch["index"]])
        self.progress = replace(
            self.progress, step=step + 1, step_in_epoch=self.progress.step_in_epoch + 1
        )
        if step % self.log_frequency == 0:
            self.loss.read()  # every process, so that all see a request to stop at the same step
            if self.logger is not None:
                self.log_step(step, output, batch)

    def log_step(self, step: int, output: Output, batch: Batch) -> None:
        """Log a training step, of which the loss was read, and the signs in its last batch."""
        values = {"loss": self.loss.value, "learning_rate": self.update.rate}
        values.update(self.task.scalars(output, batch))
        values.update(self.task.depth_scalars(output, batch, "train"))
        self.log("train", step, output, batch, values)
        for message in self.health.look(self.task.signs(output, batch)):
            logger.warning("step %d: %s", step, message)

    def evaluate(self, batch: Batch, epoch: int) -> Output:
        """Forward pass and loss of a batch of an epoch, on the device."""
        return self.task.output(**self.model_with_loss(self.task.inputs(batch, epoch)))

    def log(
        self, phase: str, step: int, output: Output, batch: Batch, scalars: dict[str, float]
    ) -> None:
        """Log scalars of a batch, and what its first item looks like."""
        pictures = self.task.pictures(output, batch)
        try:
            self.logger.scalars(phase, step, scalars)
            self.logger.pictures(phase, step, pictures)
        except OSError as error:
            problem = (
                f"{error.filename}: cannot be written to ({error.strerror}); make room on disk"
            )
            raise self.saved_after(problem) from error

    def validate(self) -> float:
        """Mean loss over the validation items of all processes, without augmentation."""
        self.model_with_loss.eval()
        batches = self.or_save(self.val_loader.batches(epoch=0))
        share = math.ceil(len(self.val_loader) / self.group.size)
        total, count = 0.0, 0
        output, batch = None, None  # a process may have no share of few batches
        with self.average.in_model(), paddle.no_grad(), self.bar.validation(share) as after_batch:
            for batch in batches:
                size = len(batch["index"])
                output = self.evaluate(batch, VALIDATION_EPOCH)
                loss = float(output.total)
                items = batch["index"].tolist()
                self.check_finite(self.val_loader, loss, self.progress.step, items)
                if self.stop.requested and self.group.size == 1:
                    raise Interrupted
                total, count = total + size * loss, count + size
                after_batch()
        self.model_with_loss.train()
        total, count = self.group.mean([total, count])
        loss = total / count
        if self.logger is not None:
            values = {"loss": loss, **self.task.depth_scalars(output, batch, "val")}
            self.log("val", self.progress.step, output, batch, values)
        logger.info("step %d: validation loss %.5f", self.progress.step, loss)
        return loss

    def check_finite(self, loader: Loader, loss: float, step: int, items: Sequence[int]) -> None:
        """End a run that has come to nonsense before it is saved.

        Raises:
            InputError: the loss of a step is not finite; the items are said.
        """
        if math.isfinite(loss):
            return
        names = ", ".join(loader.items.name(index) for index in items)
        raise InputError(
            f"the loss is {loss} at step {step}, on the items {names}; training "
            f"stops and the checkpoints in {self.folder} stay as they are; look at these items, "
            "or lower --learning_rate"
        )
