"""Depth learnt from pictures with known depth (Ranftl et al., TPAMI 2020, and metric variants)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn

from datasets.conventions import disp_to_depth
from datasets.loader import Batch, Items
from datasets.rgbd import find_part
from datasets.rgbd_items import MixedItems, RgbdItems
from evaluation.metrics import mean_errors, relative_errors
from layers import resize_bilinear
from networks.any_picture import ANY_PICTURE, SIZES, any_picture_network
from networks.kinds import KINDS
from networks.monodepth import Architecture
from options import SCRATCH, SSI, TRUNK, TrainOptions
from prediction.visualise import colorize_disparity
from system.errors import InputError
from training.color_jitter import jitter_batch
from training.depth_losses import berhu, l1, scale_and_shift_invariant, silog
from training.health import Signs, signs_of_depth
from training.model_with_loss import ModelWithLoss, TracedLayer
from training.optimisation import freeze, networks_in
from training.task import Task, check_depth_range, random_monodepth, start_encoders
from training.transfer import to_device
from weight_files.download import named_model
from weight_files.folder import open_model
from weight_files.model_info import METRIC_DEPTH, RELATIVE_DEPTH, ModelInfo
from weight_files.published import DEPTH_MODELS

logger = logging.getLogger(__name__)

DepthNetwork = nn.Layer  # with a method disparity_map, or predict_disparity of Monodepth
# From predicted inverse depth, known depth and mask [B, H, W] to a scalar.
DepthLoss = Callable[[Tensor, Tensor, Tensor], Tensor]

ZOOM = 1.25  # largest random enlargement; none for metric depth, which it would make ambiguous
FINE_TUNING_RATE = 3e-5
SCRATCH_RATE = 1e-3
TRANSFORMER_SHARE = 0.1  # of the learning rate
IMAGENET_RATE = 1e-4  # as Monodepth2 is trained


@dataclass(frozen=True)
class SupervisedOutput:
    """What one pass over a batch gives.

    Attributes:
        total: the loss, scalar.
        inverse_depth: of the finest scale, [B, H, W]; near is large.
    """

    total: Tensor
    inverse_depth: Tensor


def relative_loss(trim: float, gradient_weight: float) -> DepthLoss:
    """The loss that knows neither scale nor shift, in inverse depth (TPAMI 2020, section 5)."""

    def loss(inverse_depth: Tensor, depth: Tensor, mask: Tensor) -> Tensor:
        target = 1 / paddle.where(mask, depth, paddle.ones_like(depth))
        return scale_and_shift_invariant(inverse_depth, target, mask, trim, gradient_weight)

    return loss


def metric_loss(name: str) -> DepthLoss:
    """``l1``, ``silog`` or ``berhu`` of depth in metres."""
    of_depth = {"l1": l1, "silog": silog, "berhu": berhu}[name]

    def loss(inverse_depth: Tensor, depth: Tensor, mask: Tensor) -> Tensor:
        return of_depth(1 / inverse_depth, depth, mask)

    return loss


class InverseDepths(TracedLayer):
    """A network's inverse depth [B, H, W] at every scale, the finest one first, in float32.

    Args:
        model: of :data:`networks.any_picture.ANY_PICTURE`, or Monodepth2's, of which the depth
            part is used.
        min_depth: nearest depth of Monodepth2's network.
        max_depth: its farthest.
        precision: of the network.
    """

    def __init__(
        self, model: DepthNetwork, min_depth: float, max_depth: float, precision: str = "fp32"
    ) -> None:
        super().__init__()
        self.model = model
        self.min_depth = min_depth
        self.max_depth = max_depth
        self.precision = precision

    def compute(self, inputs: Tensor) -> list[Tensor]:
        """Of pictures [B, 3, H, W]."""
        batch, _, height, width = inputs.shape
        with networks_in(self.precision):
            if not hasattr(self.model, "predict_disparity"):  # of one scale
                output = self.model.disparity_map(inputs).astype("float32")
                # In a graph, a network for any size does not say that of its output.
                return [output.reshape([batch, height, width])]
            disps = self.model.predict_disparity(inputs)
        scales = self.model.architecture.scales
        ordered = sorted(zip(scales, disps), key=lambda pair: pair[0])
        full = [resize_bilinear(disp.astype("float32"), height, width) for _, disp in ordered]
        return [disp_to_depth(disp, self.min_depth, self.max_depth)[0][:, 0] for disp in full]


class MeanLoss(TracedLayer):
    """The mean of a loss over the scales that there are."""

    compilable = True

    def __init__(self, loss: DepthLoss) -> None:
        super().__init__()
        self.loss = loss

    def compute(self, inputs: dict[str, Any]) -> dict[str, Tensor]:
        """The fields of :class:`SupervisedOutput`.

        Args:
            inputs: inverse depths ``predicted`` by :class:`InverseDepths`; depth ``known``,
                [B, H, W] in metres, 0 where it is not.
        """
        predicted, depth = inputs["predicted"], inputs["known"]
        mask = depth > 0
        losses = [self.loss(inverse_depth, depth, mask) for inverse_depth in predicted]
        return {"total": sum(losses) / len(losses), "inverse_depth": predicted[0]}


class Supervised(Task):
    """Training on pictures with depth."""

    output = SupervisedOutput

    @property
    def relative(self) -> bool:
        """Whether depth is learnt up to scale and shift of its inverse."""
        return self.options.loss == SSI

    def items(self, part: str) -> Items:
        """The pairs of all data sets: mixed by their shares to train, each once to validate.

        Raises:
            InputError: see :func:`datasets.rgbd.find_part`.
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
        """The depth network, parts of it frozen; see :func:`initial_model`."""
        model = initial_model(self.options)
        for part in self.options.freeze or ():
            freeze(getattr(model, module_of(self.options.network, part)))
        return model

    def learning_rate(self) -> tuple[float, str]:
        """A small rate after weights of the same network, a larger one without."""
        options = self.options
        if options.weights_init in DEPTH_MODELS or options.load_weights_folder is not None:
            return FINE_TUNING_RATE, "fine-tuning: the network starts from trained weights"
        if options.weights_init != SCRATCH:
            return IMAGENET_RATE, "the trunk starts from ImageNet, the decoder from random weights"
        return SCRATCH_RATE, "the network starts from random weights"

    def part_rates(self, rate: float) -> dict[str, float]:
        """Of the trunk, where one is given, and of a transformer (Yang et al., 2024)."""
        options = self.options
        own = options.trunk_learning_rate
        if own is None and options.network in SIZES:
            own = TRANSFORMER_SHARE * rate
        return {} if own is None else {module_of(options.network, TRUNK): own}

    def model_with_loss(self, model: DepthNetwork) -> ModelWithLoss:
        """Network and loss."""
        options = self.options
        if self.relative:
            loss = relative_loss(options.trim, options.gradient_weight)
        else:
            loss = metric_loss(options.loss)
        depths = InverseDepths(model, options.min_depth, options.max_depth, options.precision)
        return ModelWithLoss(depths, MeanLoss(loss))

    def inputs(self, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """Pictures [B, 3, H, W] in [0, 1], jittered if asked for, and depth [B, H, W]."""
        images, depth = to_device([batch["image"], batch["depth"]])
        seen = images = images.astype("float32") / 255
        if not self.options.no_color_jitter:
            seen = jitter_batch(images.unsqueeze(1), batch["color_jitter"])[:, 0]
        return {"seen": seen, "known": depth}

    def scalars(self, output: SupervisedOutput, batch: Batch) -> dict[str, float]:
        """Share of known pixels, and abs_rel after the best scale and shift of each image."""
        inverse = output.inverse_depth.numpy()
        errors = [relative_errors(*pair) for pair in zip(inverse, batch["depth"])]
        known = [each for each in errors if each is not None]
        scalars = {"known_share": float((batch["depth"] > 0).mean())}
        if known:
            scalars["abs_rel"] = mean_errors(known)["abs_rel"]
        return scalars

    def pictures(self, output: SupervisedOutput, batch: Batch) -> dict[str, np.ndarray]:
        """Picture, predicted and known inverse depth."""
        depth = batch["depth"][0]
        known = np.where(depth > 0, 1 / np.where(depth > 0, depth, 1), 0)
        return {
            "input": batch["image"][0].transpose(1, 2, 0),
            "inverse_depth": colorize_disparity(output.inverse_depth[0].numpy()),
            "known_inverse_depth": colorize_disparity(known),
        }

    def signs(self, output: SupervisedOutput, batch: Batch) -> Signs:
        """Collapse, depth that is hardly known, depth that the network cannot say."""
        options = self.options
        limits = None if self.relative else (options.min_depth, options.max_depth)
        return signs_of_depth(output.inverse_depth.numpy(), batch["depth"], limits)

    def info(self, items: Items, step: int) -> ModelInfo:
        """Network, size, depth range, and whether its depth is in metres."""
        return info_of(self.options, step)


def module_of(network: str, part: str) -> str:
    """The module that is the ``trunk`` or the ``decoder`` of a network."""
    trunk, decoder = KINDS[network].modules
    return trunk if part == TRUNK else decoder


def architecture_of(options: TrainOptions) -> Architecture:
    """The depth network, without any that predicts motion."""
    return Architecture(
        num_layers=options.resnet_layers,
        scales=options.scales,
        source_ids=(),
        encoder=options.depth_encoder,
    )


def info_of(options: TrainOptions, step: int = 0) -> ModelInfo:
    """What is saved beside the weights: size, depth range, and whether depth is in metres."""
    sides = options.height, options.width
    if options.network in ANY_PICTURE:  # the one that the rule of its input sizes is told
        sides = 2 * (min(sides) if options.network in SIZES else max(sides),)
    return ModelInfo(
        architecture=architecture_of(options),
        height=sides[0],
        width=sides[1],
        min_depth=options.min_depth,
        max_depth=options.max_depth,
        name=options.model_name,
        step=step,
        kind=options.network,
        supervision=RELATIVE_DEPTH if options.loss == SSI else METRIC_DEPTH,
    )


def initial_model(options: TrainOptions) -> DepthNetwork:
    """The network that training starts from: drawn from the seed, or loaded.

    Raises:
        InputError: the weights to start from are of another network.
    """
    paddle.seed(options.seed)
    if options.network in ANY_PICTURE:
        farthest = None if options.loss == SSI else options.max_depth
        model = any_picture_network(options.network, farthest)
        model.start_from_random()
    else:
        model = random_monodepth(architecture_of(options), options)
    if options.weights_init not in (SCRATCH, *DEPTH_MODELS):
        start_encoders(model, options)
    folder = None if options.resume else options.load_weights_folder
    if options.weights_init in DEPTH_MODELS and not options.resume:
        folder = named_model(options.weights_init)
    if folder is not None:
        opened = open_model(folder, options.models_to_load)
        info = opened.info
        if info.kind != options.network:
            raise InputError(
                f"{folder}: holds a {info.kind}, and --network is {options.network}; "
                f"add --network {info.kind}, or start from other weights"
            )
        modules = options.models_to_load
        if options.network in ANY_PICTURE and info.metric != (options.loss != SSI):
            # The decoder says something else.
            modules = [name for name in modules if name == module_of(options.network, TRUNK)]
            if not modules:
                raise InputError(
                    f"{folder}: its decoder says {'metres' if info.metric else 'relative depth'}, "
                    f"which --loss {options.loss} does not learn; load its trunk (--models_to_load "
                    f"{module_of(options.network, TRUNK)})"
                )
        elif options.network not in ANY_PICTURE or info.metric:
            check_depth_range(info, folder, options)
        loaded = opened.load_into(model, modules)
        logger.info("loaded %s from %s", ", ".join(loaded), folder)
    elif TRUNK in (options.freeze or ()) and options.weights_init == SCRATCH and not options.resume:
        logger.warning(
            "--freeze trunk: the trunk stays at random weights; start from trained ones with "
            "--weights_init or --load_weights_folder"
        )
    return model
