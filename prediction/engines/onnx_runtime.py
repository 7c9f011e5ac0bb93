"""ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from networks.weights import load_depth_model
from prediction.exported import exported
from prediction.graph import INPUT, save_onnx

FILE = "depth.onnx"


def onnx_file(folder: Path) -> Path:
    """The depth network of a weights folder as ONNX, made where that is not there."""
    made = exported(folder, "onnx", lambda new: save_onnx(*load_depth_model(folder), new / FILE))
    return made / FILE


class OnnxRuntimeEngine:
    """An ONNX model, on the CPU or, where ONNX Runtime has it, CUDA."""

    name = "onnxruntime"

    def __init__(self, path: Path, device: str | None = None) -> None:
        import onnxruntime  # noqa: PLC0415 - an extra

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        on_gpu = device is not None and device.startswith("gpu")
        providers = ["CUDAExecutionProvider"] if on_gpu else []
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=[*providers, "CPUExecutionProvider"]
        )

    def disparity(self, images: np.ndarray) -> np.ndarray:
        """Sigmoid disparity [B, H, W] float32 of RGB images [B, H, W, 3] uint8."""
        return self._session.run(None, {INPUT: np.ascontiguousarray(images)})[0]
