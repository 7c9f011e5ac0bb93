"""The table between this project's parameter names and the published PyTorch ones.

Published weights are one file per module (``encoder``, ``depth``, ``pose_encoder``, ``pose``,
``predictive_mask``), whose state dicts number the decoders' layers by insertion. Names here are
``<module>.<name>``, for instance ``depth.upconv_4_0.conv.weight`` for the key
``decoder.0.conv.conv.weight`` of the file ``depth``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from networks.monodepth import Architecture
from weight_files.state_dicts import paddle_name, torch_name

MODULES = ("encoder", "depth", "pose_encoder", "pose", "predictive_mask")


def decoder_layers(scales: Iterable[int]) -> dict[str, str]:
    """Layers of the depth or mask decoder: name here to published name."""
    names = [f"upconv_{level}_{part}.conv" for level in range(4, -1, -1) for part in (0, 1)]
    table = {name: f"decoder.{index}.conv.conv" for index, name in enumerate(names)}
    for index, scale in enumerate(scales, start=len(names)):
        table[f"output_{scale}.conv"] = f"decoder.{index}.conv"
    return table


def pose_layers(pose_model_type: str) -> dict[str, str]:
    """Layers of the pose decoder or PoseCNN: name here to published name."""
    if pose_model_type == "posecnn":
        return {**{f"conv_{i}": f"net.{i}" for i in range(7)}, "pose_conv": "pose_conv"}
    return {name: f"net.{i}" for i, name in enumerate(("squeeze", "pose_0", "pose_1", "pose_2"))}


def layer_names(module: str, architecture: Architecture) -> dict[str, str]:
    """Layers of a module that the published file numbers: name here to published name."""
    if module in ("depth", "predictive_mask"):
        return decoder_layers(architecture.scales)
    return pose_layers(architecture.pose_model_type) if module == "pose" else {}


def published_names(names: Iterable[str], architecture: Architecture) -> dict[str, tuple[str, str]]:
    """Map each parameter name of a :class:`Monodepth` to (published file, published key)."""
    table = {}
    for name in names:
        module, rest = name.split(".", 1)
        layer, leaf = rest.rsplit(".", 1)
        layer = layer_names(module, architecture).get(layer, re.sub(r"^resnet\b", "encoder", layer))
        table[name] = (module, torch_name(f"{layer}.{leaf}"))
    return table


def own_parameter_name(key: str, module: str, architecture: Architecture) -> str:
    """The name in a module of the parameter with a published key; its own name stays."""
    layer, dot, leaf = paddle_name(key).rpartition(".")
    if module in ("encoder", "pose_encoder"):
        return re.sub(r"^encoder\b", "resnet", layer) + dot + leaf
    own = {published: name for name, published in layer_names(module, architecture).items()}
    return own.get(layer, layer) + dot + leaf
