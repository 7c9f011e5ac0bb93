"""Checkpoints that a kill or a full disk cannot damage.

A checkpoint is a weights folder (``weight_files.folder``) with the state of the optimiser and the
position in the run beside the weights; where these are a moving average, also with the weights that
training goes on from. A new one is written in full, with checksums, and brought
to the disk before it takes the place of the old one; ``last`` moves on to ``previous_1`` and so on.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import paddle
from paddle import nn
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from datasets.facts import Facts
from system.errors import InputError
from system.files import check_regular, check_sum, read_json
from system.folders import recover_folder, replace_folder
from training.averaging import WeightAverage
from training.muon import Muon, is_matrix
from training.optimisation import OPTIMISERS
from weight_files.folder import assign, differences, load_into, save_weights
from weight_files.model_info import ModelInfo
from weight_files.reading import MOST_BYTES

logger = logging.getLogger(__name__)

BEST, LAST = "best", "last"
OPTIMISER_FILE = "optimiser.safetensors"
PROGRESS_FILE = "progress.json"
RAW_FILE = "raw_weights.safetensors"
MOST_STATE = 2 * MOST_BYTES  # bytes of a file of it: Adam keeps two numbers for each weight


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        epoch: the epoch to go on with, from 0.
        step_in_epoch: its first step not yet done.
        step: optimiser steps done in all.
        best_loss: lowest validation loss so far, None before the first validation.
        items_per_step: of all devices together; 0 in checkpoints that do not say.
        loss_scaling: state of the loss scaler; empty without one.
        learning_rate: that the run began with, where it was not given; else None.
        schedule_steps: that the learning rate's curve is laid out for; None where it has no end.
        averaged: whether the weights are a moving average, beside which the raw ones are.
        validated: the step that was last validated; None before the first validation.
        data: what decides the items, in words; empty in checkpoints that do not say.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best_loss: float | None = None
    items_per_step: int = 0
    loss_scaling: dict[str, float] = field(default_factory=dict)
    learning_rate: float | None = None
    schedule_steps: int | None = None
    averaged: bool = False
    validated: int | None = None
    data: Facts = field(default_factory=dict)


def optimiser_arrays(
    model: nn.Layer, optimiser: paddle.optimizer.Optimizer
) -> dict[str, np.ndarray]:
    """The optimiser's state under the model's parameter names, which do not change with the run."""
    names = {value.name: name for name, value in model.named_parameters()}
    arrays = {}
    # Until the first step after it was restored, Paddle 2.6 keeps what it was given apart.
    for key, value in (optimiser.state_dict() or optimiser._accumulators_holder).items():
        if not isinstance(value, paddle.Tensor):
            continue
        owner = max((n for n in names if key.startswith(f"{n}_")), key=len)
        arrays[f"{names[owner]}/{key[len(owner) + 1 :]}"] = value.numpy()
    return arrays


def restore_optimiser(
    model: nn.Layer, optimiser: paddle.optimizer.Optimizer, arrays: dict[str, np.ndarray]
) -> None:
    """Give an optimiser the state that :func:`optimiser_arrays` returned."""
    parameters = dict(model.named_parameters())
    state = {}
    for key, array in arrays.items():
        name, kind = key.rsplit("/", 1)
        state[f"{parameters[name].name}_{kind}"] = paddle.to_tensor(array)
    optimiser.set_state_dict(state)


def check_optimiser(
    model: nn.Layer,
    optimiser: paddle.optimizer.Optimizer,
    arrays: dict[str, np.ndarray],
    step: int,
) -> None:
    """Raise ValueError unless ``arrays`` is an optimiser's state of the model after some steps."""
    kinds = {name: _state_shapes(model, kind, step) for name, kind in OPTIMISERS.items()}
    problems = differences(arrays, _state_shapes(model, type(optimiser), step))
    for name, shapes in kinds.items():
        if problems and not differences(arrays, shapes):
            raise ValueError(f"it moved its weights by {name}: add --optimizer {name}")
    if problems:
        raise ValueError("; ".join(problems[:6]))


def _state_shapes(
    model: nn.Layer, kind: type[paddle.optimizer.Optimizer], step: int
) -> dict[str, tuple[int, ...]]:
    """Of what an optimiser keeps after some steps, by name."""
    shapes = {}
    for name, value in model.named_parameters():
        if not step or value.stop_gradient:
            continue
        shapes[f"{name}/moment1_0"] = tuple(value.shape)
        if kind is not Muon or not is_matrix(value):
            shapes[f"{name}/moment2_0"] = tuple(value.shape)
            shapes.update({f"{name}/{power}_pow_acc_0": (1,) for power in ("beta1", "beta2")})
    return shapes


