"""The training loop: batches in, optimiser steps, validation, checkpoints and logs out."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import paddle
from paddle import Tensor
from tqdm import tqdm

from datasets.loader import Batch
from errors import InputError
from files import make_writable_folder, written_whole
from networks.device import choose_device
from options import TrainOptions, to_json
from training.checkpoint import LAST, Progress, checkpoints, resume, save_checkpoint
from training.color_jitter import jitter_batch
from training.data_wait import DataWait
from training.freed_memory import keep_freed_memory
from training.group import join_group, synchronised
from training.health import Health, signs_of
from training.interrupt import Interrupted, StopRequest
from training.logger import Logger
from training.precision import check_precision, loss_scaler, restore_scaler, scaler_state
from training.recompute import recompute_blocks
from training.run_folder import (
    OPTIONS_FILE,
    check_run_folder,
    forget_metrics_after,
    warn_of_a_full_disk,
)
from training.setup import info_of, initial_model, loader_of, objective_of
from training.step import StepOutput, TrainingStep, draw_tie_break

logger = logging.getLogger(__name__)

LEARNING_RATE_DECAY = 0.1
VALIDATION_STEP = 0  # every validation draws the same tie-break noise


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


class Trainer:
    """One training run, from its options to ``<log_dir>/<model_name>/best`` and ``last``.

    Raises:
        InputError: data, weights, device or an earlier run of that name keep it from starting.
    """

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        self.logger: Logger | None = None  # of the first process
        self.folder = options.log_dir / options.model_name
        check_run_folder(self.folder, options)
        choose_device(options.device)
        keep_freed_memory()
        self.group = join_group()
        self.train_loader = loader_of(options, "train", self.group)
        self.val_loader = loader_of(options, "val", self.group)
        logger.info("%s", self.step_in_words())
        self.model = initial_model(options)
        if options.sync_batch_norm:
            self.model = synchronised(self.model, self.group)
        if options.recompute:
            recompute_blocks(self.model)
        check_precision(options.precision)
        self.step = TrainingStep(self.model, objective_of(options), options.precision)
        self.scaler = loss_scaler(options.precision)
        self.compiled_step = (
            self.step if options.eager else paddle.jit.to_static(self.step, full_graph=True)
        )
        self.optimiser = paddle.optimizer.Adam(parameters=self.model.parameters())
        self.health = Health()
        self.progress = Progress(items_per_step=self.train_loader.items_per_step)
        if options.resume and checkpoints(self.folder):
            progress = resume(self.folder, self.model, self.optimiser)
            self.progress = with_steps_of(progress, self.train_loader.items_per_step)
            restore_scaler(self.scaler, self.progress.loss_scaling)
            logger.info("resuming at epoch %d, step %d", self.progress.epoch, self.progress.step)

    def run(self) -> None:
        """Train to the last epoch or step.

        Raises:
            InputError: an item cannot be read, the loss is not finite, or a checkpoint cannot be
                written; earlier checkpoints stay.
            KeyboardInterrupt: on Ctrl-C or termination, after a checkpoint of the last full step.
        """
        if self.group.is_first:
            self.open_folder()
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

    def step_in_words(self) -> str:
        """What an optimiser step takes."""
        options, size = self.options, self.group.size
        return (
            f"{self.train_loader.items_per_step} items a step: {size} device{'s' * (size > 1)}, "
            f"--batch_size {options.batch_size}, --accumulate {options.accumulate}; "
            f"learning rate {options.learning_rate:g}, not scaled by any of these"
        )

    def open_folder(self) -> None:
        """Make the run's folder what it has to be before the first step."""
        make_writable_folder(self.folder, "choose another --log_dir")
        count = sum(parameter.size for parameter in self.model.parameters())
        warn_of_a_full_disk(self.folder, int(count), self.options.keep_checkpoints)
        with written_whole(self.folder / OPTIONS_FILE) as path:
            path.write_text(to_json(self.options))
        forget_metrics_after(self.folder, self.progress)
        self.logger = Logger(self.folder)

    def steps_done(self) -> bool:
        """Whether ``--max_steps`` is reached."""
        return self.options.max_steps is not None and self.progress.step >= self.options.max_steps

    def run_epoch(self) -> None:
        """Train for the rest of the current epoch, validate, save."""
        options, start = self.options, self.progress
        self.optimiser.set_lr(
            learning_rate(options.learning_rate, start.epoch, options.scheduler_step_size)
        )
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
            output = self.evaluate_step(batch, self.tie_break(turn))
            self.scaler.scale(output.total / len(turns)).backward()
            losses.append(float(output.total))
        mean = float(np.mean(losses))
        loss, stop = self.group.share(self.model, [mean, float(self.stop.requested)])
        loss = mean if self.group.size == 1 else loss
        names = (self.train_loader.items.name(i) for batch in turns for i in batch["index"])
        self.check_finite(loss, names)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.clear_grad()
        if self.logger is not None and self.progress.step % self.options.log_frequency == 0:
            values = {"loss": loss, "learning_rate": self.optimiser.get_lr()}
            log = (output, batch, self.model.architecture, values)
            self.logger.step("train", self.progress.step, *log)
            for message in self.health.look(signs_of(output, batch)):
                logger.warning("step %d: %s", self.progress.step, message)
        self.progress = replace(
            self.progress,
            step=self.progress.step + 1,
            step_in_epoch=self.progress.step_in_epoch + 1,
            loss_scaling=scaler_state(self.scaler),
        )
        return loss, stop > 0

    def check_finite(self, loss: float, names: Iterable[str]) -> None:
        """End a run that has come to nonsense before it is saved."""
        if not math.isfinite(loss):
            raise InputError(
                f"the loss is {loss} at step {self.progress.step}, on the items "
                f"{', '.join(names)}; training stops and the checkpoints in {self.folder} stay as "
                "they are; look at these items, or lower --learning_rate"
            )

    def validate(self) -> float:
        """Mean loss over the validation items, without augmentation."""
        self.step.eval()
        total, count = 0.0, 0
        batches = self.or_save(self.val_loader.batches(epoch=0))
        share = math.ceil(len(self.val_loader) / self.group.size)
        quiet = not self.group.is_first
        with paddle.no_grad():
            for batch in tqdm(batches, "validation", share, leave=False, disable=quiet):
                items = len(batch["index"])
                noise = draw_tie_break(self.options.seed, VALIDATION_STEP, self.noise_shape(items))
                output = self.evaluate_step(batch, noise)
                loss = float(output.total)
                self.check_finite(loss, (self.val_loader.items.name(i) for i in batch["index"]))
                total, count = total + items * loss, count + items
                if self.stop.requested and self.group.size == 1:
                    raise Interrupted
        self.step.train()
        total, count = self.group.mean([total, count])
        loss = total / count
        if self.logger is not None:
            self.logger.scalars("val", self.progress.step, {"loss": loss})
            step, architecture = self.progress.step, self.model.architecture
            self.logger.pictures("val", step, output, batch, architecture)
        logger.info("step %d: validation loss %.5f", self.progress.step, loss)
        return loss

    def noise_shape(self, items: int) -> list[int]:
        """Of the tie-break noise of some items."""
        options = self.options
        return [items, len(options.source_ids), options.height, options.width]

    def tie_break(self, turn: int) -> Tensor:
        """This process's part of the noise that is drawn for the whole step."""
        items, share = self.options.batch_size, self.train_loader.share
        shape = self.noise_shape(self.train_loader.items_per_step)
        noise = draw_tie_break(self.options.seed, self.progress.step, shape)
        start = (turn * share.processes + share.rank) * items
        return noise[start : start + items]

    def evaluate_step(self, batch: Batch, tie_break: Tensor) -> StepOutput:
        """Forward pass and loss of a batch, on the device."""
        target, sources = (paddle.to_tensor(batch[key]) for key in ("target", "sources"))
        frames = paddle.concat([target.unsqueeze(1), sources], axis=1).astype("float32") / 255
        seen = jitter_batch(frames, batch["color_jitter"])
        outputs = self.compiled_step(
            frames[:, 0],
            frames[:, 1:],
            seen[:, 0],
            seen[:, 1:],
            paddle.to_tensor(batch["K"]),
            paddle.to_tensor(batch["T_stereo"]),
            tie_break,
        )
        return self.step.unpack(outputs)

    def save(self, name: str) -> None:
        """Save a weights folder: ``best``, or ``last`` with all that resuming needs."""
        if not self.group.is_first:
            return
        baseline_metres = self.train_loader.items.baseline_metres
        info = info_of(self.options, self.progress.step, baseline_metres)
        resumable = (
            (self.optimiser, self.progress, self.options.keep_checkpoints) if name == LAST else ()
        )
        save_checkpoint(self.folder / name, self.model, info, *resumable)
