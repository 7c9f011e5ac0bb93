"""What the state dicts of PyTorch and Paddle have in common, and what they name differently."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

# Buffers of batch normalisation, the only leaves whose names differ: Paddle's and PyTorch's.
TORCH_LEAVES = {"_mean": "running_mean", "_variance": "running_var"}
PADDLE_LEAVES = {theirs: own for own, theirs in TORCH_LEAVES.items()}

# Entries of published files that are no parameters of a depth or pose network: counters of batch
# normalisation, the classifier of the ResNets, and what the encoder's file says of the training.
BOOKKEEPING = re.compile(
    r"(.*\.)?(num_batches_tracked|fc\.weight|fc\.bias)|height|width|use_stereo"
)


def torch_name(name: str) -> str:
    """The name that PyTorch has for a parameter or buffer of Paddle's."""
    return _with_leaf(name, TORCH_LEAVES)


def paddle_name(name: str) -> str:
    """The name that Paddle has for a parameter or buffer of PyTorch's."""
    return _with_leaf(name, PADDLE_LEAVES)


def _with_leaf(name: str, leaves: Mapping[str, str]) -> str:
    layer, dot, leaf = name.rpartition(".")
    return f"{layer}{dot}{leaves.get(leaf, leaf)}"


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
