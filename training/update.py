"""One optimiser step: gradients of the turns, scaled for half precision, clipped, by Adam."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn

from training.parts import set_part_rates
from training.precision import loss_scaler, restore_scaler, scaler_state


class Update:
    """Adam, and what stands between the loss and it.

    Args:
        model: whose parameters it moves.
        precision: of the networks.
        clip_norm: largest norm of all gradients together; 0 for any.
    """

    def __init__(self, model: nn.Layer, precision: str, clip_norm: float) -> None:
        clip = nn.ClipGradByGlobalNorm(clip_norm) if clip_norm else None
        self.model = model
        self.optimiser = paddle.optimizer.Adam(parameters=model.parameters(), grad_clip=clip)
        self._scaler = loss_scaler(precision)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.optimiser.get_lr()

    def set_rates(self, base: float, now: float, parts: Mapping[str, float]) -> None:
        """Learn at ``now``; modules in ``parts`` as they would with theirs for ``base``."""
        self.optimiser.set_lr(now)
        set_part_rates(self.model, base, parts)

    def add(self, loss: Tensor) -> None:
        """Add the gradients of a part of the step's loss."""
        self._scaler.scale(loss).backward()

    def apply(self) -> None:
        """Move the parameters, and forget the gradients."""
        self._scaler.step(self.optimiser)
        self._scaler.update()
        self.optimiser.clear_grad()

    @property
    def scaling(self) -> dict[str, float]:
        """State of the loss scaler, for a checkpoint."""
        return scaler_state(self._scaler)

    def restore_scaling(self, state: Mapping[str, float]) -> None:
        """Go on from :attr:`scaling` of before."""
        restore_scaler(self._scaler, state)
