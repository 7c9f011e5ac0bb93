"""What a method of training decides: its data, networks and loss, and what to look at."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from paddle import Tensor, nn

from datasets.loader import Batch, Items
from networks.monodepth import Architecture, Monodepth
from options import PRETRAINED, SCRATCH, TrainOptions
from system.errors import InputError
from training.health import Signs
from training.model_with_loss import ModelWithLoss
from weight_files.download import find_weights_file, imagenet_file
from weight_files.imagenet import encoder_variants, encoders_of, load_imagenet
from weight_files.model_info import ModelInfo

logger = logging.getLogger(__name__)


class Output(Protocol):
    """What one pass over a batch gives.

    Attributes:
        total: the loss, scalar.
    """

    total: Tensor


class Task(ABC):
    """A method of training. The loop (:mod:`training.trainer`) does the rest.

    Args:
        options: of the run.

    Attributes:
        output: makes the output of a batch of what :meth:`model_with_loss` says of it, by name.
    """

    output: ClassVar[Callable[..., Output]]

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

    def part_rates(self, rate: float) -> dict[str, float]:
        """Learning rates of modules that have one of their own, by name; the run's is ``rate``."""
        return {}

    @abstractmethod
    def model_with_loss(self, model: nn.Layer) -> ModelWithLoss:
        """Networks and loss as one layer, which is compiled."""

    @abstractmethod
    def inputs(self, batch: Batch, epoch: int) -> dict[str, Any]:
        """What that layer is given of a batch, as tensors on the device.

        What is drawn for an item follows from (seed, epoch, index of the item) alone.
        """

    @abstractmethod
    def scalars(self, output: Output, batch: Batch) -> dict[str, float]:
        """What to log of a batch besides its loss."""

    def depth_scalars(self, output: Output, batch: Batch, part: str) -> dict[str, float]:
        """What to log of a batch of ``train`` or ``val`` whose depth happens to be known."""
        return {}

    @abstractmethod
    def pictures(self, output: Output, batch: Batch) -> dict[str, np.ndarray]:
        """What the first item of a batch looks like, [H, W, 3] uint8 by tag."""

    @abstractmethod
    def signs(self, output: Output, batch: Batch) -> Signs:
        """What may be bad about a batch; the loop says what lasts."""

    @abstractmethod
    def info(self, items: Items, step: int) -> ModelInfo:
        """What ``model.json`` says of the networks after so many steps on ``items``."""


def random_monodepth(architecture: Architecture, options: TrainOptions) -> Monodepth:
    """Networks of random weights, from Paddle's random numbers."""
    model = Monodepth(architecture)
    if options.initial_disparity is not None:
        model.depth.start_outputs_at(options.initial_disparity)
    return model


def start_encoders(model: Monodepth, options: TrainOptions) -> None:
    """Give the encoders of a model the weights that ``--weights_init`` names.

    Nothing is looked for where all of them come from ``--load_weights_folder`` or ``--resume``.
    A file of one's own is of one encoder; what it does not fit, a ResNet beside a ConvNeXt, stays.

    Raises:
        InputError: a file cannot be had, or is of another encoder.
    """
    loaded = () if options.load_weights_folder is None else options.models_to_load
    if options.resume or encoders_of(model).keys() <= set(loaded):
        return
    weights_init = options.weights_init
    if weights_init == SCRATCH:
        logger.info("encoders start from random weights; --weights_init pretrained: from ImageNet")
        return
    if weights_init == PRETRAINED:
        try:
            paths = [imagenet_file(variant) for variant in sorted(encoder_variants(model))]
        except InputError as error:
            raise InputError(
                f"{error}; or start from random weights with --weights_init {SCRATCH}"
            ) from error
    else:
        paths = [find_weights_file(Path(weights_init))]
    for path in paths:
        logger.info("%s: start from %s", ", ".join(load_imagenet(model, path)), path)


def check_depth_range(start: ModelInfo, folder: Path, options: TrainOptions) -> None:
    """Raise InputError where the weights to start from have another depth range."""
    for name in ("min_depth", "max_depth"):
        if getattr(start, name) != getattr(options, name):
            raise InputError(
                f"--{name} {getattr(options, name)}: the weights in {folder} were trained with "
                f"{getattr(start, name)}; give --{name} {getattr(start, name)}"
            )
