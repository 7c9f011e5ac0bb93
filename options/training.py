"""Options of training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

from errors import InputError
from option_fields import Form, Options, flag, option
from options.common import SIZE_MULTIPLE, DatasetOptions, DeviceOptions, FrameFileOptions
from options.supervised import (
    RGBD,
    SELF_SUPERVISED,
    SUPERVISED,
    SUPERVISED_ONLY,
    SupervisedOptions,
    check_supervised,
    fill_defaults,
    refuse,
)
from weight_files.published import DEPTH_MODELS

STEREO = "s"
SCRATCH, PRETRAINED = "scratch", "pretrained"
MODULES = (
    *("encoder", "depth", "pose_encoder", "pose", "predictive_mask"),
    *("pretrained", "scratch"),  # MiDaS's
)
FOLDER_NAME = Form("a plain folder name", r"\w([\w .+=@-]*\w)?")


@dataclass(frozen=True)
class RunOptions(Options):
    """Run."""

    task: str = option(
        SELF_SUPERVISED,
        "learn from frames without known depth, or from pictures with depth",
        choices=(SELF_SUPERVISED, SUPERVISED),
    )
    log_dir: Path = option(Path("logs"), "folder of all runs")
    model_name: str = option("mdp", "folder of this run in --log_dir", form=FOLDER_NAME)
    resume: bool = option(False, "continue the run of that name in --log_dir")
    load_weights_folder: Optional[Path] = option(None, "weights folder to start from")
    models_to_load: tuple[str, ...] = option(
        MODULES, "networks to take from --load_weights_folder, where it has them", choices=MODULES
    )
    seed: int = option(0, "decides every random draw", minimum=0, maximum=2**32 - 1)
    log_frequency: int = option(250, "steps between logged scalars and pictures", minimum=1)
    save_frequency: int = option(1, "epochs between saved weights", minimum=1)
    save_every_steps: Optional[int] = option(
        None, "steps between checkpoints within an epoch; without it, none", minimum=1
    )
    keep_checkpoints: int = option(
        2, "checkpoints to keep, in case the last one is damaged", minimum=1
    )


@dataclass(frozen=True)
class TrainingDataOptions(Options):
    """Training data."""

    dataset: str = option(
        "kitti",
        "kind of data set; frames of one's own are made with python -m datasets.prepare; rgbd: "
        "pictures with depth, for --task supervised",
        choices=("kitti", "kitti_odom", "frames", RGBD),
    )
    split: str = option(
        "eigen_zhou",
        "name of a split, or a folder with train_ and val_files.txt; --dataset frames has its own",
    )
    intrinsics: str = option(
        "calibration",
        "each drive's own calibration, or the one normalised camera of the published training",
        choices=("calibration", "published"),
    )
    height: Optional[int] = option(
        None,
        "height of the network's input; without it, 192, or 256 for --task supervised",
        minimum=64,
        multiple_of=SIZE_MULTIPLE,
        advice="try 192",
    )
    width: Optional[int] = option(
        None,
        "width of the network's input; without it, 640, or 256 for --task supervised",
        minimum=64,
        multiple_of=SIZE_MULTIPLE,
        advice="try 640",
    )
    resize: str = option(
        "area",
        "how frames are resized: area is fast, lanczos as published",
        choices=("area", "lanczos"),
    )
    cache_dir: Optional[Path] = option(
        None, "folder to keep the resized frames in, for all epochs and runs; without it, none"
    )
    frame_ids: tuple[int, ...] = option(
        (0, -1, 1),
        "the target, 0, then the frames it is reconstructed from, as offsets in time",
        advice="give whole numbers such as 0 -1 1, and the other camera with --use_stereo",
    )
    use_stereo: bool = option(False, "reconstruct from the other camera of the stereo pair too")


@dataclass(frozen=True)
class NetworkOptions(Options):
    """Networks."""

    num_layers: int = option(18, "layers of the ResNets", choices=(18, 34, 50, 101, 152))
    weights_init: str = option(
        SCRATCH,
        "how the encoders start: scratch, pretrained (on ImageNet, as published), or the path of "
        "a ResNet's weights; with --task supervised also the name of a published model, such as "
        "midas_v21_small",
    )
    scales: tuple[int, ...] = option(
        (0, 1, 2, 3), "scales with a disparity output, 0 the finest", choices=(0, 1, 2, 3)
    )
    min_depth: float = option(0.1, "smallest depth, model units", above=0)
    max_depth: float = option(100.0, "largest depth, model units", above=0)
    initial_disparity: Optional[float] = option(
        None,
        "sigmoid disparity at which an untrained network starts; without it, as published",
        above=0,
        below=1,
        advice="give a value such as 0.05",
    )
    pose_model_type: str = option(
        "separate_resnet",
        "network that predicts the camera's motion",
        choices=("separate_resnet", "shared", "posecnn"),
    )
    pose_model_input: str = option("pairs", "frames that it sees at once", choices=("pairs", "all"))


@dataclass(frozen=True)
class LossOptions(Options):
    """Loss."""

    disparity_smoothness: float = option(1e-3, "weight of the smoothness term", minimum=0)
    v1_multiscale: bool = option(False, "compare images at each scale's own size")
    avg_reprojection: bool = option(False, "average over the sources instead of the minimum")
    disable_automasking: bool = option(False, "do not mask pixels that look static")
    predictive_mask: bool = option(False, "predict a mask (with --disable_automasking)")
    no_ssim: bool = option(False, "compare images by their absolute difference only")


@dataclass(frozen=True)
class OptimisationOptions(Options):
    """Optimisation."""

    batch_size: int = option(12, "items that a device takes at once", minimum=1)
    accumulate: int = option(1, "batches of each device that make up a step", minimum=1)
    learning_rate: Optional[float] = option(
        None,
        "learning rate of Adam, whatever the number of devices; without it, 1e-4; for --task "
        "supervised by whether it starts from weights, and logged",
        above=0,
        advice="try 0.0001",
    )
    clip_norm: Optional[float] = option(
        None,
        "largest norm of the gradient of all weights together, 0 for any; without it, 1 for "
        "--task supervised, else 0",
        minimum=0,
    )
    sync_batch_norm: bool = option(
        False, "normalise over the batches of all devices together (on GPUs)"
    )
    num_epochs: int = option(20, "epochs", minimum=1)
    scheduler_step_size: int = option(
        15, "epochs after which the learning rate is divided by 10", minimum=1
    )
    max_steps: Optional[int] = option(None, "stop after so many steps in all", minimum=1)
    eager: bool = option(False, "do not compile the training step")
    recompute: bool = option(
        False, "compute activations twice instead of keeping them: less memory (with --eager)"
    )
    precision: str = option(
        "fp32",
        "of the networks, on GPUs; geometry and loss stay in fp32",
        choices=("fp32", "bf16", "fp16"),
    )


@dataclass(frozen=True)
class TrainOptions(
    RunOptions,
    DatasetOptions,
    FrameFileOptions,
    TrainingDataOptions,
    NetworkOptions,
    LossOptions,
    SupervisedOptions,
    OptimisationOptions,
    DeviceOptions,
):
    """Train depth and motion on frames without ground truth, or depth on pictures with depth."""

    def __post_init__(self) -> None:
        fill_defaults(self)
        super().__post_init__()

    @property
    def source_ids(self) -> tuple[Union[int, str], ...]:
        """The frames that the target is reconstructed from, such as ``(-1, 1, "s")``."""
        return self.frame_ids[1:] + ((STEREO,) if self.use_stereo else ())

    @property
    def use_pose_net(self) -> bool:
        """Whether there is a source whose motion has to be predicted."""
        return len(self.frame_ids) > 1

    @property
    def num_pose_frames(self) -> int:
        """Frames that the pose network sees at once."""
        return 2 if self.pose_model_input == "pairs" else len(self.frame_ids)

    def check(self) -> None:
        """Refuse options that contradict each other."""
        if self.task == SUPERVISED:
            check_supervised(self)
        else:
            self._check_frames()
            refuse(self, SUPERVISED_ONLY, "is for --task supervised")
        self._check_networks()
        self._check_start()
        if self.recompute and not self.eager:
            raise InputError("--recompute: does not go into a compiled step; add --eager")

    def _check_frames(self) -> None:
        if self.dataset == RGBD:
            raise InputError(f"--dataset {RGBD}: has no neighbouring frames; add --task supervised")
        if self.split == "odom" and self.dataset == "kitti":
            raise InputError("--split odom: is of sequences; add --dataset kitti_odom")
        given = flag("frame_ids", self.frame_ids)
        if self.frame_ids[0] != 0:
            raise InputError(f"{given}: must start with 0, the target; give them as 0 -1 1")
        if not self.source_ids:
            raise InputError(
                f"{given}: leaves nothing to reconstruct the target from; "
                "add frames, as in 0 -1 1, or --use_stereo"
            )
        if not self.use_pose_net:
            for name in ("pose_model_type", "pose_model_input"):
                if getattr(self, name) != getattr(TrainOptions, name):
                    raise InputError(
                        f"{flag(name, getattr(self, name))}: there is no motion to predict with "
                        f"{given}; leave it out, or add frames, as in 0 -1 1"
                    )

    def _check_networks(self) -> None:
        if self.min_depth >= self.max_depth:
            raise InputError(
                f"{flag('min_depth', self.min_depth)}: must be less than "
                f"{flag('max_depth', self.max_depth)}; lower the one or raise the other"
            )
        if 0 not in self.scales:
            raise InputError(
                f"{flag('scales', self.scales)}: must include 0, the scale that predictions are "
                f"made at; try {' '.join(map(str, sorted({0, *self.scales})))}"
            )
        if self.predictive_mask and not self.disable_automasking:
            raise InputError(
                "--predictive_mask: takes the place of auto-masking; add --disable_automasking"
            )

    def _check_start(self) -> None:
        given = flag("load_weights_folder", self.load_weights_folder)
        if self.load_weights_folder and self.resume:
            raise InputError(
                f"{given}: cannot go with --resume, which brings weights of its own; drop one"
            )
        loads = self.load_weights_folder is not None
        encoders = {"encoder", "pose_encoder"}
        if self.weights_init != SCRATCH and loads and encoders <= set(self.models_to_load):
            raise InputError(
                f"{flag('weights_init', self.weights_init)}: would be overwritten by {given}; "
                "leave it out, or name what to load with --models_to_load"
            )
        if self.models_to_load != TrainOptions.models_to_load and not (loads or self.resume):
            raise InputError(
                f"{flag('models_to_load', self.models_to_load)}: there is nothing to load from; "
                "add --load_weights_folder FOLDER"
            )
        if self.weights_init in DEPTH_MODELS and self.task != SUPERVISED:
            raise InputError(
                f"{flag('weights_init', self.weights_init)}: is a whole model; give a folder of "
                "its weights as --load_weights_folder"
            )
        if self.initial_disparity is not None and loads and "depth" in self.models_to_load:
            raise InputError(
                f"{flag('initial_disparity', self.initial_disparity)}: would be overwritten by "
                f"{given}; leave it out, or leave depth out of --models_to_load"
            )
