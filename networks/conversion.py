"""Weights from one format to another: whole models by folder, any parameters by file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from safetensors.numpy import save_file

from errors import InputError
from files import SUMS_FILE, write_sums, written_whole
from networks.midas_small import SIDE, MidasSmall
from networks.model_info import INFO_FILE, MIDAS_SMALL, ModelInfo
from networks.monodepth import STEREO, Architecture, Monodepth
from networks.parameter_names import MODULES, published_names
from networks.published_folder import find_module, infer_info
from networks.weights import assign, load_into, read_info, save_weights
from weight_files.reading import SUFFIXES, read_weights
from weight_files.state_dicts import (
    paddle_name,
    split_bookkeeping,
    torch_name,
    transposed_linear,
)
from weight_files.torch_files import write_torch

SUFFIX_OF = {"safetensors": ".safetensors", "torch": ".pth", "paddle": ".pdparams"}
CLASSES = 1000  # of the ResNets' classifier, which the published code loads and never uses


def convert_folder(src: Path, dst: Path, to: str, facts: Mapping[str, Any]) -> None:
    """Write the model of a weights folder as another one.

    Args:
        src: weights folder of any format.
        dst: folder to make.
        to: ``safetensors``, ``torch`` (as the published code loads it) or ``paddle``.
        facts: ``height``, ``width`` and ``trained_on`` (M, S or MS) where ``src`` does not say.

    Raises:
        InputError: ``src`` is no whole model.
    """
    info = read_info(src) if (src / INFO_FILE).is_file() else infer_info(src, facts)
    model = Monodepth(info.architecture)
    found = [module for module in MODULES if find_module(src, module)]
    load_into(model, src, found)
    new = dst.with_name(f".{dst.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        save_weights(new, model, info)
        for module, _ in model.named_children():
            if module not in found:  # was drawn, not loaded
                (new / f"{module}.safetensors").unlink()
        if to != "safetensors":
            _replace_modules(new, model, info, found, to)
        (new / SUMS_FILE).unlink()
        write_sums(new)
        new.rename(dst)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _replace_modules(
    folder: Path, model: Monodepth, info: ModelInfo, modules: list[str], to: str
) -> None:
    """Put files in the published layout in the place of our own."""
    contents = published_contents(model, info)
    for module in modules:
        values = contents[module]
        path = folder / f"{module}{SUFFIX_OF[to]}"
        if to == "torch":
            write_torch(path, with_classifier(values))
        else:
            _save_paddle(path, {paddle_name(name): value for name, value in values.items()})
        (folder / f"{module}.safetensors").unlink()


def published_contents(model: Monodepth, info: ModelInfo) -> dict[str, dict[str, Any]]:
    """The content of the published files of a model, per module."""
    state = model.state_dict()
    contents: dict[str, dict[str, Any]] = {}
    for name, (module, key) in published_names(state, model.architecture).items():
        contents.setdefault(module, {})[key] = state[name].numpy()
    facts = {"height": info.height, "width": info.width}
    facts["use_stereo"] = STEREO in info.architecture.source_ids
    contents["encoder"].update(facts)
    return contents


def with_classifier(values: Mapping[str, Any]) -> dict[str, Any]:
    """Add what the published code insists on: a classifier of zeros, and counters of batches."""
    added = dict(values)
    for name in values:
        layer, _, leaf = name.rpartition(".")
        if leaf == "running_mean":
            added[f"{layer}.num_batches_tracked"] = np.zeros((), np.int64)
    if "encoder.conv1.weight" in values:
        channels = max(len(v) for k, v in values.items() if k.startswith("encoder.layer4"))
        added["encoder.fc.weight"] = np.zeros((CLASSES, channels), np.float32)
        added["encoder.fc.bias"] = np.zeros(CLASSES, np.float32)
    return added


def convert_file(src: Path, dst: Path, to: str) -> None:
    """Write the parameters of one file in another format, under that framework's names.

    Linear weights are transposed between the frameworks; safetensors keep PyTorch's layout.

    Raises:
        InputError: ``src`` is no file of weights, or ``dst`` has the suffix of another format.
    """
    if dst.suffix in SUFFIXES and dst.suffix != SUFFIX_OF[to]:
        raise InputError(f"{dst}: --to {to} writes {SUFFIX_OF[to]} files; name it so")
    values = read_weights(src)
    from_paddle = any(name.endswith("._mean") for name in values) or src.suffix == ".pdparams"
    rename = paddle_name if to == "paddle" else torch_name
    crosses = from_paddle != (to == "paddle")
    converted = {
        rename(name): transposed_linear(name, value) if crosses else value
        for name, value in values.items()
    }
    dst.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(dst) as path:
        if to == "torch":
            write_torch(path, converted)
        elif to == "paddle":
            _save_paddle(path, converted)
        else:
            save_file({name: np.asarray(value) for name, value in converted.items()}, path)


def _save_paddle(path: Path, values: Mapping[str, Any]) -> None:
    tensors = {
        name: paddle.to_tensor(value, place=paddle.CPUPlace())
        if isinstance(value, np.ndarray)
        else value
        for name, value in values.items()
    }
    paddle.save(tensors, str(path))


def convert_midas(file: Path, folder: Path, name: str) -> None:
    """Make a weights folder of the official file of MiDaS v2.1 small.

    Raises:
        InputError: the file is not that model; all parameters that differ are listed.
    """
    model = MidasSmall()
    parameters, _ = split_bookkeeping(read_weights(file))
    assign(model, {paddle_name(key): np.asarray(value) for key, value in parameters.items()}, file)
    info = ModelInfo(Architecture(), SIDE, SIDE, name=name, kind=MIDAS_SMALL)
    new = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        save_weights(new, model, info)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
