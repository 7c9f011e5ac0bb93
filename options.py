"""Every option of the four commands: its name, type, default, help and valid range, said once.

An options object is frozen and has been checked, whether it came from a command line (`parse`),
from a file (`from_json`) or from Python. A field's name is its flag: ``height`` is ``--height``.
Options of the tools are beside them, made of the same groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Optional, Union

from datasets.conventions import IMPROVED_SPLIT, STEREO
from networks.kinds import (
    ALL_MODULES,
    CONVNEXTS,
    ENCODERS,
    KINDS,
    MIDAS_SMALL,
    MONODEPTH,
    RESNET,
    RESNET_LAYERS,
)
from system.argument_parser import parse
from system.command_line import (
    Conflicts,
    Form,
    Options,
    Shorthand,
    flag,
    from_json,
    option,
    options_of,
    to_json,
)
from weight_files.published import DEPTH_MODELS, MODELS, OFFICIAL_FILES

SIZE_MULTIPLE = 32  # the encoder halves the image five times; 64 leaves 2 pixels to mirror
DEVICE = Form("cpu, gpu, or gpu:N with the number of a GPU", r"cpu|gpu(:\d+)?")
FOLDER_NAME = Form("a plain folder name", r"\w([\w .+=@-]*\w)?")
EXTENSION = Form("a file extension such as jpg or png", r"\.?\w+")

AUTO = "auto"  # the fastest engine that is installed
ENGINES = ("paddle", "paddle-inference", "onnxruntime", "openvino")
DEPTH_UNITS = ("kitti", "millimetres")
# Perceptually uniform; each is dark at its low end.
COLORMAPS = ("inferno", "magma", "plasma", "viridis", "cividis")
SELF_SUPERVISED, SUPERVISED = "self_supervised", "supervised"
RGBD = "rgbd"
SCRATCH, PRETRAINED = "scratch", "pretrained"
SSI = "ssi"
TRUNK, DECODER = "trunk", "decoder"
STEP, COSINE, ONE_CYCLE = "step", "cosine", "one_cycle"
ADAM, MUON = "adam", "muon"
METRIC, RELATIVE = "metric", "relative"
# What the published code takes where these commands take something else, by option.
PUBLISHED = {
    "resize": "lanczos",
    "intrinsics": "published",
    "num_workers": 12,
    "log_dir": Path("~", "tmp"),
    "save_frequency": 1,
}
LAYOUTS = ("pairs", "kitti", "nyu", "make3d", "diode", "diw")


# Shared by several commands.


@dataclass(frozen=True)
class DatasetOptions(Options):
    """Data set."""

    data_path: Path = option(Path("kitti_data"), "folder of the KITTI raw data")
    num_workers: int = option(
        4, "processes that load the data; 0 loads in the main process", minimum=0
    )


@dataclass(frozen=True)
class FrameFileOptions(Options):
    """Frame files."""

    png: Optional[bool] = option(
        None, "read .png frames instead of .jpg; without it, whichever are there"
    )


@dataclass(frozen=True)
class DeviceOptions(Options):
    """Device."""

    shorthands: ClassVar[Mapping[str, Shorthand]] = {
        "no_cuda": Shorthand("the same as --device cpu", {"device": "cpu"}, firm=True)
    }
    device: Optional[str] = option(
        None, "where it runs; without it, the GPU when Paddle has one", form=DEVICE
    )


@dataclass(frozen=True)
class EngineOptions(Options):
    """Engine."""

    engine: str = option(
        AUTO,
        "runtime of the depth network: auto is the fastest that is installed",
        choices=(AUTO, *ENGINES),
    )
    precision: str = option(
        "fp32",
        "of the depth network; bf16 on GPUs and with OpenVINO, where they have it; int8 on CPUs, "
        "with --calibration",
        choices=("fp32", "bf16", "int8"),
    )
    calibration: Optional[Path] = option(
        None, "folder of pictures that int8 is fitted to; once is enough for a weights folder"
    )


@dataclass(frozen=True)
class ModelOptions(Options):
    """Model."""

    load_weights_folder: Optional[Path] = option(None, "weights folder of the model")
    model_name: Optional[str] = option(
        None, "published model to use instead, fetched on its first use", choices=DEPTH_MODELS
    )

    @classmethod
    def idle(cls, given: Mapping[str, Any]) -> Mapping[str, str]:
        """The name of a run, which the published commands take beside its weights."""
        both = {"load_weights_folder", "model_name"} <= given.keys()
        if both and given["model_name"] not in DEPTH_MODELS:
            return {"model_name": "the weights folder says the model"}
        return {}

    def conflicts(self, otherwise: str = f"one of {', '.join(DEPTH_MODELS)}") -> Conflicts:
        """Anything but one model to predict with."""
        if self.load_weights_folder is None and self.model_name is None:
            yield (
                "load_weights_folder",
                "is needed to predict; give a weights folder, a published model with --model_name "
                f"NAME, {otherwise}",
            )
        if self.load_weights_folder is not None and self.model_name is not None:
            yield "model_name", f"cannot go with {self.given('load_weights_folder')}; drop one"


@dataclass(frozen=True)
class PredictorOptions(ModelOptions, EngineOptions, DeviceOptions):
    """What opening a model for prediction takes."""


# train.py: options of both ways to train, then those of one each.


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
    allow_changed_data: bool = option(
        False, "with --resume: go on though the data are not those that the run had"
    )
    load_weights_folder: Optional[Path] = option(None, "weights folder to start from")
    models_to_load: tuple[str, ...] = option(
        ALL_MODULES,
        "networks to take from --load_weights_folder, where it has them",
        choices=ALL_MODULES,
    )
    weights_init: str = option(
        PRETRAINED,
        "how encoders start that are not loaded: pretrained on ImageNet, as published, scratch, or "
        "the path of a ResNet's weights; with --task supervised also the name of a published "
        "model, such as midas_v21_small",
    )
    seed: int = option(0, "decides every random draw", minimum=0, maximum=2**32 - 1)
    log_frequency: Optional[int] = option(
        None,
        "steps between logged scalars and pictures; without it 250, or fewer for 20 in a short run",
        minimum=1,
        advice="try 250",
    )
    save_frequency: Optional[int] = option(
        None,
        "epochs between saved weights, which are kept as models/weights_N too, the first epoch's "
        "as weights_0; without it, every epoch is saved and only best and last are kept",
        minimum=1,
    )
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
        choices=("kitti", "kitti_depth", "kitti_odom", "frames", RGBD),
    )
    height: int = option(
        192, "height of the network's input", minimum=64, multiple_of=SIZE_MULTIPLE
    )
    width: int = option(640, "width of the network's input", minimum=64, multiple_of=SIZE_MULTIPLE)
    no_color_jitter: bool = option(False, "do not change the colours that the networks are shown")


@dataclass(frozen=True)
class DepthNetworkOptions(Options):
    """Depth network of Monodepth2."""

    num_layers: int = option(18, "layers of the ResNets", choices=RESNET_LAYERS)
    encoder: Optional[str] = option(
        None,
        "encoder of depth; without it, and of motion, the ResNet of --num_layers; a ConvNeXt has a "
        "ResNet of 18 layers beside it",
        choices=ENCODERS,
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

    @property
    def resnet_layers(self) -> int:
        """Layers of the ResNets: as ``--encoder`` says, or else ``--num_layers``."""
        if self.encoder is None or self.encoder in CONVNEXTS:
            return self.num_layers
        return int(self.encoder[len(RESNET) :])

    @property
    def depth_encoder(self) -> str:
        """``resnet``, or the name of a ConvNeXt."""
        return self.encoder if self.encoder in CONVNEXTS else RESNET

    def conflicts(self) -> Conflicts:
        """Two encoders."""
        if self.encoder is not None:
            yield from self.changed(["num_layers"], f"is another one than {self.given('encoder')}")
        yield from super().conflicts()


@dataclass(frozen=True)
class OptimisationOptions(Options):
    """Optimisation."""

    batch_size: int = option(12, "items that a device takes at once", minimum=1)
    accumulate: int = option(1, "batches of each device that make up a step", minimum=1)
    learning_rate: Optional[float] = option(
        None,
        "learning rate, whatever the number of devices; for --task supervised without it "
        "by whether it starts from weights, and logged",
        above=0,
        advice="try 0.0001",
    )
    optimizer: str = option(
        ADAM,
        "adam as published; muon moves the weights of convolutions along orthogonal matrices, and "
        "learns more per step from random weights",
        choices=(ADAM, MUON),
    )
    clip_norm: float = option(
        0.0, "largest norm of the gradient of all weights together, 0 for any", minimum=0
    )
    sync_batch_norm: bool = option(
        False, "normalise over the batches of all devices together (on GPUs)"
    )
    num_epochs: int = option(20, "epochs", minimum=1)
    scheduler: str = option(
        STEP,
        "how the learning rate goes: step by step as published, down a cosine, or up and down in "
        "one cycle, over the steps that the run has when it begins",
        choices=(STEP, COSINE, ONE_CYCLE),
    )
    scheduler_step_size: int = option(
        15, "epochs after which --scheduler step divides the learning rate by 10", minimum=1
    )
    warmup_steps: int = option(
        0, "steps in which the learning rate rises from 0, in front of any --scheduler", minimum=0
    )
    ema_decay: float = option(
        0.0,
        "share that a step keeps of the moving average of the weights, which is validated and "
        "saved; 0 for the weights themselves",
        minimum=0,
        below=1,
        advice="try 0.999",
    )
    max_steps: Optional[int] = option(None, "stop after so many steps in all", minimum=1)
    eager: bool = option(False, "do not compile the training step")
    recompute: bool = option(
        False, "compute activations twice instead of keeping them: less memory (with --eager)"
    )
    precision: str = option(
        "fp32",
        "of the networks, on GPUs; disparity, geometry and loss stay in fp32",
        choices=("fp32", "bf16", "fp16"),
    )
    tf32: bool = option(
        False,
        "on GPUs since Ampere, convolutions of fp32 round what they multiply to 10 bits; geometry "
        "and loss stay in fp32",
    )
    deterministic: bool = option(
        False,
        "on GPUs, take algorithms that give the same result every time, which are slower; CPUs do "
        "so anyway",
    )


@dataclass(frozen=True)
class TrainOptions(
    RunOptions,
    DatasetOptions,
    TrainingDataOptions,
    DepthNetworkOptions,
    OptimisationOptions,
    DeviceOptions,
):
    """Train depth and motion on frames without ground truth, or depth on pictures with depth."""

    def conflicts(self) -> Conflicts:
        """Contradictions in either task."""
        yield from super().conflicts()
        if self.min_depth >= self.max_depth:
            problem = f"less than {self.given('max_depth')}; lower the one or raise the other"
            yield "min_depth", f"must be {problem}"
        if 0 not in self.scales:
            yield (
                "scales",
                "must include 0, the scale that predictions are made at; try "
                f"{' '.join(map(str, sorted({0, *self.scales})))}",
            )
        if self.load_weights_folder and self.resume:
            problem = "cannot go with --resume, which brings weights of its own; drop one"
            yield "load_weights_folder", problem
        if not self.resume:
            yield from self.changed(["allow_changed_data"], "goes with --resume; leave it out")
        loads, given = self.load_weights_folder is not None, self.given("load_weights_folder")
        overwritten = f"would be overwritten by {given}; leave it out, or"
        encoders = {"encoder", "pose_encoder"}
        of_file = self.weights_init not in (SCRATCH, PRETRAINED)
        if of_file and loads and encoders <= set(self.models_to_load):
            yield "weights_init", f"{overwritten} name what to load with --models_to_load"
        if not (loads or self.resume):
            problem = "there is nothing to load from; add --load_weights_folder FOLDER"
            yield from self.changed(["models_to_load"], problem)
        if self.initial_disparity is not None and loads and "depth" in self.models_to_load:
            yield "initial_disparity", f"{overwritten} leave depth out of --models_to_load"
        if self.scheduler != STEP:
            problem = f"is for --scheduler {STEP}; leave it out"
            yield from self.changed(["scheduler_step_size"], problem)
        if self.tf32 and self.precision != "fp32":
            yield "tf32", f"is of fp32, and there is {self.given('precision')}; drop one"
        if self.recompute and not self.eager:
            yield "recompute", "does not go into a compiled step; add --eager"


@dataclass(frozen=True)
class FrameOptions(Options):
    """Frames."""

    shorthands: ClassVar[Mapping[str, Shorthand]] = {
        "published": Shorthand(
            "take the published code's own values of options that differ and are not given: "
            + ", ".join(flag(name, value) for name, value in PUBLISHED.items()),
            PUBLISHED,
        )
    }
    split: str = option(
        "eigen_zhou",
        "name of a split, or a folder with train_ and val_files.txt; --dataset frames has its own",
    )
    intrinsics: str = option(
        "calibration",
        "each drive's own calibration, or the one normalised camera of the published training",
        choices=("calibration", "published"),
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
class PoseNetworkOptions(Options):
    """Pose network."""

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
    depth_hints: bool = option(
        False, "learn from stereo matching too, where it explains the pair better (--use_stereo)"
    )
    depth_hint_weight: float = option(1.0, "weight of --depth_hints", above=0)


@dataclass(frozen=True)
class SelfSupervisedOptions(
    TrainOptions, FrameFileOptions, FrameOptions, PoseNetworkOptions, LossOptions
):
    """Train depth and motion on frames without ground truth."""

    learning_rate: float = 1e-4

    @property
    def source_ids(self) -> tuple[Union[int, str], ...]:
        """The frames that the target is reconstructed from, such as ``(-1, 1, "s")``."""
        return self.frame_ids[1:] + ((STEREO,) if self.use_stereo else ())

    @property
    def use_pose_net(self) -> bool:
        """Whether there is a source whose motion has to be predicted."""
        return len(self.frame_ids) > 1

    @property
    def unlike_published(self) -> str:
        """The options that differ by default from the published code, with its values; or ""."""
        kept = {name: getattr(self, name) for name in PUBLISHED}
        return ", ".join(
            f"{flag(name, 'none' if value is None else value)} ({PUBLISHED[name]})"
            for name, value in kept.items()
            if value == options_of(type(self))[name].default
        )

    def conflicts(self) -> Conflicts:
        """Contradictions in learning from frames."""
        if self.dataset == RGBD:
            yield "dataset", "has no neighbouring frames; add --task supervised"
        if self.split == "odom" and self.dataset in ("kitti", "kitti_depth"):
            yield "split", "is of sequences; add --dataset kitti_odom"
        if self.frame_ids[0] != 0:
            yield "frame_ids", "must start with 0, the target; give them as 0 -1 1"
        if not self.source_ids:
            yield (
                "frame_ids",
                "leaves nothing to reconstruct the target from; add frames, as in 0 -1 1, or "
                "--use_stereo",
            )
        if not self.use_pose_net:
            yield from self.changed(
                options_of(PoseNetworkOptions),
                f"there is no motion to predict with {self.given('frame_ids')}; leave it out, or "
                "add frames, as in 0 -1 1",
            )
        yield from super().conflicts()
        if self.predictive_mask and not self.disable_automasking:
            yield "predictive_mask", "takes the place of auto-masking; add --disable_automasking"
        if self.depth_hints and not self.use_stereo:
            yield "depth_hints", "are matches of stereo pairs; add --use_stereo, or leave it out"
        if self.depth_hints and self.v1_multiscale:
            yield "depth_hints", "are of the full size; leave out --v1_multiscale"
        if not self.depth_hints:
            yield from self.changed(["depth_hint_weight"], "is for hints; add --depth_hints")
        if self.weights_init in DEPTH_MODELS:
            problem = "is a whole model; give a folder of its weights as --load_weights_folder"
            yield "weights_init", problem


@dataclass(frozen=True)
class DepthPairOptions(Options):
    """Known depth."""

    network: str = option(MIDAS_SMALL, "network to train on known depth", choices=(*KINDS,))
    loss: str = option(
        SSI,
        "ssi: inverse depth up to scale and shift; the others: depth in metres (not for MiDaS)",
        choices=(SSI, "l1", "silog", "berhu"),
    )
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


@dataclass(frozen=True)
class RelativeLossOptions(Options):
    """Loss up to scale and shift."""

    trim: float = option(
        0.2, "share of the largest errors that --loss ssi leaves out", minimum=0, below=1
    )
    gradient_weight: float = option(0.5, "weight of the gradient matching of --loss ssi", minimum=0)


@dataclass(frozen=True)
class SupervisedOptions(TrainOptions, DepthPairOptions, RelativeLossOptions):
    """Train depth on pictures with depth."""

    task: str = SUPERVISED
    weights_init: str = SCRATCH
    height: int = option(256, "height of the network's input", minimum=64)
    width: int = option(256, "width of the network's input", minimum=64)
    clip_norm: float = 1.0

    def conflicts(self) -> Conflicts:
        """Contradictions in learning from known depth."""
        if self.dataset != RGBD:
            yield (
                "dataset",
                "has no depth that --task supervised could read; add --dataset rgbd and give a "
                "folder of pictures with depth as --data_path",
            )
        multiple = KINDS[self.network].multiple
        for name in ("height", "width"):
            value = getattr(self, name)
            if value % multiple:
                nearest = max(1, round(value / multiple)) * multiple
                yield name, f"must be a multiple of {multiple}; try {nearest}"
        if self.network != MONODEPTH:
            problem = "is for --network monodepth; add that, or leave it out"
            others = set(options_of(DepthNetworkOptions))
            if self.loss != SSI:
                others.discard("max_depth")
            yield from self.changed(sorted(others), problem)
            if self.loss != SSI and self.network == MIDAS_SMALL:
                yield (
                    "loss",
                    "is of depth in metres, and the output of MiDaS is inverse depth up to scale "
                    "and shift; add --network monodepth, or use --loss ssi",
                )
        if self.loss != SSI:
            problem = "is for --loss ssi; leave it out"
            yield from self.changed(options_of(RelativeLossOptions), problem)
        yield from self._start_conflicts()
        if self.load_weights_folder is not None and self.weights_init in DEPTH_MODELS:
            yield "weights_init", f"cannot go with {self.given('load_weights_folder')}; drop one"
        yield from self._mix_conflicts()
        yield from self._freezing_conflicts()
        yield from super().conflicts()

    def _start_conflicts(self) -> Conflicts:
        official = [name for name, file in OFFICIAL_FILES.items() if file.kind == self.network]
        if self.network != MONODEPTH and self.weights_init not in (SCRATCH, *official):
            yield (
                "weights_init",
                f"a {self.network} starts from {' or '.join((SCRATCH, *official))}; name one of "
                "these, or a weights folder with --load_weights_folder",
            )
        if self.network == MONODEPTH and self.weights_init in OFFICIAL_FILES:
            yield (
                "weights_init",
                f"is of another network; add --network {OFFICIAL_FILES[self.weights_init].kind}, "
                f"or name one of {', '.join(MODELS)}",
            )

    def _mix_conflicts(self) -> Conflicts:
        sets = 1 + len(self.mix_data_path or ())
        if self.mix_shares is None:
            return
        if sets == 1:
            yield "mix_shares", "there is one data set only; name more with --mix_data_path DIR"
        if len(self.mix_shares) != sets:
            yield (
                "mix_shares",
                f"must be {sets} numbers, the first one for --data_path and one for each of "
                "--mix_data_path",
            )

    def _freezing_conflicts(self) -> Conflicts:
        frozen = self.freeze or ()
        if {TRUNK, DECODER} <= set(frozen):
            yield "freeze", "leaves nothing to train; freeze one of the two"
        if TRUNK in frozen and self.trunk_learning_rate is not None:
            problem = f"the trunk does not learn with {self.given('freeze')}; drop one"
            yield "trunk_learning_rate", problem
        if frozen and self.sync_batch_norm:
            yield "freeze", "its batch statistics would not stay with --sync_batch_norm; drop one"


# evaluate_depth.py and export_gt_depth.py.


@dataclass(frozen=True)
class EvaluationOptions(Options):
    """Evaluation."""

    task: str = option(
        METRIC,
        "metric: depth on KITTI by the published protocol; relative: inverse depth up to scale and "
        "shift, on the pictures with depth or ordinal labels in --data_path",
        choices=(METRIC, RELATIVE),
    )
    eval_split: str = option("eigen", "name of a split, or a folder with test_files.txt")
    gt_path: Optional[Path] = option(
        None, "ground truth of the split; without it, gt_depths.npz of its folder"
    )
    batch_size: int = option(16, "images predicted at once", minimum=1)
    eval_out_dir: Optional[Path] = option(
        None,
        "folder for what is written; without it, that of the weights or disparities, or the "
        "current one with --model_name",
    )


@dataclass(frozen=True)
class MetricTaskOptions(Options):
    """Metric depth (--task metric)."""

    ext_disp_to_eval: Optional[Path] = option(
        None, "evaluate the disparities of this .npy file instead of a model's"
    )
    eval_eigen_to_benchmark: bool = option(
        False,
        "of --ext_disp_to_eval, which are of eigen, take those that eigen_benchmark has",
    )
    eval_max_depth: float = option(
        80.0,
        "predictions beyond are taken for this far, and farther truth is left out, metres",
        above=1e-3,
    )
    eval_mono: bool = option(False, "scale each prediction by the median of the ground truth")
    eval_stereo: bool = option(False, "scale all predictions by the known stereo baseline")
    disable_median_scaling: bool = option(False, "do not scale by the median of the ground truth")
    pred_depth_scale_factor: float = option(1.0, "factor on every predicted depth", above=0)
    min_depth: Optional[float] = option(
        None,
        "smallest depth that the model was trained with, where its folder does not say",
        above=0,
    )
    max_depth: Optional[float] = option(
        None, "largest depth that the model was trained with, likewise", above=0
    )
    post_process: bool = option(False, "average with the prediction of the mirrored image")
    save_pred_disps: bool = option(False, "save the predicted disparities")
    no_eval: bool = option(False, "predict only, without ground truth")
    allow_missing: bool = option(
        False, "evaluate on that part of the split's images whose image and ground truth are there"
    )


@dataclass(frozen=True)
class RelativeTaskOptions(Options):
    """Relative depth (--task relative)."""

    layout: Optional[str] = option(
        None, "of --data_path; without it, that which it looks like", choices=LAYOUTS
    )
    alignment: str = option(
        "scale_shift",
        "to the depth of each picture: scale_shift of inverse depth; median of depth; none, for "
        "models with metric depth",
        choices=("scale_shift", "median", "none"),
    )


@dataclass(frozen=True)
class EvaluateOptions(
    EvaluationOptions,
    MetricTaskOptions,
    RelativeTaskOptions,
    DatasetOptions,
    FrameFileOptions,
    PredictorOptions,
):
    """Measure the depth of a model, or of a file of disparities, against the ground truth."""

    @classmethod
    def idle(cls, given: Mapping[str, Any]) -> Mapping[str, str]:
        """What is for predicting, beside disparities; and what is for disparities, without."""
        if given.get("ext_disp_to_eval") is None:
            for_disparities = {"eval_eigen_to_benchmark"} & given.keys()
            reason = "it chooses among the disparities of --ext_disp_to_eval"
            return {**super().idle(given), **dict.fromkeys(for_disparities, reason)}
        for_predicting = ("load_weights_folder", "model_name", "post_process", "save_pred_disps")
        for_predicting += ("min_depth", "max_depth")
        reason = "--ext_disp_to_eval is already predicted"
        return {name: reason for name in for_predicting if name in given}

    def conflicts(self) -> Conflicts:
        """Contradictions: options of the other task, and more or less than one source of depth."""
        relative = self.task == RELATIVE
        other, group = (METRIC, MetricTaskOptions) if relative else (RELATIVE, RelativeTaskOptions)
        problem = f"is for --task {other}, not {self.task}; leave it out"
        yield from self.changed(options_of(group), problem)
        if self.eval_mono and self.eval_stereo:
            yield "eval_mono", "cannot go with --eval_stereo; drop one"
        if self.allow_missing and self.eval_split == "benchmark":
            yield "allow_missing", "KITTI's server takes all images of --eval_split benchmark only"
        if self.eval_eigen_to_benchmark and self.eval_split != IMPROVED_SPLIT:
            problem = f"measures by that ground truth; add --eval_split {IMPROVED_SPLIT}"
            yield "eval_eigen_to_benchmark", problem
        if self.ext_disp_to_eval is None:
            yield from super().conflicts("or disparities with --ext_disp_to_eval FILE.npy")
            return
        if not (self.eval_mono or self.eval_stereo):
            problem = "does not say how it is scaled; add --eval_mono or --eval_stereo"
            yield "ext_disp_to_eval", problem
        yield from self.changed(
            ("load_weights_folder", "model_name", "no_eval", "post_process", "save_pred_disps"),
            f"is for predicting, and {self.given('ext_disp_to_eval')} is already predicted; drop "
            "one",
        )


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
    allow_missing: bool = option(
        False, "export that part of the split's images whose image and depth are there"
    )


@dataclass(frozen=True)
class ExportOptions(GroundTruthOptions, DatasetOptions):
    """Export the ground truth of a split from the LiDAR sweeps."""


# demo.py.


@dataclass(frozen=True)
class PictureOptions(Options):
    """Pictures and videos."""

    image_path: tuple[Path, ...] = option(
        None,
        "pictures, videos, folders of them, patterns such as 'in/**/*.jpg', or the number of a "
        "camera",
    )
    ext: Optional[str] = option(
        None, "take pictures with this ending only, from folders and patterns", form=EXTENSION
    )
    output: Optional[Path] = option(
        None, "folder for what is written; without it, beside each picture"
    )
    depth_unit: str = option(
        DEPTH_UNITS[0],
        "unit of the 16-bit depth picture; kitti is 1/256 m, up to 256 m; millimetres end at 65 m",
        choices=DEPTH_UNITS,
    )
    no_arrays: bool = option(False, "write no .npy of the disparity")
    pred_metric_depth: bool = option(
        False, "also write the depth in metres as .npy (stereo-trained or aligned models)"
    )
    extras: Optional[tuple[str, ...]] = option(
        None,
        "what to write besides: the picture beside its depth, coloured points (PLY), a mesh (GLB)",
        choices=("side", "cloud", "mesh"),
        advice="give some of side cloud mesh",
    )
    colormap: str = option(
        COLORMAPS[0],
        "colours; near is bright in all",
        choices=COLORMAPS,
    )
    max_side: Optional[int] = option(
        None,
        "make pictures smaller whose longer side has more pixels; for MiDaS, longest side of what "
        "the network is given",
        minimum=32,
    )
    keep_aspect: bool = option(
        False,
        "pad pictures to the shape of models of a fixed shape, which they are squeezed into "
        "without it",
    )
    batch_size: int = option(
        4, "frames of a video predicted at once; OpenVINO takes one for each core", minimum=1
    )
    alignment: Optional[Path] = option(
        None, "metres by this file, which python -m tools.align makes"
    )


@dataclass(frozen=True)
class CameraOptions(Options):
    """Camera, for points and meshes; without any, what EXIF says, or 70 degrees across."""

    camera: Optional[Path] = option(None, "camera.json, or KITTI's calib_cam_to_cam.txt")
    K: Optional[tuple[float, ...]] = option(
        None,
        "fx fy cx cy in pixels of the pictures",
        repeats=True,
        count=4,
        advice="give four numbers, as in 720 720 620 187",
    )
    fov: Optional[float] = option(None, "horizontal angle of view, degrees", above=0, below=180)

    def conflicts(self) -> Conflicts:
        """More than one camera, or what the next group of options says."""
        given = [name for name in ("camera", "K", "fov") if getattr(self, name) is not None]
        if len(given) > 1:
            yield given[0], f"cannot go with --{given[1]}; drop one"
        yield from super().conflicts()


@dataclass(frozen=True)
class VideoOptions(Options):
    """Videos."""

    video_format: str = option(
        "mp4", "videos in H.264 (mp4) or VP8 (webm); browsers play both", choices=("mp4", "webm")
    )
    video_depth: bool = option(
        False, "also keep the depth of every frame of a video, as a folder of 16-bit PNGs"
    )
    video_range: str = option(
        "whole",
        "range of the colours: one for the whole video, or one that follows the frames smoothly",
        choices=("whole", "smooth"),
    )
    max_frames: Optional[int] = option(None, "end after so many frames of a camera", minimum=1)


@dataclass(frozen=True)
class DemoOptions(PictureOptions, CameraOptions, VideoOptions, PredictorOptions):
    """Predict the depth of pictures, videos or a camera."""

    def conflicts(self) -> Conflicts:
        """What a camera has not, besides what the groups of options say."""
        if self.no_arrays and self.pred_metric_depth:
            yield "no_arrays", "cannot go with --pred_metric_depth, which is an array; drop one"
        if self.video_depth and self.camera_index is not None:
            yield "video_depth", "is for videos; record the camera, then name the recording"
        yield from super().conflicts()

    @property
    def camera_index(self) -> Optional[int]:
        """The number of the camera to read, if that is what was given."""
        words = [str(path) for path in self.image_path]
        single = len(words) == 1 and words[0].isdigit() and not Path(words[0]).exists()
        return int(words[0]) if single else None
