"""Processes, one device each, that train one model together.

``python -m paddle.distributed.launch`` starts them. Every process computes the gradient of its
share of the items; then one sum over the processes carries all that they have to agree on. The
compiled step hands over all gradients at once, so there is nothing to overlap this sum with.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import paddle
import paddle.distributed as dist
from paddle import Tensor, nn

from system.errors import InputError
from training.cpu.arrays import to_tensor
from training.normalisation import running_statistics
from training.peers import Peers, end_process, join, listen, meet

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Group:
    """The place of this process among those that train together.

    Attributes:
        rank: from 0; the first one writes logs and checkpoints.
        size: number of processes.
        peers: the others, whose end is noticed; None where that cannot be.
    """

    rank: int = 0
    size: int = 1
    peers: Peers | None = field(default=None, compare=False)

    @property
    def is_first(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.rank == 0

    def equalise(self, layer: nn.Layer) -> None:
        """Give every process the weights and running statistics of the first one.

        They come from the same seed, of which machines may make different numbers.
        """
        if self.size > 1:
            for value in layer.state_dict().values():
                dist.broadcast(value, src=0)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is done within it is done by all: one that fails ends the others as well."""
        try:
            yield
        except KeyboardInterrupt:  # after a step that all have agreed to be the last
            self._leave()
            raise
        self._leave()

    def _leave(self) -> None:
        if self.peers is not None:
            self.peers.leave()

    def lost(self, which: str = "another one") -> str:
        """What is said where another process has gone."""
        return (
            f"process {self.rank} of {self.size} lost {which}; see what that one said, and "
            "go on from the last checkpoint with --resume"
        )

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
            raise InputError(self.lost()) from error
        return tensor


def is_first() -> bool:
    """Whether this process will be the first of those that it was launched with."""
    return os.environ.get("PADDLE_TRAINER_ID", "0") == "0"


def join_group() -> Group:
    """Meet the other processes that were launched with this one, if there are any."""
    if int(os.environ.get("PADDLE_TRAINERS_NUM", "1")) == 1:
        return Group()
    dist.init_parallel_env()
    group = Group(dist.get_rank(), dist.get_world_size())
    return replace(group, peers=_watched(group))


def _watched(group: Group) -> Peers | None:
    """The connections to the others, watched; None, and a warning, where they cannot be made."""
    host = os.environ["PADDLE_TRAINER_ENDPOINTS"].split(",")[0].rpartition(":")[0]
    server, port, token = None, 0, secrets.randbits(62)
    connections, problem = None, None
    try:
        if group.is_first:
            server, port = listen(host)
    except OSError as error:
        problem = error
    place = paddle.to_tensor([port, token], "int64")
    dist.broadcast(place, src=0)
    port, token = place.tolist()
    try:
        if port:
            connections = (
                meet(server, token, group.size)
                if group.is_first
                else join(host, port, token, group.rank)
            )
    except OSError as error:
        problem = error
    if group.mean([connections is not None]) != [1]:
        logger.warning("a process that is lost will not be noticed: %s", problem or "see others")
        return None
    return Peers(connections, end_process(group.lost)).watch()


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
