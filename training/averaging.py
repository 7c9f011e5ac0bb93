"""A moving average of the weights, which often predicts better than the weights of one step.

Polyak and Juditsky (SIAM Journal on Control and Optimization, 1992) average the iterates of
stochastic approximation; the exponential form is the teacher of Tarvainen and Valpola (NeurIPS
2017, section 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import paddle
from paddle import nn


def decay_at(step: int, decay: float) -> float:
    """The decay of the average after the optimiser step ``step``, from 0.

    It rises from a tenth, so that the average soon forgets the weights that training began with.
    """
    return min(decay, (1 + step) / (10 + step))


class WeightAverage:
    """The exponential moving average of all weights of a model.

    Running statistics of batch normalisation are averaged like the weights: those of the last step
    belong to activations of other weights than the average.

    Args:
        model: whose weights are averaged.
        decay: share of the average that a step keeps; 0 for no average, and no memory for one.
    """

    def __init__(self, model: nn.Layer, decay: float) -> None:
        self.model = model
        self.decay = decay
        self._swapped = False
        # The average; within :meth:`in_model`, the weights that training goes on from.
        self._kept = {}
        if decay:
            self._kept = {name: v.detach().clone() for name, v in model.state_dict().items()}

    @paddle.no_grad()
    def restart(self) -> None:
        """Begin anew at the weights that the model has."""
        weights = self.model.state_dict()
        for name, average in self._kept.items():
            average.copy_(weights[name], True)

    @paddle.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after the optimiser step ``step``, from 0."""
        weights = self.model.state_dict() if self._kept else {}
        for name, average in self._kept.items():
            # In this form what does not change, such as a frozen part, stays to the last bit.
            average.add_((weights[name] - average).scale_(1 - decay_at(step, self.decay)))

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Within it, the model has the averaged weights; those of training come back after it.

        It may be entered again within itself.
        """
        if self._swapped:
            yield
            return
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @paddle.no_grad()
    def _swap(self) -> None:
        weights = self.model.state_dict() if self._kept else {}
        for name, kept in self._kept.items():
            weight = weights[name]
            before = weight.detach().clone()
            weight.copy_(kept, True)
            kept.copy_(before, True)
        self._swapped = not self._swapped

    def raw_arrays(self) -> dict[str, np.ndarray]:
        """The weights that training goes on from, by name; empty without an average."""
        held = self._kept if self._swapped else self.model.state_dict() if self._kept else {}
        return {name: value.numpy() for name, value in held.items()}
