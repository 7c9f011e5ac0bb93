"""From options to what is trained: networks, loss, and what is said of them in model.json."""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import paddle

from datasets.items import TrainingItems, make_items, with_cache
from datasets.layouts import LAYOUTS
from datasets.loader import Items, Loader, Share
from datasets.own_frames import SPLITS
from datasets.prepare import prepared
from datasets.splits import load_split
from datasets.units import KITTI_BASELINE_METRES
from errors import InputError
from networks.imagenet import find_weights_file, load_imagenet
from networks.model_info import ModelInfo
from networks.model_zoo import imagenet_file
from networks.monodepth import Architecture, Monodepth
from networks.weights import load_into, read_info
from option_fields import flag
from options import PRETRAINED, SCRATCH, TrainOptions
from training.group import Group
from training.objective import Kernels, Objective

logger = logging.getLogger(__name__)


def architecture_of(options: TrainOptions) -> Architecture:
    """The networks that the options ask for."""
    return Architecture(
        num_layers=options.num_layers,
        scales=options.scales,
        source_ids=options.source_ids,
        pose_model_type=options.pose_model_type,
        pose_model_input=options.pose_model_input,
        predictive_mask=options.predictive_mask,
    )


def objective_of(options: TrainOptions) -> Objective:
    """The loss that the options ask for."""
    return Objective(
        architecture_of(options),
        min_depth=options.min_depth,
        max_depth=options.max_depth,
        disparity_smoothness=options.disparity_smoothness,
        ssim=not options.no_ssim,
        average_sources=options.avg_reprojection,
        automasking=not options.disable_automasking,
        v1_multiscale=options.v1_multiscale,
        recompute=options.recompute,
        kernels=None if options.eager else fused_kernels(),
    )


def fused_kernels() -> Kernels | None:
    """Those of :mod:`training.fused`, on CPUs and where Numba is installed and works."""
    if not paddle.device.get_device().startswith("cpu"):
        return None
    if find_spec("numba") is None:
        logger.info("pip install -r requirements-cpu.txt: steps on CPUs take a fifth less time")
        return None
    try:
        fused = import_module("training.fused")
    except (ImportError, RuntimeError) as error:  # a NumPy it does not know, no place for its files
        logger.warning("the loss is computed without Numba: %s", error)
        return None
    return Kernels(fused.warp_sources, fused.photometric_error, compilable=False)


def info_of(
    options: TrainOptions, step: int = 0, baseline_metres: float = KITTI_BASELINE_METRES
) -> ModelInfo:
    """What is saved beside the weights."""
    return ModelInfo(
        architecture=architecture_of(options),
        height=options.height,
        width=options.width,
        min_depth=options.min_depth,
        max_depth=options.max_depth,
        name=options.model_name,
        step=step,
        baseline_metres=baseline_metres,
    )


def place_of_data(options: TrainOptions) -> tuple[Path, str]:
    """The data folder and split to train on; frames of one's own bring a split along.

    Raises:
        InputError: frames of one's own cannot be prepared.
    """
    if options.dataset != "frames":
        return options.data_path, options.split
    folder = prepared(options.data_path)
    own = options.split == TrainOptions.split
    return folder, str(folder / SPLITS) if own else options.split


def items_of(options: TrainOptions, part: str) -> TrainingItems:
    """The items of the ``train`` or ``val`` part of the split.

    Raises:
        InputError: frames are missing.
    """
    data_path, split = place_of_data(options)
    items = make_items(
        data_path,
        load_split(split, part),
        options.source_ids,
        options.height,
        options.width,
        options.png,
        options.intrinsics,
        options.seed,
        augment=part == "train",
        layout=LAYOUTS[options.dataset],
        resize=options.resize,
    )
    if options.cache_dir is None:
        return items
    return with_cache(items, options.cache_dir, options.num_workers)


def loader_of(options: TrainOptions, items: Items, training: bool, group: Group) -> Loader:
    """Batches of items, this process's share of them.

    Raises:
        InputError: they are too few for a step.
    """
    logger.info("%s: %d items", "train" if training else "val", len(items))
    share = Share(group.rank, group.size, options.accumulate)
    loader = Loader(items, options.batch_size, options.num_workers, training, items.cached, share)
    if training and len(loader) == 0:
        raise InputError(
            f"{flag('batch_size', options.batch_size)}: a step takes {loader.items_per_step} items "
            f"and there are only {len(items)} to train on; "
            f"try --batch_size {max(1, len(items) // (group.size * options.accumulate))}"
        )
    return loader


def encoder_file(options: TrainOptions) -> Path:
    """The file of the ResNet that the encoders are to start from."""
    if options.weights_init == PRETRAINED:
        return imagenet_file(options.num_layers)
    return find_weights_file(Path(options.weights_init))


def check_depth_range(start: ModelInfo, folder: Path, options: TrainOptions) -> None:
    """Raise InputError where the weights to start from have another depth range."""
    for name in ("min_depth", "max_depth"):
        if getattr(start, name) != getattr(options, name):
            raise InputError(
                f"--{name} {getattr(options, name)}: the weights in {folder} were trained with "
                f"{getattr(start, name)}; give --{name} {getattr(start, name)}"
            )


def initial_model(options: TrainOptions) -> Monodepth:
    """The model that training starts from: drawn from the seed, or loaded.

    Raises:
        InputError: the weights to start from are of another architecture or depth range.
    """
    paddle.seed(options.seed)
    model = Monodepth(architecture_of(options))
    if options.initial_disparity is not None:
        model.depth.start_outputs_at(options.initial_disparity)
    if options.weights_init != SCRATCH and not options.resume:
        path = encoder_file(options)
        encoders = load_imagenet(model, path)
        logger.info("%s: start from %s", ", ".join(encoders), path)
    folder = options.load_weights_folder
    if folder is None and options.weights_init == SCRATCH and not options.resume:
        logger.info("encoders start from random weights; --weights_init pretrained: from ImageNet")
    if folder is not None:
        check_depth_range(read_info(folder), folder, options)
        loaded = load_into(model, folder, options.models_to_load)
        logger.info("loaded %s from %s", ", ".join(loaded), folder)
    return model
