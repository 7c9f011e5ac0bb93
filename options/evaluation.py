"""Options of measuring models, and of the ground truth that this needs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Optional

from errors import InputError
from option_fields import Options, flag, option
from options.common import (
    DEVICE,
    DatasetOptions,
    DeviceOptions,
    EngineOptions,
    FrameFileOptions,
    check_model,
)
from weight_files.published import DEPTH_MODELS, MODELS

LAYOUTS = ("pairs", "kitti", "nyu", "diode", "diw")
# Options that mean something to one task only.
OF_METRIC = (
    "ext_disp_to_eval",
    "eval_mono",
    "eval_stereo",
    "disable_median_scaling",
    "pred_depth_scale_factor",
    "post_process",
    "save_pred_disps",
    "no_eval",
)
OF_RELATIVE = ("layout", "alignment")


@dataclass(frozen=True)
class EvaluationOptions(Options):
    """Evaluation."""

    task: str = option(
        "metric",
        "metric: depth on KITTI by the published protocol; relative: inverse depth up to scale and "
        "shift, on the pictures with depth or ordinal labels in --data_path",
        choices=("metric", "relative"),
    )
    layout: Optional[str] = option(
        None,
        "of --data_path with --task relative; without it, that which it looks like",
        choices=LAYOUTS,
    )
    alignment: str = option(
        "scale_shift",
        "to the depth of each picture with --task relative: scale_shift of inverse depth; median "
        "of depth; none, for models with metric depth",
        choices=("scale_shift", "median", "none"),
    )
    load_weights_folder: Optional[Path] = option(None, "weights folder of the model to evaluate")
    model_name: Optional[str] = option(
        None,
        "published model to evaluate instead, fetched on its first use",
        choices=DEPTH_MODELS,
    )
    ext_disp_to_eval: Optional[Path] = option(
        None, "evaluate the disparities of this .npy file instead of a model's"
    )
    eval_mono: bool = option(False, "scale each prediction by the median of the ground truth")
    eval_stereo: bool = option(False, "scale all predictions by the known stereo baseline")
    eval_split: str = option("eigen", "name of a split, or a folder with test_files.txt")
    gt_path: Optional[Path] = option(
        None, "ground truth of the split; without it, gt_depths.npz of its folder"
    )
    batch_size: int = option(16, "images predicted at once", minimum=1)
    disable_median_scaling: bool = option(False, "do not scale by the median of the ground truth")
    pred_depth_scale_factor: float = option(1.0, "factor on every predicted depth", above=0)
    post_process: bool = option(False, "average with the prediction of the mirrored image")
    save_pred_disps: bool = option(False, "save the predicted disparities")
    no_eval: bool = option(False, "predict only, without ground truth")
    eval_out_dir: Optional[Path] = option(
        None,
        "folder for what is written; without it, that of the weights or disparities, or the "
        "current one with --model_name",
    )


@dataclass(frozen=True)
class EvaluateOptions(
    EvaluationOptions, DatasetOptions, FrameFileOptions, EngineOptions, DeviceOptions
):
    """Measure the depth of a model, or of a file of disparities, against the ground truth."""

    def check(self) -> None:
        """Refuse options that contradict each other."""
        self._check_task()
        if self.eval_mono and self.eval_stereo:
            raise InputError("--eval_mono: cannot go with --eval_stereo; drop one")
        if self.ext_disp_to_eval is None:
            check_model(self, "or disparities with --ext_disp_to_eval FILE.npy")
            return
        given = flag("ext_disp_to_eval", self.ext_disp_to_eval)
        if not (self.eval_mono or self.eval_stereo):
            raise InputError(
                f"{given}: does not say how it is scaled; add --eval_mono or --eval_stereo"
            )
        for name in (
            "load_weights_folder",
            "model_name",
            "no_eval",
            "post_process",
            "save_pred_disps",
        ):
            if getattr(self, name):
                raise InputError(
                    f"{flag(name, getattr(self, name))}: is for predicting, and {given} is "
                    "already predicted; drop one"
                )

    def _check_task(self) -> None:
        other, names = (
            ("metric", OF_METRIC) if self.task == "relative" else ("relative", OF_RELATIVE)
        )
        defaults = {field.name: field.default for field in fields(self)}
        for name in names:
            value = getattr(self, name)
            if value != defaults[name]:
                raise InputError(
                    f"{flag(name, value)}: is for --task {other}, not {self.task}; leave it out"
                )


@dataclass(frozen=True)
class EvaluatePoseOptions(Options):
    """Measure the pose network of a model on KITTI odometry."""

    load_weights_folder: Optional[Path] = option(None, "weights folder of the model to evaluate")
    model_name: Optional[str] = option(
        None, "published model to evaluate instead, fetched on its first use", choices=MODELS
    )
    data_path: Path = option(Path("kitti_odom"), "folder with sequences/NN and poses/NN.txt")
    eval_split: str = option("odom_9", "sequence", choices=("odom_9", "odom_10"))
    eval_mono: bool = option(False, "fit the scale to the truth, for models with a unit too")
    batch_size: int = option(16, "pairs predicted at once", minimum=1)
    num_workers: int = option(4, "threads that load the images; 0 loads in between", minimum=0)
    eval_out_dir: Optional[Path] = option(
        None, "folder for what is written; without it, that of the weights or the current one"
    )
    device: Optional[str] = option(
        None, "where it runs; without it, the GPU when Paddle has one", form=DEVICE
    )

    def check(self) -> None:
        """Refuse anything but one model."""
        check_model(self, f"one of {', '.join(MODELS)}")


@dataclass(frozen=True)
class GroundTruthOptions(Options):
    """Ground truth."""

    split: str = option("eigen", "name of a split, or a folder with test_files.txt")
    gt_path: Optional[Path] = option(
        None, "file to write; without it, gt_depths.npz in the split's folder"
    )
    camera_depth: bool = option(
        False,
        "store the depth seen by the camera instead of the forward coordinate of the LiDAR, "
        "which the published ground truth stores",
    )


@dataclass(frozen=True)
class ExportOptions(GroundTruthOptions, DatasetOptions):
    """Export the ground truth of a split from the LiDAR sweeps."""
