"""Weights from one format to another: whole models by folder, any parameters by file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from safetensors.numpy import save_file

from datasets.conventions import STEREO
from networks.any_picture import any_picture_network
from networks.kinds import KINDS, MODULES, MONODEPTH
from networks.monodepth import Architecture, Monodepth
from system.disk import told_as_input
from system.errors import InputError
from system.files import (
    folder_written_whole,
    make_writable_folder,
    write_sums,
    written_whole,
)
from weight_files.folder import assign, open_model, parameters_of, save_weights
from weight_files.model_info import INFO_FILE, ModelInfo
from weight_files.names import paddle_name, published_names, torch_name, transposed_linear
from weight_files.reading import SUFFIXES, read_weights
from weight_files.torch_files import write_torch

SUFFIX_OF = {"safetensors": ".safetensors", "torch": ".pth", "paddle": ".pdparams"}
REMEDY = "make room on the disk, or choose another place"
CLASSES = 1000  # of the ResNets' classifier, which the published code loads and never uses


def convert_folder(src: Path, dst: Path, to: str, facts: Mapping[str, Any]) -> None:
    """Write the model of a weights folder as another one.

    Args:
        src: weights folder of any format.
        dst: folder to make.
        to: ``safetensors``, ``torch`` (as the published code loads it) or ``paddle``.
        facts: ``height``, ``width`` and ``trained_on`` (M, S or MS) where ``src`` does not say.

    Raises:
        InputError: ``src`` is no whole model, or ``dst`` cannot be written.
    """
    opened = open_model(src, facts=facts)
    info = opened.info
    if info.kind != MONODEPTH:
        raise InputError(f"{src}: is a {info.kind}, which has one layout alone; take it as it is")
    model = Monodepth(info.architecture)
    found = opened.load_into(model, [module for module in MODULES if opened.find(module)])
    with told_as_input(dst, REMEDY), folder_written_whole(dst) as new:
        if to == "safetensors":
            save_weights(new, model, info, found)
            return
        contents = published_contents(model, info)
        for module in found:
            values = {paddle_name(name): value for name, value in contents[module].items()}
            if to == "torch":
                values = with_classifier(contents[module])
            _write(new / f"{module}{SUFFIX_OF[to]}", values, to)
        (new / INFO_FILE).write_text(info.to_json())
        write_sums(new)


def published_contents(model: Monodepth, info: ModelInfo) -> dict[str, dict[str, Any]]:
    """The content of the published files of a model, per module."""
    state = model.state_dict()
    contents: dict[str, dict[str, Any]] = {}
    for name, (module, key) in published_names(state, model.architecture).items():
        contents.setdefault(module, {})[key] = state[name].numpy()
    stereo = STEREO in info.architecture.source_ids
    contents["encoder"].update(height=info.height, width=info.width, use_stereo=stereo)
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
        InputError: ``src`` is no file of weights, ``dst`` has the suffix of another format or
            cannot be written.
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
    make_writable_folder(dst.parent, REMEDY)
    with told_as_input(dst, REMEDY), written_whole(dst) as path:
        _write(path, converted, to)


def _write(path: Path, values: Mapping[str, Any], to: str) -> None:
    if to == "torch":
        write_torch(path, values)
    elif to == "safetensors":
        save_file({name: np.asarray(value) for name, value in values.items()}, path)
    else:
        arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        cpu = paddle.CPUPlace()
        tensors = {name: paddle.to_tensor(array, place=cpu) for name, array in arrays.items()}
        paddle.save({**values, **tensors}, str(path))


def convert_official(file: Path, folder: Path, name: str, kind: str) -> None:
    """Make a weights folder of the official file of a network for pictures of anything.

    Raises:
        InputError: the file is not of that kind, all parameters that differ are listed; or the
            folder cannot be written.
    """
    model, side = any_picture_network(kind), KINDS[kind].side
    assign(model, parameters_of(read_weights(file)), file)
    info = ModelInfo(Architecture(), side, side, name=name, kind=kind)
    with told_as_input(folder, REMEDY), folder_written_whole(folder, replace=True) as new:
        save_weights(new, model, info)
