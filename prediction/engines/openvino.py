"""OpenVINO, on CPUs in float32, bfloat16 or 8 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from errors import InputError

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}  # what is not in 8 bits, in float32


class OpenVinoEngine:
    """An ONNX model, compiled for this CPU."""

    name = "openvino"

    def __init__(self, path: Path, precision: str = "fp32") -> None:
        import openvino  # noqa: PLC0415 - an extra

        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise InputError(
                "--precision bf16: this CPU does not compute in bfloat16; use --precision fp32"
            )
        hints = {"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
        self._compiled = core.compile_model(core.read_model(path), "CPU", hints)
        self._request = self._compiled.create_infer_request()

    def disparity(self, images: np.ndarray) -> np.ndarray:
        """Sigmoid disparity [B, H, W] float32 of RGB images [B, H, W, 3] uint8."""
        self._request.infer([np.ascontiguousarray(images)])
        return self._request.get_output_tensor(0).data.copy()
