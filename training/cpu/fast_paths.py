"""What may be used on this machine beside Paddle's own operations, and compiling with it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import paddle

from training.cpu.process import free_in_batches, on_cpu, share_of_cores
from training.model_with_loss import ModelWithLoss, TracedLayer
from training.objective import Kernels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FastPaths:
    """What may be used; every part of it was tried.

    Attributes:
        onednn: whether :mod:`training.cpu.onednn` can take the convolutions of compiled networks.
        kernels: those of :mod:`training.cpu.fused` for the loss; None for Paddle's operations.
    """

    onednn: bool = False
    kernels: Kernels | None = None


def fast_paths() -> FastPaths:
    """What may be used for compiled networks and their loss; nothing where there is no CPU."""
    return FastPaths(_onednn_works(), _kernels_that_work()) if on_cpu() else FastPaths()


@lru_cache(maxsize=1)
def _onednn_works() -> bool:
    try:
        import_module("training.cpu.onednn").check()
    except Exception as error:  # whatever another version of Paddle raises
        logger.info("convolutions are Paddle's own, which are slower: oneDNN's failed: %s", error)
        return False
    return True


@lru_cache(maxsize=1)
def _kernels_that_work() -> Kernels | None:
    if find_spec("numba") is None:
        logger.info("pip install -r requirements-cpu.txt: steps on CPUs take a fifth less time")
        return None
    try:
        fused = import_module("training.cpu.fused")
        fused.check()
    except Exception as error:  # a NumPy that Numba does not know, no place for its files, ...
        logger.warning("the loss is computed without Numba: %s", error)
        return None
    return fused.KERNELS


def compile_layers(layers: ModelWithLoss, processes: int) -> None:
    """Compile networks and loss, in place.

    As one, or each for itself: where oneDNN computes the convolutions, because Paddle runs what
    has operations of oneDNN one after the other, and everything else on all cores; and where the
    loss is not ``compilable``, which stays as it is.

    Args:
        layers: of a :class:`training.task.Task`.
        processes: that share this machine's cores.
    """
    through_onednn = fast_paths().onednn
    free_in_batches()
    if not through_onednn and layers.loss.compilable:
        paddle.jit.to_static(layers, full_graph=True)
        return
    if through_onednn:
        _compile_through_onednn(layers.networks, share_of_cores(processes))
    else:
        paddle.jit.to_static(layers.networks, full_graph=True)
    if layers.loss.compilable:
        paddle.jit.to_static(layers.loss, full_graph=True)


def _compile_through_onednn(layer: TracedLayer, threads: int) -> None:
    """Through oneDNN; by Paddle alone as soon as that fails."""
    plain, fast = layer.forward, None

    def forward(inputs: Any) -> Any:
        nonlocal fast
        try:
            if fast is None:
                layer.forward = plain
                import_module("training.cpu.onednn").compile_with_onednn(layer, threads)
                fast, layer.forward = layer.forward, forward
            return fast(inputs)
        except Exception as error:  # whatever another version of Paddle raises
            logger.warning("convolutions are Paddle's own from here: oneDNN's failed: %s", error)
            layer.forward = plain
            paddle.jit.to_static(layer, full_graph=True)
            return layer(inputs)

    layer.forward = forward
