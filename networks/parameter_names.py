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

MODULES = ("encoder", "depth", "pose_encoder", "pose", "predictive_mask")

# Buffers of batch normalisation, the only leaves that Paddle names differently.
LEAVES = {"_mean": "running_mean", "_variance": "running_var"}


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


def published_names(names: Iterable[str], architecture: Architecture) -> dict[str, tuple[str, str]]:
    """Map each parameter name of a :class:`Monodepth` to (published file, published key)."""
    layers = {
        "depth": decoder_layers(architecture.scales),
        "predictive_mask": decoder_layers(architecture.scales),
        "pose": pose_layers(architecture.pose_model_type),
    }
    table = {}
    for name in names:
        module, rest = name.split(".", 1)
        layer, leaf = rest.rsplit(".", 1)
        if module in layers:
            layer = layers[module][layer]
        else:
            layer = re.sub(r"^resnet\b", "encoder", layer)
        table[name] = (module, f"{layer}.{LEAVES.get(leaf, leaf)}")
    return table
