"""Arrays brought to the device without waiting for what it computes.

``paddle.to_tensor`` copies to a GPU from ordinary memory, which waits until the GPU has done all
that it was given. Here arrays of one type are put together in memory that the GPU reads by itself,
and one copy of them takes its turn among the GPU's work.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import paddle
from paddle import Tensor

from system.device import device_kind
from training.cpu.arrays import to_tensor


def to_device(arrays: Sequence[np.ndarray]) -> list[Tensor]:
    """Tensors with the values of arrays, on the device in use."""
    if device_kind() == "gpu":
        return packed(arrays, _STAGING.copy)
    return [to_tensor(array) for array in arrays]


def packed(arrays: Sequence[np.ndarray], copy: Callable[[np.ndarray], Tensor]) -> list[Tensor]:
    """Tensors of arrays, of which ``copy`` is given all of one type at once, in one dimension."""
    tensors: dict[int, Tensor] = {}
    order = sorted(range(len(arrays)), key=lambda i: arrays[i].dtype.str)
    for _, numbers in itertools.groupby(order, key=lambda i: arrays[i].dtype.str):
        alike = list(numbers)
        flat = copy(np.concatenate([arrays[i].reshape(-1) for i in alike]))
        parts = paddle.split(flat, [arrays[i].size for i in alike])
        tensors.update((i, part.reshape(arrays[i].shape)) for i, part in zip(alike, parts))
    return [tensors[i] for i in range(len(arrays))]


class Staging:
    """Memory that a GPU is still to read from.

    Args:
        stage: puts an array into memory that the GPU can read.
        send: gives the GPU the copy to do, without waiting for it.
        mark: gives it a mark after that, whose ``query`` says whether it has come there.
    """

    def __init__(
        self,
        stage: Callable[[np.ndarray], Any],
        send: Callable[[Any], Tensor],
        mark: Callable[[], Any],
    ) -> None:
        self._stage, self._send, self._mark = stage, send, mark
        self._held: deque[tuple[Any, Any]] = deque()

    def copy(self, array: np.ndarray) -> Tensor:
        """A tensor on the GPU; what it is copied from is held until that is done."""
        while self._held and self._held[0][1].query():
            self._held.popleft()
        staged = self._stage(array)
        tensor = self._send(staged)
        self._held.append((staged, self._mark()))
        return tensor


def _recorded() -> paddle.device.cuda.Event:
    event = paddle.device.cuda.Event()
    event.record()
    return event


_STAGING = Staging(
    stage=lambda array: paddle.to_tensor(array, place=paddle.CUDAPinnedPlace()),
    send=lambda staged: staged.cuda(blocking=False),
    mark=_recorded,
)
