"""The training loop: batches in, optimiser steps, validation, checkpoints and logs out."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import paddle
from tqdm import tqdm

from datasets.items import make_items, with_cache
from datasets.layouts import LAYOUTS
from datasets.loader import Batch, Loader
from datasets.splits import load_split
from errors import InputError
from files import make_writable_folder, written_whole
from networks.device import choose_device
from options import TrainOptions, to_json
from training.checkpoint import LAST, Progress, checkpoints, resume, save_checkpoint
from training.color_jitter import jitter_batch
from training.data_wait import DataWait
from training.interrupt import Interrupted, StopRequest
from training.logger import Logger, disparity_picture, image_picture, mask_picture
from training.run_folder import (
    OPTIONS_FILE,
    check_run_folder,
    forget_metrics_after,
    warn_of_a_full_disk,
)
from training.setup import info_of, initial_model, objective_of
from training.step import StepOutput, TrainingStep, draw_tie_break

logger = logging.getLogger(__name__)

LEARNING_RATE_DECAY = 0.1
VALIDATION_STEP = 0  # every validation draws the same tie-break noise


def learning_rate(base: float, epoch: int, step_size: int) -> float:
    """Step decay: a tenth after every ``step_size`` full epochs."""
    return base * LEARNING_RATE_DECAY ** (epoch // step_size)


class Trainer:
    """One training run, from its options to ``<log_dir>/<model_name>/best`` and ``last``.

    Raises:
        InputError: data, weights, device or an earlier run of that name keep it from starting.
    """

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        self.folder = options.log_dir / options.model_name
        check_run_folder(self.folder, options)
        choose_device(options.device)
        self.train_loader = self.make_loader("train")
        self.val_loader = self.make_loader("val")
        self.model = initial_model(options)
        self.step = TrainingStep(self.model, objective_of(options))
        self.compiled_step = (
            self.step if options.eager else paddle.jit.to_static(self.step, full_graph=True)
        )
        self.optimiser = paddle.optimizer.Adam(parameters=self.model.parameters())
        self.progress = Progress()
        if options.resume and checkpoints(self.folder):
            self.progress = resume(self.folder, self.model, self.optimiser)
            logger.info("resuming at epoch %d, step %d", self.progress.epoch, self.progress.step)

    def make_loader(self, part: str) -> Loader:
        """Batches of the ``train`` or ``val`` part of the split."""
        options = self.options
        training = part == "train"
        items = make_items(
            options.data_path,
            load_split(options.split, part),
            options.source_ids,
            options.height,
            options.width,
            options.png,
            options.intrinsics,
            options.seed,
            augment=training,
            layout=LAYOUTS[options.dataset],
            resize=options.resize,
        )
        logger.info("%s: %d items", part, len(items))
        if training and len(items) < options.batch_size:
            raise InputError(
                f"--batch_size {options.batch_size}: the split has only {len(items)} training "
                f"items; try --batch_size {len(items)}"
            )
        if options.cache_dir is not None:
            items = with_cache(items, options.cache_dir, options.num_workers)
        return Loader(
            items, options.batch_size, options.num_workers, shuffle=training, threads=items.cached
        )

    def run(self) -> None:
        """Train to the last epoch or step.

        Raises:
            InputError: an item cannot be read, the loss is not finite, or a checkpoint cannot be
                written; earlier checkpoints stay.
            KeyboardInterrupt: on Ctrl-C or termination, after a checkpoint of the last full step.
        """
        make_writable_folder(self.folder, "choose another --log_dir")
        count = sum(parameter.size for parameter in self.model.parameters())
        warn_of_a_full_disk(self.folder, int(count), self.options.keep_checkpoints)
        with written_whole(self.folder / OPTIONS_FILE) as path:
            path.write_text(to_json(self.options))
        forget_metrics_after(self.folder, self.progress)
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
            self.logger.close()
            self.train_loader.close()
            self.val_loader.close()

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
        with tqdm(
            total=len(self.train_loader) * options.batch_size,
            initial=start.step_in_epoch * options.batch_size,
            unit="item",
            desc=f"epoch {start.epoch + 1}/{options.num_epochs}",
        ) as bar:
            batches = self.train_loader.batches(start.epoch, skip=start.step_in_epoch)
            for batch in wait.watch(self.or_save(batches)):
                loss = self.train_on(batch)
                bar.set_postfix(loss=f"{loss:.4f}", step=self.progress.step)
                bar.update(options.batch_size)
                if self.stop.requested:
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

    def train_on(self, batch: Batch) -> float:
        """One optimiser step; returns the loss before it."""
        output = self.evaluate_step(batch, self.progress.step)
        loss = self.finite_loss(output, batch, self.train_loader)
        output.total.backward()
        self.optimiser.step()
        self.optimiser.clear_grad()
        if self.progress.step % self.options.log_frequency == 0:
            self.log("train", output, batch)
        self.progress = replace(
            self.progress,
            step=self.progress.step + 1,
            step_in_epoch=self.progress.step_in_epoch + 1,
        )
        return loss

    def finite_loss(self, output: StepOutput, batch: Batch, loader: Loader) -> float:
        """The loss of a batch; a run that has come to nonsense ends before it is saved."""
        loss = float(output.total)
        if not math.isfinite(loss):
            names = ", ".join(loader.items.name(i) for i in batch["index"])
            raise InputError(
                f"the loss is {loss} at step {self.progress.step}, on the items {names}; training "
                f"stops and the checkpoints in {self.folder} stay as they are; look at these "
                "items, or lower --learning_rate"
            )
        return loss

    def validate(self) -> float:
        """Mean loss over the validation items, without augmentation."""
        self.step.eval()
        losses, counts = [], []
        batches = self.or_save(self.val_loader.batches(epoch=0))
        with paddle.no_grad():
            for batch in tqdm(batches, total=len(self.val_loader), desc="validation", leave=False):
                output = self.evaluate_step(batch, VALIDATION_STEP)
                losses.append(self.finite_loss(output, batch, self.val_loader))
                counts.append(len(batch["index"]))
                if self.stop.requested:
                    raise Interrupted
        self.step.train()
        loss = float(np.average(losses, weights=counts))
        self.logger.scalars("val", self.progress.step, {"loss": loss})
        self.log_pictures("val", output, batch)
        logger.info("step %d: validation loss %.5f", self.progress.step, loss)
        return loss

    def evaluate_step(self, batch: Batch, noise_step: int) -> StepOutput:
        """Forward pass and loss of a batch, on the device."""
        target, sources = (paddle.to_tensor(batch[key]) for key in ("target", "sources"))
        frames = paddle.concat([target.unsqueeze(1), sources], axis=1).astype("float32") / 255
        seen = jitter_batch(frames, batch["color_jitter"])
        count, num_sources, _, height, width = batch["sources"].shape
        outputs = self.compiled_step(
            frames[:, 0],
            frames[:, 1:],
            seen[:, 0],
            seen[:, 1:],
            paddle.to_tensor(batch["K"]),
            paddle.to_tensor(batch["T_stereo"]),
            draw_tie_break(self.options.seed, noise_step, [count, num_sources, height, width]),
        )
        return self.step.unpack(outputs)

    def log(self, phase: str, output: StepOutput, batch: Batch) -> None:
        """Log scalars and pictures of a step."""
        values = {"loss": float(output.total), "learning_rate": self.optimiser.get_lr()}
        scales = self.model.architecture.scales
        values.update({f"loss_{s}": float(v) for s, v in zip(scales, output.per_scale)})
        if output.automask is not None:
            values["automask_share"] = float(output.automask.mean())
        self.logger.scalars(phase, self.progress.step, values)
        self.log_pictures(phase, output, batch)

    def log_pictures(self, phase: str, output: StepOutput, batch: Batch) -> None:
        """Log what the first item of a batch looks like."""
        pictures = {
            "input": batch["target"][0].transpose(1, 2, 0),
            "disparity": disparity_picture(output.disp[0].numpy()),
        }
        for source, warped in zip(self.model.architecture.source_ids, output.warped):
            pictures[f"warped_{source}"] = image_picture(warped[0].numpy())
        if output.automask is not None:
            pictures["automask"] = mask_picture(output.automask[0].numpy())
        for tag, picture in pictures.items():
            self.logger.picture(phase, self.progress.step, tag, picture)

    def save(self, name: str) -> None:
        """Save a weights folder: ``best``, or ``last`` with all that resuming needs."""
        baseline_metres = self.train_loader.items.baseline_metres
        info = info_of(self.options, self.progress.step, baseline_metres)
        resumable = (
            (self.optimiser, self.progress, self.options.keep_checkpoints) if name == LAST else ()
        )
        save_checkpoint(self.folder / name, self.model, info, *resumable)
