"""Checkpoints that a kill or a full disk cannot damage.

A checkpoint is a weights folder (``networks.weights``) with the state of the optimiser and the
position in the run beside the weights. A new one is written in full next to the old one before it
takes its place.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from errors import InputError
from networks.monodepth import Monodepth
from networks.parameter_names import MODULES
from networks.weights import (
    ModelInfo,
    differences,
    load_into,
    recover_folder,
    replace_folder,
    save_weights,
)

OPTIMISER_FILE = "optimiser.safetensors"
PROGRESS_FILE = "progress.json"


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        epoch: the epoch to go on with, from 0.
        step_in_epoch: its first batch not yet trained on.
        step: optimiser steps done in all.
        best_loss: lowest validation loss so far, None before the first validation.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best_loss: float | None = None


def optimiser_arrays(
    model: Monodepth, optimiser: paddle.optimizer.Optimizer
) -> dict[str, np.ndarray]:
    """The optimiser's state under the model's parameter names, which do not change with the run."""
    names = {value.name: name for name, value in model.named_parameters()}
    arrays = {}
    for key, value in optimiser.state_dict().items():
        if not isinstance(value, paddle.Tensor):
            continue
        owner = max((n for n in names if key.startswith(f"{n}_")), key=len)
        arrays[f"{names[owner]}/{key[len(owner) + 1 :]}"] = value.numpy()
    return arrays


def restore_optimiser(
    model: Monodepth, optimiser: paddle.optimizer.Optimizer, arrays: dict[str, np.ndarray]
) -> None:
    """Give an optimiser the state that :func:`optimiser_arrays` returned."""
    parameters = dict(model.named_parameters())
    state = {}
    for key, array in arrays.items():
        name, kind = key.rsplit("/", 1)
        state[f"{parameters[name].name}_{kind}"] = paddle.to_tensor(array)
    optimiser.set_state_dict(state)


def check_optimiser(model: Monodepth, arrays: dict[str, np.ndarray], step: int) -> None:
    """Raise ValueError unless ``arrays`` is Adam's state of the model after ``step`` steps."""
    shapes = {}
    for name, value in model.named_parameters():
        if step and not value.stop_gradient:
            shape = tuple(value.shape)
            shapes.update({f"{name}/{moment}_0": shape for moment in ("moment1", "moment2")})
            shapes.update({f"{name}/{power}_pow_acc_0": (1,) for power in ("beta1", "beta2")})
    problems = differences(arrays, shapes)
    if problems:
        raise ValueError("; ".join(problems[:6]))


def check_progress(progress: Progress) -> None:
    """Raise ValueError unless every value is one that a run can have."""
    counts = (progress.epoch, progress.step_in_epoch, progress.step)
    whole = all(isinstance(count, int) and count >= 0 for count in counts)
    if not whole or not isinstance(progress.best_loss, (int, float, type(None))):
        raise ValueError(f"impossible value in {PROGRESS_FILE}: {progress}")


def save_checkpoint(
    folder: Path,
    model: Monodepth,
    info: ModelInfo,
    optimiser: paddle.optimizer.Optimizer | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a weights folder and, with an optimiser and progress, what resuming needs.

    Raises:
        InputError: it cannot be written; the folder's earlier content stays.
    """
    new = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        save_weights(new, model, info)
        if optimiser is not None:
            save_file(optimiser_arrays(model, optimiser), new / OPTIMISER_FILE)
            (new / PROGRESS_FILE).write_text(json.dumps(dataclasses.asdict(progress)) + "\n")
        replace_folder(new, folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(new, ignore_errors=True)
        kept = (
            "the checkpoint there before is unharmed" if folder.exists() else "none was there yet"
        )
        raise InputError(
            f"{folder}: cannot be saved ({error}); {kept}; make room on disk"
        ) from error


def load_checkpoint(
    folder: Path, model: Monodepth, optimiser: paddle.optimizer.Optimizer
) -> Progress:
    """Restore model and optimiser from a checkpoint.

    Raises:
        InputError: it is missing, damaged, or of another architecture.
    """
    recover_folder(folder)
    load_into(model, folder, MODULES)
    try:
        arrays = load_file(folder / OPTIMISER_FILE)
        progress = Progress(**json.loads((folder / PROGRESS_FILE).read_text()))
        check_progress(progress)
        check_optimiser(model, arrays, progress.step)
        restore_optimiser(model, optimiser, arrays)
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{folder}: not a checkpoint to resume from ({error})") from error
    return progress
