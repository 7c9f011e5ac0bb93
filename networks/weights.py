"""Weights folders: self-describing, safe to load, never half-written.

A folder holds one safetensors file per module (``encoder``, ``depth``, ``pose_encoder``, ``pose``,
``predictive_mask``; only those that the model has) and ``model.json``, which says how to build the
networks and how to read their output.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from paddle import nn
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from datasets.units import KITTI_BASELINE_METRES, NOMINAL_BASELINE
from errors import InputError
from networks.monodepth import STEREO, Architecture, Monodepth
from networks.parameter_names import MODULES
from networks.resnet_encoder import DEPTHS

FORMAT_VERSION = 1
INFO_FILE = "model.json"


@dataclass(frozen=True)
class ModelInfo:
    """What ``model.json`` says of a model.

    Attributes:
        architecture: of the networks.
        height: of the images that it was trained on, and has to be given.
        width: likewise.
        min_depth: nearest depth, model units.
        max_depth: farthest depth, model units.
        name: of the training run.
        step: optimiser steps that it was trained for.
        baseline_metres: between the cameras of the stereo pairs that it was trained on.
    """

    architecture: Architecture
    height: int
    width: int
    min_depth: float = 0.1
    max_depth: float = 100.0
    name: str = ""
    step: int = 0
    baseline_metres: float = KITTI_BASELINE_METRES

    @property
    def metric(self) -> bool:
        """Whether depth has a unit: true once a stereo pair took part in training."""
        return STEREO in self.architecture.source_ids

    @property
    def metres_per_unit(self) -> float | None:
        """What turns depth into metres, None for a model without a unit."""
        return self.baseline_metres / NOMINAL_BASELINE if self.metric else None

    def to_json(self) -> str:
        """The text of ``model.json``."""
        fields = {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}
        fields.update({"metric": self.metric, "nominal_baseline": NOMINAL_BASELINE})
        return json.dumps(fields, indent=2) + "\n"


def read_info(folder: Path) -> ModelInfo:
    """Read ``model.json`` of a weights folder.

    Raises:
        InputError: there is no such folder or file, or it is not what this version writes.
    """
    recover_folder(folder)
    path = folder / INFO_FILE
    if not folder.is_dir():
        raise InputError(f"{folder}: no such weights folder")
    if not path.is_file():
        raise InputError(f"{folder}: not a weights folder (it has no {INFO_FILE})")
    try:
        fields = json.loads(path.read_text())
        version = fields.pop("format_version")
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path}: format version {version}; this version reads {FORMAT_VERSION}"
            )
        for derived in ("metric", "nominal_baseline"):
            fields.pop(derived, None)
        architecture = fields.pop("architecture")
        for name in ("scales", "source_ids"):
            architecture[name] = tuple(architecture[name])
        info = ModelInfo(Architecture(**architecture), **fields)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged or not of this project ({error})") from error
    check_info(info, path)
    return info


def check_info(info: ModelInfo, path: Path) -> None:
    """Refuse values that no model can have, naming the key."""
    architecture = info.architecture
    valid = {
        "num_layers": architecture.num_layers in DEPTHS,
        "scales": 0 in architecture.scales and all(s in (0, 1, 2, 3) for s in architecture.scales),
        "height": isinstance(info.height, int) and info.height > 0 and info.height % 32 == 0,
        "width": isinstance(info.width, int) and info.width > 0 and info.width % 32 == 0,
        "min_depth": _is_length(info.min_depth),
        "max_depth": _is_length(info.max_depth),
        "baseline_metres": _is_length(info.baseline_metres),
        "source_ids": len(architecture.source_ids) > 0
        and all(i == STEREO or (isinstance(i, int) and i != 0) for i in architecture.source_ids),
        "pose_model_type": architecture.pose_model_type in ("separate_resnet", "shared", "posecnn"),
        "pose_model_input": architecture.pose_model_input in ("pairs", "all"),
    }
    wrong = [key for key, ok in valid.items() if not ok]
    if not wrong and info.min_depth >= info.max_depth:
        wrong = ["min_depth and max_depth"]
    if wrong:
        raise InputError(f"{path}: impossible value of {', '.join(wrong)}")


def _is_length(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 < value < math.inf


def save_weights(folder: Path, model: Monodepth, info: ModelInfo) -> None:
    """Write the files of a weights folder into ``folder``, which must exist."""
    for module, layer in model.named_children():
        arrays = {name: value.numpy() for name, value in layer.state_dict().items()}
        save_file(arrays, folder / f"{module}.safetensors")
    (folder / INFO_FILE).write_text(info.to_json())


def load_module(layer: nn.Layer, path: Path) -> None:
    """Load one module's file, strictly.

    Raises:
        InputError: the file is missing or damaged, or its parameters are not the layer's; all that
            differ are listed.
    """
    try:
        arrays = load_file(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing from the weights folder") from error
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: damaged or not a safetensors file ({error})") from error
    state = layer.state_dict()
    problems = differences(arrays, {name: tuple(value.shape) for name, value in state.items()})
    if problems:
        shown = "; ".join(problems[:6]) + ("; …" if len(problems) > 6 else "")
        raise InputError(
            f"{path}: weights of another architecture, {len(problems)} parameters differ: {shown}"
        )
    for name, value in state.items():
        value.set_value(arrays[name].astype(np.float32))


def differences(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """What keeps ``arrays`` from being the parameters of the given names and shapes."""
    problems = [f"{name} missing" for name in shapes if name not in arrays]
    problems += [f"{name} unknown" for name in arrays if name not in shapes]
    problems += [
        f"{name} is {arrays[name].shape}, expected {shape}"
        for name, shape in shapes.items()
        if name in arrays and tuple(arrays[name].shape) != shape
    ]
    problems += [f"{name} is not finite" for name, a in arrays.items() if not np.isfinite(a).all()]
    return problems


def load_model(folder: Path) -> tuple[Monodepth, ModelInfo]:
    """Build the model of a weights folder and load all of its modules, in evaluation mode."""
    info = read_info(folder)
    model = Monodepth(info.architecture)
    load_into(model, folder, MODULES)
    model.eval()
    return model, info


def load_depth_model(folder: Path) -> tuple[Monodepth, ModelInfo]:
    """Like :func:`load_model`, without the networks that only training needs."""
    info = read_info(folder)
    model = Monodepth(
        Architecture(
            num_layers=info.architecture.num_layers,
            scales=info.architecture.scales,
            source_ids=(STEREO,),  # needs no pose network
        )
    )
    load_into(model, folder, ("encoder", "depth"))
    model.eval()
    return model, info


def load_into(model: Monodepth, folder: Path, modules: Iterable[str]) -> list[str]:
    """Load those of ``modules`` that the model has; returns their names."""
    recover_folder(folder)
    layers = dict(model.named_children())
    wanted = [module for module in modules if module in layers]
    for module in wanted:
        load_module(layers[module], folder / f"{module}.safetensors")
    return wanted


def replace_folder(new: Path, folder: Path) -> None:
    """Put the complete folder ``new`` in the place of ``folder``.

    A kill in between leaves ``folder`` under its backup name, where :func:`recover_folder` finds
    it.
    """
    recover_folder(folder)
    old = backup_of(folder)
    if old.exists():
        shutil.rmtree(old)
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        recover_folder(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """Undo a :func:`replace_folder` that was killed between its two renames."""
    if not folder.exists() and backup_of(folder).exists():
        backup_of(folder).rename(folder)


def backup_of(folder: Path) -> Path:
    """Where :func:`replace_folder` keeps the old folder for a moment."""
    return folder.with_name(f".{folder.name}.old")
