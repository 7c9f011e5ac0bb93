"""Which engine runs a model: the one that was named, or the fastest that is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Protocol

import numpy as np

from errors import InputError
from networks.device import choose_device
from networks.weights import read_info

AUTO = "auto"
ENGINES = ("paddle", "paddle-inference", "onnxruntime", "openvino")
PRECISIONS = {"openvino": ("fp32", "bf16", "int8"), "onnxruntime": ("fp32", "int8")}
MODULES = {"onnxruntime": "onnxruntime", "openvino": "openvino"}  # extras that engines need
MAKER = "paddle2onnx"  # makes the models of these


class Engine(Protocol):
    """Something that runs the depth network.

    Attributes:
        name: one of :data:`ENGINES`.
    """

    name: str

    def disparity(self, images: np.ndarray) -> np.ndarray:
        """Sigmoid disparity [B, H, W] float32 of RGB images [B, H, W, 3] uint8."""
        ...


def installed(module: str) -> bool:
    """Whether a module can be imported."""
    return importlib.util.find_spec(module) is not None


def automatic_engine(device: str) -> str:
    """The fastest engine for a device: OpenVINO, ONNX Runtime, then Paddle Inference on CPUs."""
    if device.startswith("gpu"):
        return "paddle"
    for name in ("openvino", "onnxruntime"):
        if installed(MODULES[name]) and installed(MAKER):
            return name
    return "paddle-inference"


def open_engine(
    folder: Path, name: str, precision: str, device: str | None, calibration: Path | None = None
) -> Engine:
    """Load the depth network of a weights folder; ``calibration`` are pictures to fit int8 to.

    Raises:
        InputError: the engine is not installed, does not have the precision, or the folder or
            device cannot be used.
    """
    if name == AUTO:
        name = "openvino" if precision != "fp32" else automatic_engine(choose_device(device))
    if name in MODULES and not installed(MODULES[name]):
        raise InputError(
            f"--engine {name}: is not installed; pip install -r requirements-engines.txt, or use "
            "--engine paddle"
        )
    if precision not in PRECISIONS.get(name, ("fp32",)):
        raise InputError(
            f"--precision {precision}: the engine {name} computes in fp32; use --engine openvino"
        )
    # Each engine brings a runtime of its own along.
    if name in MODULES:
        from prediction.engines.onnx_runtime import OnnxRuntimeEngine, onnx_file  # noqa: PLC0415
        from prediction.engines.openvino import OpenVinoEngine  # noqa: PLC0415
        from prediction.quantise import int8_file  # noqa: PLC0415

        if precision == "int8":
            path = int8_file(folder, read_info(folder), calibration)
        else:
            path = onnx_file(folder)
        if name == "openvino":
            return OpenVinoEngine(path, precision)
        return OnnxRuntimeEngine(path, device)
    if name == "paddle-inference":
        from prediction.engines.paddle_inference import PaddleInferenceEngine  # noqa: PLC0415

        return PaddleInferenceEngine.open(folder, device)
    from prediction.engines.paddle_eager import PaddleEngine  # noqa: PLC0415

    return PaddleEngine.open(folder, device)
