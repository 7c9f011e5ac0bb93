"""OpenVINO, on CPUs in float32, bfloat16 or 8 bits."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from errors import InputError

MOST_SHAPES = 8  # of images that a model is kept compiled for
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
        self._hints = {"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
        self._core, self._model = core, core.read_model(path)
        self._requests: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        shape = self._model.input(0).partial_shape
        if all(dimension.is_static for dimension in list(shape)[1:]):
            self._request((1, *(dimension.get_length() for dimension in list(shape)[1:])))

    def disparity(self, images: np.ndarray) -> np.ndarray:
        """The network's output [B, H, W] float32 of RGB images [B, H, W, 3] uint8.

        One after the other: on CPUs that takes less time than all at once.
        """
        request = self._request((1, *images.shape[1:]))
        outputs = []
        for image in np.ascontiguousarray(images):
            request.infer([image[None]])
            outputs.append(request.get_output_tensor(0).data[0].copy())
        return np.stack(outputs)

    def _request(self, shape: tuple[int, ...]) -> Any:
        """The model compiled for images of one shape, which is a tenth faster than for any."""
        if shape not in self._requests:
            model = self._model.clone()
            model.reshape(shape)
            compiled = self._core.compile_model(model, "CPU", self._hints)
            self._requests[shape] = compiled.create_infer_request()
        self._requests.move_to_end(shape)
        while len(self._requests) > MOST_SHAPES:
            self._requests.popitem(last=False)
        return self._requests[shape]
