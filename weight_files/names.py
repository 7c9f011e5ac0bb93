"""Names of parameters: this project's beside the published ones, Paddle's beside PyTorch's.

Published weights are one file per module (``encoder``, ``depth``, ``pose_encoder``, ``pose``,
``predictive_mask``), whose state dicts number the decoders' layers by insertion. Names here are
``<module>.<name>``, for instance ``depth.upconv_4_0.conv.weight`` for the key
``decoder.0.conv.conv.weight`` of the file ``depth``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from networks.architecture import Architecture

# Buffers of batch normalisation, the only leaves whose names differ: Paddle's and PyTorch's.
LEAVES = {"_mean": "running_mean", "_variance": "running_var"}

WRAPPER = "module."

# Entries of published files that are no parameters of a depth or pose network: counters of batch
# normalisation, the classifiers of the encoders, and what the encoder's file says of the training.
BOOKKEEPING = re.compile(
    r"(.*\.)?(num_batches_tracked|fc\.weight|fc\.bias|classifier\.[02]\.(weight|bias))"
    r"|height|width|use_stereo"
)


def layer_names(module: str, architecture: Architecture | None) -> dict[str, str]:
    """Layers of a Monodepth's module that its published file numbers, and their names there."""
    if module in ("depth", "predictive_mask"):
        names = [f"upconv_{level}_{part}.conv" for level in range(4, -1, -1) for part in (0, 1)]
        table = {name: f"decoder.{index}.conv.conv" for index, name in enumerate(names)}
        for index, scale in enumerate(architecture.scales, start=len(names)):
            table[f"output_{scale}.conv"] = f"decoder.{index}.conv"
        return table
    if module != "pose":
        return {}
    names = ["squeeze", "pose_0", "pose_1", "pose_2"]
    if architecture.pose_model_type == "posecnn":
        names = [f"conv_{index}" for index in range(7)]
    return {name: f"net.{index}" for index, name in enumerate(names)}


def published_names(names: Iterable[str], architecture: Architecture) -> dict[str, tuple[str, str]]:
    """Map each parameter name of a :class:`Monodepth` to (published file, published key)."""
    table = {}
    for name in names:
        module, rest = name.split(".", 1)
        layer, leaf = rest.rsplit(".", 1)
        layer = layer_names(module, architecture).get(layer, re.sub(r"^resnet\b", "encoder", layer))
        table[name] = (module, torch_name(f"{layer}.{leaf}"))
    return table


def own_parameter_name(key: str, module: str, architecture: Architecture | None) -> str:
    """The name in a module of the parameter with a published key; its own name stays."""
    layer, dot, leaf = paddle_name(key).rpartition(".")
    if module in ("encoder", "pose_encoder"):
        return re.sub(r"^encoder\b", "resnet", layer) + dot + leaf
    own = {published: name for name, published in layer_names(module, architecture).items()}
    return own.get(layer, layer) + dot + leaf


def torch_name(name: str) -> str:
    """The name that PyTorch has for a parameter or buffer of Paddle's."""
    layer, dot, leaf = name.rpartition(".")
    return layer + dot + LEAVES.get(leaf, leaf)


def paddle_name(name: str) -> str:
    """The name that Paddle has for a parameter or buffer of PyTorch's."""
    layer, dot, leaf = name.rpartition(".")
    return layer + dot + {published: own for own, published in LEAVES.items()}.get(leaf, leaf)


def unwrapped(values: Mapping[str, Any]) -> dict[str, Any]:
    """Entries by name without the ``module.`` that DataParallel puts before every parameter."""
    tensors = [name for name, value in values.items() if isinstance(value, np.ndarray)]
    if not tensors or not all(name.startswith(WRAPPER) for name in tensors):
        return dict(values)
    return {name[len(WRAPPER) * name.startswith(WRAPPER) :]: v for name, v in values.items()}


def split_bookkeeping(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters, and the known entries that are none, by their names."""
    known = {name: value for name, value in values.items() if BOOKKEEPING.fullmatch(name)}
    return {name: value for name, value in values.items() if name not in known}, known


def transposed_linear(name: str, value: Any) -> Any:
    """A Linear layer's weight as the other framework has it; any other value unchanged.

    PyTorch keeps [outputs, inputs], Paddle [inputs, outputs]. Among the parameters of
    convolutional networks only Linear layers have weights of two dimensions.
    """
    is_linear = isinstance(value, np.ndarray) and value.ndim == 2 and name.endswith(".weight")
    return np.ascontiguousarray(value.T) if is_linear else value
