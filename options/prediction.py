"""Options of predicting, and of taking models elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from errors import InputError
from option_fields import Form, Options, flag, option
from options.common import DeviceOptions, EngineOptions, ModelOptions, check_model
from weight_files.published import DEPTH_MODELS

HOST = Form("an address or host name", r"[\w.:-]+")
EXTENSION = Form("a file extension such as jpg or png", r"\.?\w+")


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
        check_model(self, f"one of {', '.join(DEPTH_MODELS)}")


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
        check_model(self, f"one of {', '.join(DEPTH_MODELS)}")
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
        (Path(__file__).parents[1] / "assets" / "test_image.jpg",),
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
        check_model(self, f"one of {', '.join(DEPTH_MODELS)}")
