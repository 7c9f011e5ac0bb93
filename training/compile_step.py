"""What of a training step is compiled together."""

from __future__ import annotations

import paddle
from paddle import nn

from training import onednn


def compile_step(step: nn.Layer, processes: int) -> None:
    """Compile a step that has ``networks`` and a ``loss``, in place.

    As one, or, where oneDNN computes the convolutions, each for itself: Paddle runs what has
    operations of oneDNN one after the other, and everything else on all cores.

    Args:
        step: of a :class:`training.task.Task`.
        processes: that share this machine's cores.
    """
    if not onednn.works():
        paddle.jit.to_static(step, full_graph=True)
        return
    onednn.use_threads(processes)
    onednn.compile_with_onednn(step.networks)
    paddle.jit.to_static(step.loss, full_graph=True)
