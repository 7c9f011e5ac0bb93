"""The folder of a run: whether it may be written to, and what is there when a run goes on."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from pathlib import Path

from datasets.facts import Facts
from options import TrainOptions, from_json, to_json
from system.errors import InputError
from system.files import make_writable_folder, read_text, written_whole
from training.checkpoint import LAST, Progress, checkpoints
from training.logger import METRICS_FILE
from training.schedule import within_epoch

logger = logging.getLogger(__name__)

OPTIONS_FILE = "options.json"
TRAINING, VALIDATION = "train: ", "val: "  # before the name of a fact
BYTES_OF_A_NUMBER = 4
SHOWN = 6  # changes

# Options that leave the weights of a run as they are.
FREE_TO_CHANGE = (
    *("resume", "weights_init", "load_weights_folder", "models_to_load", "log_dir", "model_name"),
    *("data_path", "cache_dir", "num_workers", "device", "allow_changed_data"),
    *("log_frequency", "save_frequency", "save_every_steps", "keep_checkpoints"),
    *("num_epochs", "max_steps"),
)
# Options that decide the items; what else does is in their facts.
OF_THE_DATA = (
    *("seed", "height", "width", "resize", "frame_ids", "use_stereo", "depth_hints"),
    "mix_shares",
)


def check_run_folder(folder: Path, options: TrainOptions) -> None:
    """Refuse to write over an earlier run, or to resume one that is not there.

    Options that differ from those of the run to be resumed are named in a warning.
    """
    found = checkpoints(folder)
    started = (folder / OPTIONS_FILE).is_file()
    if options.resume and not found and not started:
        raise InputError(f"--resume: there is no {folder / LAST}; start without it")
    if not options.resume and found:
        raise InputError(
            f"{folder}: holds a run already; go on with it (--resume), "
            "choose another --model_name, or remove the folder"
        )
    if options.resume and not found:
        logger.warning("--resume: %s was stopped before its first checkpoint: starting it", folder)
    if options.resume:
        changes = changed_options(folder / OPTIONS_FILE, options)
        if changes:
            words = "; ".join(changes.values())
            logger.warning("--resume: the run goes on with other options than it had: %s", words)


def starting_options(folder: Path, options: TrainOptions) -> TrainOptions:
    """The options that a run begins with.

    Those given; with ``--resume`` of a run that was stopped before its first checkpoint, they
    start it anew, from the weights that it was given.

    Raises:
        InputError: what it was given cannot be read.
    """
    if not options.resume or checkpoints(folder):
        return options
    try:
        saved = from_json(TrainOptions, read_text(folder / OPTIONS_FILE))
    except (OSError, UnicodeDecodeError, InputError) as error:
        raise InputError(
            f"--resume: {folder / OPTIONS_FILE} does not say how the run began ({error}); start it "
            "without --resume"
        ) from error
    return dataclasses.replace(
        options,
        resume=False,
        allow_changed_data=False,
        weights_init=saved.weights_init,
        load_weights_folder=saved.load_weights_folder,
        models_to_load=saved.models_to_load,
    )


def check_data(
    folder: Path, options: TrainOptions, facts: Facts, progress: Progress, steps_per_epoch: int
) -> Progress:
    """Refuse to go on with other data than the run had, unless that is asked for.

    Args:
        folder: of the run.
        options: to go on with.
        facts: of the data that there are.
        progress: where the run stands.
        steps_per_epoch: that there are.

    Returns:
        Where it stands in these data.

    Raises:
        InputError: they are others, which is said.
    """
    options_changed = changed_options(folder / OPTIONS_FILE, options)
    changes = [options_changed[name] for name in OF_THE_DATA if name in options_changed]
    facts_changed = changed_facts(progress.data, facts)
    changes += facts_changed
    if progress.step_in_epoch > steps_per_epoch:
        done = f"{progress.step_in_epoch} of them are done"
        changes.append(f"the epoch has {steps_per_epoch} steps and {done}")
    progress = dataclasses.replace(progress, data=facts)
    if not changes:
        return progress
    words = "; ".join(changes[:SHOWN]) + (f"; {len(changes) - SHOWN} more" * (len(changes) > SHOWN))
    if not options.allow_changed_data:
        raise InputError(
            f"--resume: {folder} was trained on other data: {words}; restore them, or go on with "
            "these (--allow_changed_data)"
        )
    logger.warning("--allow_changed_data: the run goes on with other data: %s", words)
    if any(change.startswith(VALIDATION) for change in facts_changed):
        logger.warning("the next validation makes `best` anew: losses so far are of other data")
        progress = dataclasses.replace(progress, best_loss=None)
    return within_epoch(progress, steps_per_epoch)


def facts_of(train: Facts, val: Facts) -> Facts:
    """The facts of both parts of the data."""
    parts = ((TRAINING, train), (VALIDATION, val))
    return {f"{part}{name}": words for part, facts in parts for name, words in facts.items()}


def changed_facts(before: Facts, now: Facts) -> list[str]:
    """What of the data differs from what was said of them, if anything was."""
    names = {**before, **now} if before else {}
    return [
        f"{name} was {before.get(name, 'not there')}, is {now.get(name, 'not there')}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def open_run_folder(
    folder: Path, options: TrainOptions, num_parameters: int, progress: Progress
) -> None:
    """Make the run's folder what it has to be before the first step from ``progress``."""
    make_writable_folder(folder, "choose another --log_dir")
    every = options.save_frequency
    epochs = (options.num_epochs - progress.epoch) // every if every else 0
    averaged = options.ema_decay > 0
    warn_of_a_full_disk(folder, num_parameters, options.keep_checkpoints, averaged, epochs)
    with written_whole(folder / OPTIONS_FILE) as path:
        path.write_text(to_json(options))
    forget_metrics_after(folder, progress)


