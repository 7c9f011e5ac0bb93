"""Networks and objective as layers, which are compiled together or apart."""

from __future__ import annotations

from dataclasses import dataclass

import paddle
from paddle import Tensor, nn

from networks.monodepth import Monodepth, Prediction
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


class Networks(nn.Layer):
    """The networks on what they are shown; their prediction as flat tensors in float32."""

    def __init__(self, model: Monodepth, precision: str = "fp32") -> None:
        super().__init__()
        self.model = model
        self.precision = precision

    def forward(self, target: Tensor, sources: Tensor) -> list[Tensor]:
        """See :meth:`networks.monodepth.Prediction.flat`."""
        return self._trace(target, sources)

    # No control flow depends on a tensor's value, so that compiling need not rewrite the code.
    @paddle.jit.not_to_static
    def _trace(self, target: Tensor, sources: Tensor) -> list[Tensor]:
        if self.precision == "fp32":
            return self.model(target, sources).flat()
        with networks_in(self.precision):
            predicted = self.model(target, sources).flat()
        return [tensor.astype("float32") for tensor in predicted]


class Loss(nn.Layer):
    """The objective of a flat prediction."""

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective
        self.compilable = objective.kernels.compilable

    def forward(
        self,
        predicted: list[Tensor],
        target: Tensor,
        sources: Tensor,
        K: Tensor,
        T_stereo: Tensor,
        tie_break: Tensor,
    ) -> list[Tensor]:
        """The fields of :class:`StepOutput` in a row."""
        return self._trace(predicted, target, sources, K, T_stereo, tie_break)

    @paddle.jit.not_to_static
    def _trace(
        self,
        predicted: list[Tensor],
        target: Tensor,
        sources: Tensor,
        K: Tensor,
        T_stereo: Tensor,
        tie_break: Tensor,
    ) -> list[Tensor]:
        prediction = Prediction.from_flat(self.objective.architecture, predicted)
        losses = self.objective(prediction, target, sources, K, T_stereo, tie_break)
        return [
            losses.total,
            *losses.per_scale,
            prediction.disps[0],
            *losses.warped[0],
            *losses.automasks[:1],
        ]


class TrainingStep(nn.Layer):
    """Forward pass of the networks and the loss.

    Takes and returns flat tensors, as compiling needs.
    """

    def __init__(self, model: Monodepth, objective: Objective, precision: str = "fp32") -> None:
        super().__init__()
        self.networks = Networks(model, precision)
        self.loss = Loss(objective)

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
        predicted = self.networks(seen_target, seen_sources)
        return self.loss(predicted, target, sources, K, T_stereo, tie_break)


def draw_tie_break(seed: int, step: int, shape: list[int]) -> Tensor:
    """Noise of deviation 1 for the auto-mask of one step, the same for the same seed and step."""
    paddle.seed((seed * 1_000_003 + step) % 2**63)
    return paddle.randn(shape)
