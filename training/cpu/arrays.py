"""Tensors made from arrays, without what Paddle keeps of each.

Paddle 3.3 never frees a list of words for every tensor that is made from an array. A training
makes dozens of them in a step. On CPUs they are made empty here and filled through their memory.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import paddle
from paddle import Tensor

from training.cpu.process import on_cpu


def empty(shape: Sequence[int], dtype: np.dtype | type) -> tuple[Tensor, np.ndarray]:
    """A new tensor, and its memory as an array, which must not be used after the tensor is gone.

    For CPUs: Paddle's device has to be one, and tensors have to say where they are.
    """
    dtype = np.dtype(dtype)
    tensor = paddle.empty(list(shape), dtype.name)
    memory = (ctypes.c_byte * (tensor.size * dtype.itemsize)).from_address(tensor.data_ptr())
    return tensor, np.frombuffer(memory, dtype).reshape(shape)


def to_tensor(array: np.ndarray) -> Tensor:
    """A tensor with the values of an array, on the device in use."""
    if not on_cpu() or not hasattr(Tensor, "data_ptr"):
        return paddle.to_tensor(array)
    tensor, memory = empty(array.shape, array.dtype)
    memory[...] = array
    return tensor
