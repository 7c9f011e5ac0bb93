"""Depth learnt from pictures with known depth (Ranftl et al., TPAMI 2020, and metric variants)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from paddle import Tensor

from datasets.loader import Batch, Items
from datasets.rgbd_folders import find_part
from datasets.rgbd_items import MixedItems, RgbdItems
from evaluation.relative import mean_errors, relative_errors
from networks.model_info import ModelInfo
from options import TrainOptions
from options.supervised import SSI, TRUNK
from training.arrays import to_tensor
from training.color_jitter import jitter_batch
from training.depth_health import DepthHealth
from training.logger import disparity_picture
from training.parts import freeze
from training.supervised_setup import (
    DepthNetwork,
    depth_info,
    module_of,
    starting_model,
    suggested_rate,
)
from training.supervised_step import DepthOutput, SupervisedStep, metric_loss, relative_loss
from training.task import Place, Task

logger = logging.getLogger(__name__)

ZOOM = 1.25  # largest random enlargement; none for metric depth, which it would make ambiguous


class Supervised(Task):
    """Training on pictures with depth."""

    def __init__(self, options: TrainOptions) -> None:
        super().__init__(options)
        self.health = DepthHealth(None if self.relative else (options.min_depth, options.max_depth))

    @property
    def relative(self) -> bool:
        """Whether depth is learnt up to scale and shift of its inverse."""
        return self.options.loss == SSI

    def items(self, part: str) -> Items:
        """The pairs of all data sets: mixed by their shares to train, each once to validate.

        Raises:
            InputError: see :func:`datasets.rgbd_folders.find_part`.
        """
        options, training = self.options, part == "train"
        folders = (options.data_path, *(options.mix_data_path or ()))
        found = [find_part(folder, part, options.seed) for folder in folders]
        sets = [
            RgbdItems(
                one.pairs,
                one.note,
                options.height,
                options.width,
                options.seed,
                augment=training,
                zoom=ZOOM if self.relative else 1.0,
            )
            for one in found
        ]
        if len(sets) == 1:
            return sets[0]
        return MixedItems(sets, (options.mix_shares or (1.0,) * len(sets)) if training else None)

    def initial_model(self) -> DepthNetwork:
        """The depth network, parts of it frozen; see :func:`starting_model`."""
        model = starting_model(self.options)
        for part in self.options.freeze or ():
            freeze(getattr(model, module_of(self.options.network, part)))
        return model

    def learning_rate(self) -> tuple[float, str]:
        """A small rate after weights of the same network, a larger one without."""
        return suggested_rate(self.options)

    def part_rates(self) -> dict[str, float]:
        """Of the trunk, where one is given."""
        rate = self.options.trunk_learning_rate
        return {} if rate is None else {module_of(self.options.network, TRUNK): rate}

    def step(self, model: DepthNetwork) -> SupervisedStep:
        """Network and loss."""
        options = self.options
        if self.relative:
            loss = relative_loss(options.trim, options.gradient_weight)
        else:
            loss = metric_loss(options.loss)
        return SupervisedStep(model, loss, options.min_depth, options.max_depth, options.precision)

    def inputs(self, batch: Batch, place: Place) -> list[Tensor]:
        """Jittered pictures [B, 3, H, W] in [0, 1], and depth [B, H, W]."""
        images = to_tensor(batch["image"]).astype("float32") / 255
        seen = jitter_batch(images.unsqueeze(1), batch["color_jitter"])
        return [seen[:, 0], to_tensor(batch["depth"])]

    def output(self, tensors: Sequence[Tensor]) -> DepthOutput:
        """Loss and inverse depth."""
        return DepthOutput(*tensors)

    def scalars(self, output: DepthOutput, batch: Batch) -> dict[str, float]:
        """Share of known pixels, and abs_rel after the best scale and shift of each image."""
        inverse = output.inverse_depth.numpy()
        errors = [relative_errors(*pair) for pair in zip(inverse, batch["depth"])]
        known = [each for each in errors if each is not None]
        scalars = {"known_share": float((batch["depth"] > 0).mean())}
        if known:
            scalars["abs_rel"] = mean_errors(known)["abs_rel"]
        return scalars

    def pictures(self, output: DepthOutput, batch: Batch) -> dict[str, np.ndarray]:
        """Picture, predicted and known inverse depth."""
        depth = batch["depth"][0]
        known = np.where(depth > 0, 1 / np.where(depth > 0, depth, 1), 0)
        return {
            "input": batch["image"][0].transpose(1, 2, 0),
            "inverse_depth": disparity_picture(output.inverse_depth[:1].numpy()),
            "known_inverse_depth": disparity_picture(known[None]),
        }

    def warnings(self, output: DepthOutput, batch: Batch) -> list[str]:
        """Collapse, depth that is hardly known, depth that the network cannot say."""
        return self.health.look(output.inverse_depth.numpy(), batch["depth"])

    def info(self, items: Items, step: int) -> ModelInfo:
        """Network, size, depth range, and whether its depth is in metres."""
        return depth_info(self.options, step)
