"""What of a training step is compiled together."""

from __future__ import annotations

import paddle
from paddle import nn

from training import onednn


def compile_step(step: nn.Layer, processes: int) -> None:
    """Compile a step that has ``networks`` and a ``loss``, in place.

    As one, or each for itself: where oneDNN computes the convolutions, because Paddle runs what
    has operations of oneDNN one after the other, and everything else on all cores; and where the
    loss is not ``compilable``, which stays as it is.

    Args:
        step: of a :class:`training.task.Task`.
        processes: that share this machine's cores.
    """
    through_onednn = onednn.works()
    if not through_onednn and step.loss.compilable:
        paddle.jit.to_static(step, full_graph=True)
        return
    if through_onednn:
        onednn.compile_with_onednn(step.networks, onednn.share_of_cores(processes))
    else:
        paddle.jit.to_static(step.networks, full_graph=True)
    if step.loss.compilable:
        paddle.jit.to_static(step.loss, full_graph=True)
