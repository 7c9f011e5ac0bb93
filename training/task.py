"""What a method of training decides: its data, networks and loss, and what to look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from paddle import Tensor, nn

from datasets.loader import Batch, Items
from networks.model_info import ModelInfo
from options import TrainOptions


class Output(Protocol):
    """What one pass over a batch gives.

    Attributes:
        total: the loss, scalar.
    """

    total: Tensor


@dataclass(frozen=True)
class Place:
    """Where a batch stands in a run; what is drawn for it follows from this and the seed.

    Attributes:
        step: the optimiser step.
        first: number of its first item among all that the step takes.
        items: that the step takes, on all devices and in all turns.
    """

    step: int
    first: int
    items: int


class Task(ABC):
    """A method of training. The loop (:mod:`training.trainer`) does the rest.

    Args:
        options: of the run.
    """

    def __init__(self, options: TrainOptions) -> None:
        self.options = options

    @abstractmethod
    def items(self, part: str) -> Items:
        """What to train on (``train``) or to validate on (``val``).

        Raises:
            InputError: files are missing, or do not fit together.
        """

    @abstractmethod
    def initial_model(self) -> nn.Layer:
        """The networks that training starts from: drawn from the seed, or loaded.

        Its sublayers are the modules of its weights folder.

        Raises:
            InputError: the weights to start from do not fit.
        """

    @abstractmethod
    def learning_rate(self) -> tuple[float, str]:
        """The rate to start with where none is given, and why this one."""

    def part_rates(self) -> dict[str, float]:
        """Learning rates of modules that have one of their own, by name."""
        return {}

    @abstractmethod
    def step(self, model: nn.Layer) -> nn.Layer:
        """Networks and loss as one layer, which is compiled: flat tensors in and out."""

    @abstractmethod
    def inputs(self, batch: Batch, place: Place) -> list[Tensor]:
        """What the step is given of a batch."""

    @abstractmethod
    def output(self, tensors: Sequence[Tensor]) -> Output:
        """Name what the step returned."""

    @abstractmethod
    def scalars(self, output: Output, batch: Batch) -> dict[str, float]:
        """What to log of a batch besides its loss."""

    @abstractmethod
    def pictures(self, output: Output, batch: Batch) -> dict[str, np.ndarray]:
        """What the first item of a batch looks like, [H, W, 3] uint8 by tag."""

    @abstractmethod
    def warnings(self, output: Output, batch: Batch) -> list[str]:
        """Signs that training goes nowhere, once they have lasted."""

    @abstractmethod
    def info(self, items: Items, step: int) -> ModelInfo:
        """What ``model.json`` says of the networks after so many steps on ``items``."""
