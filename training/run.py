"""What a training run is made of, new or resumed, from its data to where it stands."""

from __future__ import annotations

import logging
from dataclasses import replace

from networks.device import choose_device
from options import SUPERVISED, TrainOptions
from training.checkpoint import LAST, Progress, resume, save_checkpoint
from training.compile_step import compile_step
from training.freed_memory import keep_freed_memory
from training.group import join_group, synchronised
from training.onednn import use_threads
from training.precision import check_precision
from training.recompute import recompute_blocks
from training.run_folder import check_run_folder, starting_options
from training.schedule import step_in_words, with_steps_of
from training.self_supervised import SelfSupervised
from training.setup import loader_of
from training.supervised import Supervised
from training.task import Task
from training.update import Update

logger = logging.getLogger(__name__)


def task_of(options: TrainOptions) -> Task:
    """The method that the options ask for."""
    return (Supervised if options.task == SUPERVISED else SelfSupervised)(options)


class Run:
    """All that the loop works on; goes on from the last checkpoint with ``--resume``.

    Attributes:
        folder: ``<log_dir>/<model_name>``.
        group: the processes that train together.
        task: the method.
        train_loader: batches to train on.
        val_loader: batches to validate on.
        model: the networks.
        step: networks and loss, compiled unless ``--eager``.
        update: the optimiser.
        progress: where the run stands.
        rate: learning rate that it began with.

    Raises:
        InputError: data, weights, device or an earlier run of that name keep it from starting.
    """

    def __init__(self, options: TrainOptions) -> None:
        self.folder = options.log_dir / options.model_name
        check_run_folder(self.folder, options)
        options = self.options = starting_options(self.folder, options)
        choose_device(options.device)
        keep_freed_memory()
        self.group = join_group()
        self.task = task_of(options)
        self.train_loader, self.val_loader = (
            loader_of(options, self.task.items(part), part == "train", self.group)
            for part in ("train", "val")
        )
        self.model = self.task.initial_model()
        if options.sync_batch_norm:
            self.model = synchronised(self.model, self.group)
        if options.recompute:
            recompute_blocks(self.model)
        check_precision(options.precision)
        self.step = self.task.step(self.model)
        if options.eager:
            use_threads(1)  # as Paddle does, whatever ran before in this process
        else:
            compile_step(self.step, self.group.size)
        self.update = Update(self.model, options.precision, options.clip_norm)
        items_per_step = self.train_loader.items_per_step
        self.progress = Progress(items_per_step=items_per_step)
        if options.resume:
            progress = resume(self.folder, self.model, self.update.optimiser)
            self.progress = with_steps_of(progress, items_per_step)
            self.update.restore_scaling(progress.loss_scaling)
            logger.info("resuming at epoch %d, step %d", self.progress.epoch, self.progress.step)
        self.rate = self.choose_rate()

    def choose_rate(self) -> float:
        """The learning rate to start with: given, that of the run that goes on, or the task's."""
        options, reason = self.options, "as before"
        rate = options.learning_rate or self.progress.learning_rate
        if rate is None:
            rate, reason = self.task.learning_rate()
        words = f"learning rate {rate:g}, not scaled by any of these"
        if options.learning_rate is None:
            words = f"learning rate {rate:g} ({reason}), not scaled by any of these"
            self.progress = replace(self.progress, learning_rate=rate)
        size = (self.train_loader.items_per_step, self.group.size)
        logger.info("%s; %s", step_in_words(*size, options.batch_size, options.accumulate), words)
        return rate

    def save(self, name: str) -> None:
        """Save a weights folder: ``best``, or ``last`` with all that resuming needs."""
        if not self.group.is_first:
            return
        info = self.task.info(self.train_loader.items, self.progress.step)
        more = (self.update.optimiser, self.progress, self.options.keep_checkpoints)
        save_checkpoint(self.folder / name, self.model, info, *(more if name == LAST else ()))
