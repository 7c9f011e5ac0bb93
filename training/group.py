"""Processes, one device each, that train one model together.

``python -m paddle.distributed.launch`` starts them. Every process computes the gradient of its
share of the items; then one sum over the processes carries all that they have to agree on. The
compiled step hands over all gradients at once, so there is nothing to overlap this sum with.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import paddle
import paddle.distributed as dist
from paddle import Tensor, nn

from system.errors import InputError
from training.cpu.arrays import to_tensor


@dataclass(frozen=True)
class Group:
    """The place of this process among those that train together.

    Attributes:
        rank: from 0; the first one writes logs and checkpoints.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.rank == 0

    def mean(self, values: Sequence[float]) -> list[float]:
        """The mean of each value over the processes."""
        if self.size == 1:
            return list(values)
        return (self._sum(to_tensor(np.asarray(values, np.float64))) / self.size).tolist()

    def share(self, layer: nn.Layer, values: Tensor) -> Tensor:
        """Give every process the mean of the gradients, of the running statistics, and of values.

        Statistics too, so that each process stays what the checkpoint says. Nothing is read back
        from the device; values [n] are float32.
        """
        if self.size == 1:
            return values
        grads = [p.grad for p in layer.parameters() if p.grad is not None]
        tensors = [*grads, *running_statistics(layer), values]
        flat = self._sum(paddle.concat([tensor.flatten() for tensor in tensors])) / self.size
        parts = paddle.split(flat, [int(tensor.size) for tensor in tensors])
        for tensor, part in zip(tensors[:-1], parts):
            paddle.assign(part.reshape(tensor.shape), tensor)
        return parts[-1]

    def _sum(self, tensor: Tensor) -> Tensor:
        try:
            dist.all_reduce(tensor)
        except RuntimeError as error:
            raise InputError(
                f"process {self.rank} of {self.size} lost another one; see what that one said, and "
                "go on from the last checkpoint with --resume"
            ) from error
        return tensor


def running_statistics(layer: nn.Layer) -> list[Tensor]:
    """Means and variances that batch normalisation follows; Paddle counts them as parameters."""
    norms = (
        part
        for part in layer.sublayers(include_self=True)
        if isinstance(part, (nn.BatchNorm2D, nn.SyncBatchNorm)) and not part._use_global_stats
    )
    return [statistic for norm in norms for statistic in (norm._mean, norm._variance)]


def is_first() -> bool:
    """Whether this process will be the first of those that it was launched with."""
    return os.environ.get("PADDLE_TRAINER_ID", "0") == "0"


def join_group() -> Group:
    """Meet the other processes that were launched with this one, if there are any."""
    if int(os.environ.get("PADDLE_TRAINERS_NUM", "1")) == 1:
        return Group()
    dist.init_parallel_env()
    return Group(dist.get_rank(), dist.get_world_size())


def synchronised(model: nn.Layer, group: Group) -> nn.Layer:
    """The model with batch normalisation over the batches of all processes together.

    Raises:
        InputError: there is one process only, or Paddle cannot do it on this device.
    """
    if group.size == 1:
        raise InputError("--sync_batch_norm: there is one device only; leave it out")
    if not paddle.device.get_device().startswith("gpu"):
        raise InputError("--sync_batch_norm: Paddle has it for GPUs only; leave it out")
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)
