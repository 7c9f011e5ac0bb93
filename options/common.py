"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from errors import InputError
from option_fields import Form, Options, flag, option
from weight_files.published import DEPTH_MODELS

SIZE_MULTIPLE = 32  # the encoder halves the image five times; 64 leaves 2 pixels to mirror
DEVICE = Form("cpu, gpu, or gpu:N with the number of a GPU", r"cpu|gpu(:\d+)?")


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
class ModelOptions(Options):
    """Model."""

    load_weights_folder: Optional[Path] = option(None, "weights folder of the model")
    model_name: Optional[str] = option(
        None, "published model to use instead, fetched on its first use", choices=DEPTH_MODELS
    )


def check_model(options: Options, otherwise: str) -> None:
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
