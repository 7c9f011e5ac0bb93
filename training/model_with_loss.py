"""Networks and loss as one layer, which is compiled as a whole or in these two parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import paddle
from paddle import nn


class TracedLayer(nn.Layer, ABC):
    """A layer that is compiled as it runs, from and to tensors in dictionaries and lists.

    Derived ones say what they compute in :meth:`compute`.
    """

    def forward(self, inputs: Any) -> Any:
        """See :meth:`compute`."""
        return self._trace(inputs)

    # No control flow depends on a tensor's value, so that compiling need not rewrite the code.
    @paddle.jit.not_to_static
    def _trace(self, inputs: Any) -> Any:
        return self.compute(inputs)

    @abstractmethod
    def compute(self, inputs: Any) -> Any:
        """Outputs of inputs."""


class ModelWithLoss(TracedLayer):
    """Forward pass of the networks, and the loss.

    Args:
        networks: take what they are shown of a batch.
        loss: takes what they predict of it and what is known; its attribute ``compilable`` says
            whether it is made of Paddle's operations alone.
    """

    def __init__(self, networks: nn.Layer, loss: nn.Layer) -> None:
        super().__init__()
        self.networks = networks
        self.loss = loss

    def compute(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What ``loss`` makes of a batch.

        Args:
            inputs: ``seen`` by the networks, and ``known`` to the loss.
        """
        predicted = self.networks(inputs["seen"])
        return self.loss({"predicted": predicted, "known": inputs["known"]})
