"""Encoders that start from ImageNet: which a model has, and their weights of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from networks.convnext_encoder import ConvNextEncoder
from networks.monodepth import Monodepth
from networks.resnet_encoder import ResnetEncoder
from system.errors import InputError
from weight_files.folder import assign, parameters_of
from weight_files.reading import read_weights


def encoders_of(model: Monodepth) -> dict[str, ResnetEncoder | ConvNextEncoder]:
    """The encoders of a model by the names of their modules."""
    kinds = (ResnetEncoder, ConvNextEncoder)
    return {name: layer for name, layer in model.named_children() if isinstance(layer, kinds)}


def encoder_variants(model: Monodepth) -> set[str]:
    """What the encoders of a model are: ``resnet18``, ``convnext_tiny``, …"""
    return {encoder.variant for encoder in encoders_of(model).values()}


def load_imagenet(model: Monodepth, path: Path) -> list[str]:
    """Give those encoders of a model the weights of a file that are of its kind; their names.

    The pose encoder sees several images: its first convolution is repeated over them and divided
    by their number, so that equal images give what one would (paper, supplementary).

    Raises:
        InputError: the file is damaged, or of another network.
    """
    arrays = parameters_of(read_weights(path))
    encoders = encoders_of(model)
    if any(name.startswith("features.") for name in arrays):
        encoders = {n: e for n, e in encoders.items() if isinstance(e, ConvNextEncoder)}
        if not encoders:
            raise InputError(f"{path}: weights of a ConvNeXt; name it with --encoder")
        for encoder in encoders.values():
            assign(encoder, arrays, path)
        return list(encoders)
    arrays = {f"resnet.{name}": value for name, value in arrays.items()}
    first = arrays.get("resnet.conv1.weight")
    encoders = {n: e for n, e in encoders.items() if isinstance(e, ResnetEncoder)}
    if not encoders:
        raise InputError(f"{path}: not the weights of a ConvNeXt, which the model has")
    for encoder in encoders.values():
        images = encoder.num_images
        if first is not None and first.ndim == 4:
            arrays["resnet.conv1.weight"] = np.tile(first, (1, images, 1, 1)) / images
        assign(encoder, arrays, path)
    return list(encoders)
