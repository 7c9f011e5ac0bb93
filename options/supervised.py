"""Options of training on known depth, and what of training does not go with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from errors import InputError
from option_fields import Options, flag, option
from weight_files.published import MIDAS, MODELS

SELF_SUPERVISED, SUPERVISED = "self_supervised", "supervised"
MONODEPTH, MIDAS_SMALL = "monodepth", "midas_small"
TRUNK, DECODER = "trunk", "decoder"
RGBD = "rgbd"
SSI = "ssi"

# Defaults that differ between the tasks.
TASK_DEFAULTS: dict[str, dict[str, Any]] = {
    SELF_SUPERVISED: {"height": 192, "width": 640, "learning_rate": 1e-4, "clip_norm": 0.0},
    SUPERVISED: {"height": 256, "width": 256, "clip_norm": 1.0},
}

# Options that mean something to one task alone.
SELF_SUPERVISED_ONLY = (
    *("png", "split", "intrinsics", "resize", "cache_dir", "frame_ids", "use_stereo"),
    *("pose_model_type", "pose_model_input", "disparity_smoothness", "v1_multiscale"),
    *("avg_reprojection", "disable_automasking", "predictive_mask", "no_ssim"),
)
SUPERVISED_ONLY = (
    *("network", "loss", "trim", "gradient_weight", "mix_data_path", "mix_shares"),
    *("freeze", "trunk_learning_rate"),
)
# Options that MiDaS has no use for.
MONODEPTH_ONLY = ("num_layers", "scales", "min_depth", "max_depth", "initial_disparity")


@dataclass(frozen=True)
class SupervisedOptions(Options):
    """Training on known depth (--task supervised)."""

    network: str = option(
        MIDAS_SMALL, "network to train on known depth", choices=(MONODEPTH, MIDAS_SMALL)
    )
    loss: str = option(
        SSI,
        "ssi: inverse depth up to scale and shift; the others: depth in metres (--network "
        "monodepth)",
        choices=(SSI, "l1", "silog", "berhu"),
    )
    trim: float = option(
        0.2, "share of the largest errors that --loss ssi leaves out", minimum=0, below=1
    )
    gradient_weight: float = option(0.5, "weight of the gradient matching of --loss ssi", minimum=0)
    mix_data_path: Optional[tuple[Path, ...]] = option(
        None, "folders of pictures with depth to train on besides --data_path"
    )
    mix_shares: Optional[tuple[float, ...]] = option(
        None,
        "how often items come from --data_path and from each of --mix_data_path; without it, "
        "equally often",
        above=0,
        repeats=True,
        advice="give positive numbers such as 2 1, one for each data set",
    )
    freeze: Optional[tuple[str, ...]] = option(
        None,
        "parts whose weights and batch statistics stay as they are",
        choices=(TRUNK, DECODER),
    )
    trunk_learning_rate: Optional[float] = option(
        None, "learning rate of the trunk; without it, as of the rest", above=0
    )


def fill_defaults(options: Options) -> None:
    """Give options that are not given the default of the task, before they are checked."""
    for name, value in TASK_DEFAULTS.get(options.task, {}).items():
        if getattr(options, name) is None:
            object.__setattr__(options, name, value)


def is_given(options: Options, name: str) -> bool:
    """Whether an option differs from its default."""
    return getattr(options, name) != getattr(type(options), name)


def refuse(options: Options, names: Sequence[str], reason: str) -> None:
    """Refuse those of ``names`` that are given."""
    for name in names:
        if is_given(options, name):
            raise InputError(f"{flag(name, getattr(options, name))}: {reason}; leave it out")


def check_supervised(options: Options) -> None:
    """Refuse what does not go with ``--task supervised``."""
    if options.dataset != RGBD:
        raise InputError(
            f"{flag('dataset', options.dataset)}: has no depth that --task supervised could read; "
            "add --dataset rgbd and give a folder of pictures with depth as --data_path"
        )
    refuse(options, SELF_SUPERVISED_ONLY, "is for --task self_supervised")
    midas = options.network == MIDAS_SMALL
    if midas:
        refuse(options, MONODEPTH_ONLY, "is for --network monodepth")
    if midas and options.loss != SSI:
        raise InputError(
            f"{flag('loss', options.loss)}: is of depth in metres, and the output of MiDaS is "
            "inverse depth up to scale and shift; add --network monodepth, or use --loss ssi"
        )
    if options.loss != SSI:
        refuse(options, ("trim", "gradient_weight"), "is for --loss ssi")
    _check_start(options)
    _check_mix(options)
    _check_parts(options)


def _check_start(options: Options) -> None:
    init, loads = options.weights_init, options.load_weights_folder is not None
    if options.network == MIDAS_SMALL and init not in ("scratch", MIDAS):
        raise InputError(
            f"{flag('weights_init', init)}: MiDaS starts from scratch or {MIDAS}; name one of "
            "these, or a weights folder with --load_weights_folder"
        )
    if options.network == MONODEPTH and init == MIDAS:
        raise InputError(
            f"{flag('weights_init', init)}: is of another network; add --network midas_small, or "
            f"name one of {', '.join(MODELS)}"
        )
    if loads and init in (*MODELS, MIDAS):
        raise InputError(
            f"{flag('weights_init', init)}: cannot go with "
            f"{flag('load_weights_folder', options.load_weights_folder)}; drop one"
        )


def _check_mix(options: Options) -> None:
    others, shares = options.mix_data_path, options.mix_shares
    if shares is not None and others is None:
        raise InputError(
            f"{flag('mix_shares', shares)}: there is one data set only; name more with "
            "--mix_data_path DIR"
        )
    if shares is not None and len(shares) != 1 + len(others):
        raise InputError(
            f"{flag('mix_shares', shares)}: must be {1 + len(others)} numbers, the first one for "
            "--data_path and one for each of --mix_data_path"
        )


def _check_parts(options: Options) -> None:
    frozen = options.freeze or ()
    if {TRUNK, DECODER} <= set(frozen):
        raise InputError(
            f"{flag('freeze', frozen)}: leaves nothing to train; freeze one of the two"
        )
    if TRUNK in frozen and options.trunk_learning_rate is not None:
        raise InputError(
            f"{flag('trunk_learning_rate', options.trunk_learning_rate)}: the trunk does not learn "
            f"with {flag('freeze', frozen)}; drop one"
        )
    if frozen and options.sync_batch_norm:
        raise InputError(
            f"{flag('freeze', frozen)}: its batch statistics would not stay with "
            "--sync_batch_norm; drop one"
        )
