"""Weights folders: self-describing, safe to load, never half-written.

A folder holds one file per module (``encoder``, ``depth``, ``pose_encoder``, ``pose``,
``predictive_mask``, only those that the model has, or MiDaS's ``pretrained`` and ``scratch``) and
``model.json``, which says how to build the networks and how to read their output. Files written
here are safetensors. Folders in the published format (``encoder.pth``, …) and those of its Paddle
port (``encoder.pdparams``, …) are read too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Callable

import numpy as np
from paddle import nn
from safetensors.numpy import save_file

from errors import InputError
from files import check_sum, recover_folder, write_sums
from networks.midas_small import MidasSmall
from networks.model_info import (
    DEPTH_MODULES,
    INFO_FILE,
    MIDAS_SMALL,
    MONODEPTH,
    ModelInfo,
    read_info_file,
)
from networks.monodepth import STEREO, Architecture, Monodepth
from networks.parameter_names import MODULES, own_parameter_name
from networks.published_folder import infer_info, module_file
from weight_files.reading import read_weights
from weight_files.state_dicts import paddle_name, split_bookkeeping


def read_info(folder: Path) -> ModelInfo:
    """What a weights folder says of its model, in ``model.json`` or by its parameters.

    Raises:
        InputError: there is no such folder, or it does not say enough.
    """
    recover_folder(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such weights folder")
    if (folder / INFO_FILE).is_file():
        return read_info_file(folder)
    return infer_info(folder)


def save_weights(folder: Path, model: Monodepth | MidasSmall, info: ModelInfo) -> None:
    """Write the files of a weights folder into ``folder``, which must exist.

    Checksums are written of all files that ``folder`` then holds.
    """
    for module, layer in model.named_children():
        arrays = {name: value.numpy() for name, value in layer.state_dict().items()}
        save_file(arrays, folder / f"{module}.safetensors")
    (folder / INFO_FILE).write_text(info.to_json())
    write_sums(folder)


def load_module(layer: nn.Layer, path: Path, own_name: Callable[[str], str] = paddle_name) -> None:
    """Load one module's file, strictly.

    Args:
        layer: the module.
        path: its file, of any format.
        own_name: what the layer calls the parameter that a file calls so.

    Raises:
        InputError: the file is damaged, or its parameters are not the layer's; all that differ
            are listed.
    """
    check_sum(path)
    parameters, _ = split_bookkeeping(read_weights(path))
    assign(layer, {own_name(name): np.asarray(v) for name, v in parameters.items()}, path)


def assign(layer: nn.Layer, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Give a layer its parameters, read from ``path``.

    Raises:
        InputError: they are not the layer's; all that differ are listed.
    """
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
    if info.kind != MONODEPTH:
        raise InputError(f"{folder}: is a {info.kind}, which this command cannot use")
    model = Monodepth(info.architecture)
    load_into(model, folder, MODULES)
    model.eval()
    return model, info


def load_depth_model(folder: Path) -> tuple[Monodepth | MidasSmall, ModelInfo]:
    """The depth network of a weights folder of any kind, in evaluation mode."""
    info = read_info(folder)
    if info.kind == MIDAS_SMALL:
        return load_midas(folder), info
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


def load_midas(folder: Path) -> MidasSmall:
    """The network of a weights folder of MiDaS v2.1 small, in evaluation mode."""
    model = MidasSmall()
    load_into(model, folder, DEPTH_MODULES[MIDAS_SMALL])
    model.eval()
    return model


def load_into(model: Monodepth | MidasSmall, folder: Path, modules: Iterable[str]) -> list[str]:
    """Load those of ``modules`` that the model has; returns their names."""
    recover_folder(folder)
    layers = dict(model.named_children())
    wanted = [module for module in modules if module in layers]
    for module in wanted:
        own_name = paddle_name
        if not isinstance(model, MidasSmall):
            own_name = partial(own_parameter_name, module=module, architecture=model.architecture)
        load_module(layers[module], module_file(folder, module), own_name)
    return wanted
