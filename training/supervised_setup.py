"""From options to the network that is trained on known depth."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Union

import paddle

from errors import InputError
from networks.imagenet import load_imagenet
from networks.midas_small import MidasSmall
from networks.model_info import DEPTH_MODULES, METRIC_DEPTH, RELATIVE_DEPTH, ModelInfo
from networks.model_zoo import named_model
from networks.monodepth import Architecture, Monodepth
from networks.weights import load_into, read_info
from options import SCRATCH, TrainOptions
from options.supervised import MIDAS_SMALL, SSI, TRUNK
from training.setup import check_depth_range, encoder_file
from weight_files.published import DEPTH_MODELS

logger = logging.getLogger(__name__)

DepthNetwork = Union[MidasSmall, Monodepth]

FINE_TUNING_RATE = 3e-5
SCRATCH_RATE = 1e-3
IMAGENET_RATE = 1e-4  # as Monodepth2 is trained


def module_of(network: str, part: str) -> str:
    """The module that is the ``trunk`` or the ``decoder`` of a network."""
    trunk, decoder = DEPTH_MODULES[network]
    return trunk if part == TRUNK else decoder


def depth_architecture(options: TrainOptions) -> Architecture:
    """The depth network, without any that predicts motion."""
    return Architecture(num_layers=options.num_layers, scales=options.scales, source_ids=())


def depth_info(options: TrainOptions, step: int = 0) -> ModelInfo:
    """What is saved beside the weights: size, depth range, and whether depth is in metres."""
    midas = options.network == MIDAS_SMALL
    longest = max(options.height, options.width)
    return ModelInfo(
        architecture=depth_architecture(options),
        height=longest if midas else options.height,
        width=longest if midas else options.width,
        min_depth=options.min_depth,
        max_depth=options.max_depth,
        name=options.model_name,
        step=step,
        kind=options.network,
        supervision=RELATIVE_DEPTH if options.loss == SSI else METRIC_DEPTH,
    )


def folder_to_load(options: TrainOptions) -> Path | None:
    """The weights folder to start from, fetched where it is a published one."""
    if options.resume:
        return None
    if options.weights_init in DEPTH_MODELS:
        return named_model(options.weights_init)
    return options.load_weights_folder


def suggested_rate(options: TrainOptions) -> tuple[float, str]:
    """A learning rate for what training starts from, and why."""
    if options.weights_init in DEPTH_MODELS or options.load_weights_folder is not None:
        return FINE_TUNING_RATE, "fine-tuning: the network starts from trained weights"
    if options.weights_init != SCRATCH:
        return IMAGENET_RATE, "the trunk starts from ImageNet, the decoder from random weights"
    return SCRATCH_RATE, "the network starts from random weights"


def starting_model(options: TrainOptions) -> DepthNetwork:
    """The network that training starts from: drawn from the seed, or loaded.

    Raises:
        InputError: the weights to start from are of another network.
    """
    paddle.seed(options.seed)
    if options.network == MIDAS_SMALL:
        model = MidasSmall()
        model.start_from_random()
    else:
        model = Monodepth(depth_architecture(options))
        if options.initial_disparity is not None:
            model.depth.start_outputs_at(options.initial_disparity)
    if options.weights_init not in (SCRATCH, *DEPTH_MODELS) and not options.resume:
        path = encoder_file(options)
        load_imagenet(model, path)
        logger.info("trunk: starts from %s", path)
    folder = folder_to_load(options)
    if folder is not None:
        info = read_info(folder)
        if info.kind != options.network:
            raise InputError(
                f"{folder}: holds a {info.kind}, and --network is {options.network}; "
                f"add --network {info.kind}, or start from other weights"
            )
        if options.network != MIDAS_SMALL:
            check_depth_range(info, folder, options)
        loaded = load_into(model, folder, options.models_to_load)
        logger.info("loaded %s from %s", ", ".join(loaded), folder)
    elif TRUNK in (options.freeze or ()) and options.weights_init == SCRATCH and not options.resume:
        logger.warning(
            "--freeze trunk: the trunk stays at random weights; start from trained ones with "
            "--weights_init or --load_weights_folder"
        )
    return model
