"""Networks and objective as one layer: what is compiled, and what devices run in parallel."""

from __future__ import annotations

from dataclasses import dataclass

import paddle
from paddle import Tensor, nn

from networks.monodepth import Monodepth
from training.objective import Objective
from training.precision import networks_in


@dataclass(frozen=True)
class StepOutput:
    """What one pass over a batch gives.

    Attributes:
        total: the loss, scalar.
        per_scale: its parts, one scalar per scale.
        disp: sigmoid disparity of the first scale, [B, 1, H, W].
        warped: sources warped at the first scale, [B, 3, H, W] each.
        automask: of the first scale, [B, 1, H, W], or None without auto-masking.
    """

    total: Tensor
    per_scale: list[Tensor]
    disp: Tensor
    warped: list[Tensor]
    automask: Tensor | None


class TrainingStep(nn.Layer):
    """Forward pass of the networks and the loss.

    Takes and returns flat tensors, as compiling needs.
    """

    def __init__(self, model: Monodepth, objective: Objective, precision: str = "fp32") -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.precision = precision

    def forward(
        self,
        target: Tensor,
        sources: Tensor,
        seen_target: Tensor,
        seen_sources: Tensor,
        K: Tensor,
        T_stereo: Tensor,
        tie_break: Tensor,
    ) -> list[Tensor]:
        """Loss of a batch; ``seen_*`` are the augmented copies that the networks are given."""
        return self._trace(target, sources, seen_target, seen_sources, K, T_stereo, tie_break)

    # No control flow depends on a tensor's value, so that compiling need not rewrite the code.
    @paddle.jit.not_to_static
    def _trace(
        self,
        target: Tensor,
        sources: Tensor,
        seen_target: Tensor,
        seen_sources: Tensor,
        K: Tensor,
        T_stereo: Tensor,
        tie_break: Tensor,
    ) -> list[Tensor]:
        if self.precision == "fp32":
            prediction = self.model(seen_target, seen_sources)
        else:
            with networks_in(self.precision):
                prediction = self.model(seen_target, seen_sources)
            prediction = prediction.as_float32()
        losses = self.objective(prediction, target, sources, K, T_stereo, tie_break)
        return [
            losses.total,
            *losses.per_scale,
            prediction.disps[0],
            *losses.warped[0],
            *losses.automasks[:1],
        ]


def draw_tie_break(seed: int, step: int, shape: list[int]) -> Tensor:
    """Noise of deviation 1 for the auto-mask of one step, the same for the same seed and step."""
    paddle.seed((seed * 1_000_003 + step) % 2**63)
    return paddle.randn(shape)