def warn_of_a_full_disk(
    folder: Path,
    num_parameters: int,
    keep_checkpoints: int,
    averaged: bool = False,
    epochs: int = 0,
) -> None:
    """Say so when the disk has no room for the checkpoints of a run, and weights of ``epochs``."""
    # Each has the weights, raw ones too if these are averaged, and Adam's two moments; best has the
    # weights, and so has each epoch that is kept; one more is being written.
    needed = (
        BYTES_OF_A_NUMBER * num_parameters * ((3 + averaged) * (keep_checkpoints + 1) + 1 + epochs)
    )
    free = shutil.disk_usage(folder).free
    if free < needed:
        logger.warning(
            "%s: has %.1f GiB free, the checkpoints of this run take %.1f",
            folder,
            free / 2**30,
            needed / 2**30,
        )


def changed_options(path: Path, options: TrainOptions) -> dict[str, str]:
    """What of ``options`` differs from a saved file and changes the weights to come, by name."""
    try:
        saved = from_json(TrainOptions, read_text(path))
    except (OSError, UnicodeDecodeError, InputError):
        return {}  # of another version; the checkpoint says whether the networks fit
    return {
        name: f"{name} was {getattr(saved, name)}, is {getattr(options, name)}"
        for name in (field.name for field in dataclasses.fields(options))
        if name not in FREE_TO_CHANGE
        and hasattr(saved, name)
        and getattr(saved, name) != getattr(options, name)
    }


def forget_metrics_after(folder: Path, progress: Progress) -> None:
    """Take from ``metrics.jsonl`` what the run that goes on from ``progress`` will log again."""
    path = folder / METRICS_FILE
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if _stays(line, progress)]
    if kept != lines:
        with written_whole(path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")


def _stays(line: str, progress: Progress) -> bool:
    try:
        entry = json.loads(line)
        # A checkpoint between two epochs was saved after the validation at its step.
        validated = entry["phase"] == "val" and progress.step_in_epoch == 0
        return entry["step"] < progress.step + validated
    except (ValueError, KeyError, TypeError):
        return False  # cut short by a kill or a full disk