def check_progress(progress: Progress) -> None:
    """Raise ValueError unless every value is one that a run can have."""
    counts = [progress.epoch, progress.step_in_epoch, progress.step, progress.items_per_step]
    counts += [progress.schedule_steps or 0, progress.validated or 0]
    whole = all(isinstance(count, int) and count >= 0 for count in counts)
    numbers = [progress.best_loss or 0, progress.learning_rate or 0]
    numbers += dict(progress.loss_scaling).values()
    numeric = all(isinstance(number, (int, float)) for number in numbers)
    said = all(isinstance(words, str) for words in dict(progress.data).values())
    if not (whole and numeric and said and isinstance(progress.averaged, bool)):
        raise ValueError(f"impossible value in {PROGRESS_FILE}: {progress}")


def earlier_name(age: int) -> str:
    """The folder of the checkpoint saved ``age`` saves before ``last``."""
    return f"previous_{age}"


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints in the folder of a run, the newest first."""
    recover_folder(run / LAST)
    ages = sorted(int(path.name.rpartition("_")[2]) for path in run.glob("previous_[0-9]*"))
    folders = [run / LAST, *(run / earlier_name(age) for age in ages)]
    return [folder for folder in folders if folder.is_dir()]


def save_checkpoint(
    folder: Path,
    model: nn.Layer,
    info: ModelInfo,
    optimiser: paddle.optimizer.Optimizer | None = None,
    progress: Progress | None = None,
    keep: int = 1,
    average: WeightAverage | None = None,
) -> None:
    """Write a weights folder and, with an optimiser and progress, what resuming needs.

    The new one takes the place of the old one, of which ``keep`` - 1 stay under earlier names.

    Args:
        folder: to write.
        model: whose weights are written.
        info: what to say of it.
        optimiser: of the run.
        progress: of the run.
        keep: checkpoints, this one included.
        average: of the run, in the model now; the raw weights are written too.

    Raises:
        InputError: it cannot be written; the earlier ones stay.
    """
    new = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        if optimiser is not None:
            raw = {} if average is None else average.raw_arrays()
            if raw:
                save_file(raw, new / RAW_FILE)
            save_file(optimiser_arrays(model, optimiser), new / OPTIMISER_FILE)
            facts = {**dataclasses.asdict(progress), "averaged": bool(raw)}
            (new / PROGRESS_FILE).write_text(json.dumps(facts) + "\n")
        save_weights(new, model, info)
        if keep > 1:
            _move_on(folder, keep)
        replace_folder(new, folder, folder.with_name(earlier_name(1)) if keep > 1 else None)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(new, ignore_errors=True)
        kept = (
            "the checkpoint there before is unharmed" if folder.exists() else "none was there yet"
        )
        raise InputError(
            f"{folder}: cannot be saved ({error}); {kept}; make room on disk"
        ) from error


def _move_on(folder: Path, keep: int) -> None:
    """Free the name of the checkpoint before: each of the earlier ones takes an older one's."""
    names = [folder.with_name(earlier_name(age)) for age in range(1, keep)]
    for old in checkpoints(folder.parent):
        if old == names[-1] or old not in (folder, *names):
            shutil.rmtree(old)
    for newer, older in reversed(list(zip(names, names[1:]))):
        if newer.exists():
            newer.rename(older)


def resume(
    run: Path,
    model: nn.Layer,
    optimiser: paddle.optimizer.Optimizer,
    average: WeightAverage | None = None,
) -> Progress:
    """Restore model, optimiser and average from the newest checkpoint of a run that is whole.

    Raises:
        InputError: none is.
    """
    refusals = []
    for folder in checkpoints(run):
        try:
            progress = load_checkpoint(folder, model, optimiser, average)
        except InputError as error:
            refusals.append(error)
            continue
        for refusal in refusals:
            logger.warning("%s\nthe checkpoint before it is used: %s", refusal, folder)
        return progress
    raise refusals[0] if refusals else InputError(f"{run}: holds no checkpoint to resume from")


def _check_state(path: Path) -> None:
    """Refuse what reading would not come to the end of in the place of a file, if it is there."""
    try:
        check_regular(path, MOST_STATE)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def load_checkpoint(
    folder: Path,
    model: nn.Layer,
    optimiser: paddle.optimizer.Optimizer,
    average: WeightAverage | None = None,
) -> Progress:
    """Restore model and optimiser from a checkpoint, and the average if there is to be one.

    An average that the checkpoint does not hold begins at its weights.

    Raises:
        InputError: it is missing, damaged, or of another architecture.
    """
    recover_folder(folder)
    for path in (folder / OPTIMISER_FILE, folder / PROGRESS_FILE, folder / RAW_FILE):
        _check_state(path)
        check_sum(path, named=True)
    load_into(model, folder, [module for module, _ in model.named_children()])
    if average is not None:
        average.restart()
    try:
        arrays = load_file(check_regular(folder / OPTIMISER_FILE, MOST_STATE))
        progress = Progress(**read_json(folder / PROGRESS_FILE))
        check_progress(progress)
        if progress.averaged:
            assign(
                model, load_file(check_regular(folder / RAW_FILE, MOST_STATE)), folder / RAW_FILE
            )
        check_optimiser(model, optimiser, arrays, progress.step)
        restore_optimiser(model, optimiser, arrays)
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{folder}: not a checkpoint to resume from ({error})") from error
    return progress
