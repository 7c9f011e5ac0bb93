"""Encoders that start from a ResNet trained on ImageNet."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from errors import InputError
from networks.monodepth import Monodepth
from networks.resnet_encoder import ResnetEncoder
from networks.weights import assign
from weight_files.reading import SUFFIXES, read_weights
from weight_files.state_dicts import paddle_name, split_bookkeeping


def find_weights_file(path: Path) -> Path:
    """``path``, or the file whose name only lacks one of the known suffixes.

    Raises:
        InputError: there is none.
    """
    candidates = [path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES)]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise InputError(
            f"--weights_init {path}: no such file, with none of {', '.join(SUFFIXES)} either; "
            "give pretrained, scratch, or the path of a ResNet's weights"
        )
    return found


def load_imagenet(model: Monodepth, path: Path) -> list[str]:
    """Give the encoders of a model the weights of a ResNet; returns the encoders' names.

    The pose encoder sees several images: its first convolution is repeated over them and divided
    by their number, so that equal images give what one would (paper, supplementary).

    Raises:
        InputError: the file is damaged, or of a ResNet of another depth.
    """
    parameters, _ = split_bookkeeping(read_weights(path))
    arrays = {f"resnet.{paddle_name(name)}": np.asarray(v) for name, v in parameters.items()}
    encoders = [n for n, layer in model.named_children() if isinstance(layer, ResnetEncoder)]
    for name in encoders:
        encoder = getattr(model, name)
        first = arrays.get("resnet.conv1.weight")
        if first is not None and first.ndim == 4:
            repeated = np.tile(first, (1, encoder.num_images, 1, 1)) / encoder.num_images
            arrays_here = {**arrays, "resnet.conv1.weight": repeated}
        else:
            arrays_here = arrays
        assign(encoder, arrays_here, path)
    return encoders
