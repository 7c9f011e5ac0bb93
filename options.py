"""Every option of every command: its name, type, default, help and valid range, said once.

An options object is frozen and has been checked, whether it came from a command line (`parse`),
from a file (`from_json`) or from Python. A field's name is its flag: ``height`` is ``--height``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

from errors import InputError
from option_fields import Form, Options, flag, from_json, option, parse, to_json
from weight_files.published import DEPTH_MODELS, MODELS

STEREO = "s"
SCRATCH, PRETRAINED = "scratch", "pretrained"
SIZE_MULTIPLE = 32  # the encoder halves the image five times; 64 leaves 2 pixels to mirror
DEVICE = Form("cpu, gpu, or gpu:N with the number of a GPU", r"cpu|gpu(:\d+)?")
FOLDER_NAME = Form("a plain folder name", r"\w([\w .+=@-]*\w)?")
HOST = Form("an address or host name", r"[\w.:-]+")
EXTENSION = Form("a file extension such as jpg or png", r"\.?\w+")


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

    device: Optional[str] = option(
        None, "where it runs; without it, the GPU when Paddle has one", form=DEVICE
    )


@dataclass(frozen=True)
class EngineOptions(Options):
    """Engine."""

    engine: str = option(
        "auto",
        "runtime of the depth network: auto is the fastest that is installed",
        choices=("auto", "paddle", "paddle-inference", "onnxruntime", "openvino"),
    )
    precision: str = option(
        "fp32",
        "of the depth network; bf16 with OpenVINO, on CPUs that have it; int8 with --calibration",
        choices=("fp32", "bf16", "int8"),
    )
    calibration: Optional[Path] = option(
        None, "folder of pictures that int8 is fitted to; once is enough for a weights folder"
    )


@dataclass(frozen=True)
class RunOptions(Options):
    """Run."""

    log_dir: Path = option(Path("logs"), "folder of all runs")
    model_name: str = option("mdp", "folder of this run in --log_dir", form=FOLDER_NAME)
    resume: bool = option(False, "continue the run of that name in --log_dir")
    load_weights_folder: Optional[Path] = option(None, "weights folder to start from")
    models_to_load: tuple[str, ...] = option(
        ("encoder", "depth", "pose_encoder", "pose", "predictive_mask"),
        "networks to take from --load_weights_folder, where it has them",
        choices=("encoder", "depth", "pose_encoder", "pose", "predictive_mask"),
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
        "kind of data set; frames of one's own are made with python -m datasets.prepare",
        choices=("kitti", "kitti_odom", "frames"),
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
    height: int = option(
        192, "height of the network's input", minimum=64, multiple_of=SIZE_MULTIPLE
    )
    width: int = option(640, "width of the network's input", minimum=64, multiple_of=SIZE_MULTIPLE)
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
        "a ResNet's weights",
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
    learning_rate: float = option(
        1e-4, "learning rate of Adam, whatever the number of devices", above=0
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
    OptimisationOptions,
    DeviceOptions,
):
    """Train depth and motion on frames without ground truth."""

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
        self._check_frames()
        self._check_networks()
        self._check_start()
        if self.recompute and not self.eager:
            raise InputError("--recompute: does not go into a compiled step; add --eager")

    def _check_frames(self) -> None:
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
        if self.initial_disparity is not None and loads and "depth" in self.models_to_load:
            raise InputError(
                f"{flag('initial_disparity', self.initial_disparity)}: would be overwritten by "
                f"{given}; leave it out, or leave depth out of --models_to_load"
            )


@dataclass(frozen=True)
class EvaluationOptions(Options):
    """Evaluation."""

    task: str = option(
        "metric",
        "metric: depth on KITTI by the published protocol; relative: inverse depth up to scale and "
        "shift, on the pairs of pictures and depth in --data_path",
        choices=("metric", "relative"),
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


def _check_model(options: Options, otherwise: str) -> None:
    """Refuse anything but one model to predict with."""
    if options.load_weights_folder is None and options.model_name is None:
        raise InputError(
            "--load_weights_folder: is needed to predict; give a weights folder, a published "
            f"model with --model_name NAME, {otherwise}"
        )
    if options.load_weights_folder is not None and options.model_name is not None:
        raise InputError(
            f"{flag('model_name', options.model_name)}: cannot go with "
            f"{flag('load_weights_folder', options.load_weights_folder)}; drop one"
        )


@dataclass(frozen=True)
class EvaluateOptions(
    EvaluationOptions, DatasetOptions, FrameFileOptions, EngineOptions, DeviceOptions
):
    """Measure the depth of a model, or of a file of disparities, against the ground truth."""

    def check(self) -> None:
        """Refuse options that contradict each other."""
        if self.eval_mono and self.eval_stereo:
            raise InputError("--eval_mono: cannot go with --eval_stereo; drop one")
        if self.ext_disp_to_eval is None:
            _check_model(self, "or disparities with --ext_disp_to_eval FILE.npy")
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
        _check_model(self, f"one of {', '.join(MODELS)}")


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


@dataclass(frozen=True)
class ModelOptions(Options):
    """Model."""

    load_weights_folder: Optional[Path] = option(None, "weights folder of the model")
    model_name: Optional[str] = option(
        None, "published model to use instead, fetched on its first use", choices=DEPTH_MODELS
    )


@dataclass(frozen=True)
class PictureOptions(ModelOptions):
    """Pictures and videos."""

    image_path: tuple[Path, ...] = option(
        None,
        "pictures, folders of pictures, patterns such as 'in/*.jpg', videos, or the number of a "
        "camera",
        required=True,
    )
    ext: Optional[str] = option(
        None, "take pictures with this ending only, from folders and patterns", form=EXTENSION
    )
    output: Optional[Path] = option(
        None, "folder for what is written; without it, beside each picture"
    )
    depth_unit: str = option(
        "millimetres",
        "unit of the 16-bit depth picture; kitti is 1/256 m",
        choices=("millimetres", "kitti"),
    )
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
        "inferno",
        "colours; near is bright in all",
        choices=("inferno", "magma", "plasma", "viridis", "cividis"),
    )
    max_side: Optional[int] = option(
        None,
        "make pictures smaller whose longer side has more pixels; for MiDaS, longest side of what "
        "the network is given",
        minimum=32,
    )
    batch_size: int = option(4, "frames of a video predicted at once", minimum=1)
    alignment: Optional[Path] = option(None, "metres by this file, which align.py makes")


@dataclass(frozen=True)
class CameraOptions(Options):
    """Camera, for points and meshes; without any of these, 70 degrees across are assumed."""

    camera: Optional[Path] = option(None, "camera.json, or KITTI's calib_cam_to_cam.txt")
    K: Optional[tuple[float, ...]] = option(
        None,
        "fx fy cx cy in pixels of the pictures",
        repeats=True,
        count=4,
        advice="give four numbers, as in 720 720 620 187",
    )
    fov: Optional[float] = option(None, "horizontal angle of view, degrees", above=0, below=180)

    def check(self) -> None:
        """Refuse more than one camera."""
        given = [name for name in ("camera", "K", "fov") if getattr(self, name) is not None]
        if len(given) > 1:
            raise InputError(
                f"{flag(given[0], getattr(self, given[0]))}: cannot go with --{given[1]}; drop one"
            )


@dataclass(frozen=True)
class VideoOptions(Options):
    """Videos."""

    video_format: str = option(
        "mp4", "container of videos; browsers play webm", choices=("mp4", "webm")
    )
    video_range: str = option(
        "whole",
        "range of the colours: one for the whole video, or one that follows the frames smoothly",
        choices=("whole", "smooth"),
    )
    max_frames: Optional[int] = option(None, "end after so many frames of a camera", minimum=1)


@dataclass(frozen=True)
class DemoOptions(PictureOptions, CameraOptions, VideoOptions, EngineOptions, DeviceOptions):
    """Predict the depth of pictures, videos or a camera."""

    @property
    def camera_index(self) -> Optional[int]:
        """The number of the camera to read, if that is what was given."""
        words = [str(path) for path in self.image_path]
        single = len(words) == 1 and words[0].isdigit() and not Path(words[0]).exists()
        return int(words[0]) if single else None

    def check(self) -> None:
        """Refuse options that contradict each other."""
        CameraOptions.check(self)
        _check_model(self, f"one of {', '.join(DEPTH_MODELS)}")


@dataclass(frozen=True)
class AppOptions(DeviceOptions):
    """Serve a page in the browser: depth of pictures, videos and a live camera."""

    load_weights_folder: Optional[tuple[Path, ...]] = option(None, "weights folders to offer")
    model_name: Optional[tuple[str, ...]] = option(
        None, "published models to offer, fetched on their first use", choices=DEPTH_MODELS
    )
    engine: tuple[str, ...] = option(
        ("auto",),
        "runtimes to offer for each model: auto is the fastest that is installed",
        choices=("auto", "paddle", "paddle-inference", "onnxruntime", "openvino"),
    )
    precision: str = option(
        "fp32", "of the networks, see demo.py", choices=("fp32", "bf16", "int8")
    )
    calibration: Optional[Path] = option(
        None, "folder of pictures that int8 is fitted to; once is enough for a weights folder"
    )
    host: str = option(
        "127.0.0.1", "address to serve on; 0.0.0.0 lets other machines in", form=HOST
    )
    port: int = option(7860, "port to serve on", minimum=1, maximum=65535)
    max_waiting: int = option(64, "requests that may wait; more are turned away", minimum=1)
    max_running: int = option(2, "pictures in work at once", minimum=1)
    max_megapixels: int = option(40, "million pixels of a picture", minimum=1, maximum=100)
    max_megabytes: int = option(50, "megabytes of an upload", minimum=1)
    max_video_frames: int = option(3000, "frames of a video", minimum=1)
    max_video_seconds: float = option(600.0, "seconds that one video may take", above=0)

    def check(self) -> None:
        """Refuse a page without a model."""
        if self.load_weights_folder is None and self.model_name is None:
            raise InputError(
                "--load_weights_folder: is needed; give weights folders, or published models with "
                f"--model_name, of {', '.join(DEPTH_MODELS)}"
            )


@dataclass(frozen=True)
class AlignOptions(ModelOptions, EngineOptions, DeviceOptions):
    """Fit a model's depth to metres by points of a picture whose distance is known."""

    image_path: Path = option(None, "the picture", required=True)
    points: Optional[tuple[str, ...]] = option(
        None, "'x y metres' for each point, in pixels from the upper left", repeats=True
    )
    depth_path: Optional[Path] = option(
        None, "known depth of the picture: .npy in metres or a 16-bit .png, 0 where unknown"
    )
    depth_unit: str = option(
        "millimetres",
        "unit of --depth_path if it is a picture; kitti is 1/256 m",
        choices=("millimetres", "kitti"),
    )
    shift: bool = option(False, "also fit a shift of inverse depth")
    output: Optional[Path] = option(
        None, "file to write; without it, PICTURE_alignment.json beside the picture"
    )

    def check(self) -> None:
        """Refuse a command without a model or without points."""
        _check_model(self, f"one of {', '.join(DEPTH_MODELS)}")
        if self.points is None and self.depth_path is None:
            raise InputError("--points: are needed, as in --points '120 80 4.5', or --depth_path")


@dataclass(frozen=True)
class ModelExportOptions(ModelOptions):
    """Export the depth network of a model for another runtime, and prove it there."""

    format: str = option(
        None, "runtime that it is for", choices=("onnx", "openvino", "paddle"), required=True
    )
    precision: str = option(
        "fp32", "of the network; int8 with --calibration", choices=("fp32", "fp16", "int8")
    )
    any_size: bool = option(
        False, "take pictures of any size, resized inside, instead of the network's size"
    )
    image_path: tuple[Path, ...] = option(
        (Path(__file__).parent / "assets" / "test_image.jpg",),
        "pictures, or folders of them, on which the result is compared with Paddle",
    )
    calibration: Optional[Path] = option(
        None, "folder of pictures that int8 is fitted to; once is enough for a weights folder"
    )
    output: Optional[Path] = option(
        None, "file (onnx) or folder to write; without it, the weights' name with the format's"
    )

    def check(self) -> None:
        """Refuse anything but one model."""
        _check_model(self, f"one of {', '.join(DEPTH_MODELS)}")


@dataclass(frozen=True)
class ReproduceOptions(Options):
    """Reproduce a row of the published table."""

    row: Optional[str] = option(None, "name of the row; --list shows them")
    list: bool = option(False, "list the rows and end")
    data_path: Optional[Path] = option(None, "folder of the KITTI raw data")
    published: bool = option(False, "evaluate the published weights instead of training")
    out: Path = option(Path("runs/reproduce"), "folder for all that is made; stages go on in it")
    seed: int = option(0, "decides every random draw", minimum=0, maximum=2**32 - 1)
    num_workers: int = option(4, "processes that load the data", minimum=0)
    device: Optional[str] = option(None, "where it runs", form=DEVICE)

    def check(self) -> None:
        """Refuse to run without a row."""
        if self.row is None and not self.list:
            raise InputError("--row: is needed; --list shows the rows")


@dataclass(frozen=True)
class ConvertOptions(Options):
    """Convert weights between this project, PyTorch and Paddle."""

    src: Path = option(None, "weights folder, or one file of weights", positional=True)
    dst: Path = option(None, "folder or file to write; must not be there yet", positional=True)
    to: str = option(
        None,
        "format to write: safetensors, the published PyTorch one, or Paddle's",
        choices=("safetensors", "torch", "paddle"),
        required=True,
    )
    height: Optional[int] = option(
        None, "height of the network's input, where SRC does not say", multiple_of=SIZE_MULTIPLE
    )
    width: Optional[int] = option(
        None, "width of the network's input, where SRC does not say", multiple_of=SIZE_MULTIPLE
    )
    trained_on: Optional[str] = option(
        None, "where SRC does not say: M video, S stereo pairs, MS both", choices=("M", "S", "MS")
    )


__all__ = [
    "AlignOptions",
    "AppOptions",
    "ConvertOptions",
    "DemoOptions",
    "EvaluateOptions",
    "EvaluatePoseOptions",
    "ExportOptions",
    "ModelExportOptions",
    "ReproduceOptions",
    "TrainOptions",
    "from_json",
    "parse",
    "to_json",
]
