"""The depth network as a graph of Paddle: of its own runtime, and what other graphs are made of."""

from __future__ import annotations

import errno
import math
import os
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn

from networks.kinds import MONODEPTH
from prediction.depth_map import FAMILIES
from prediction.graph import (
    INPUT,
    OPSET,
    OUTPUT,
    PARAMETERS,
    double_by_resize,
    program_of,
    rename,
    scalars_by_squeeze,
)
from system.errors import InputError
from system.paddle_versions import why_no_onnx
from system.terminal import without_their_output
from weight_files.model_info import ModelInfo

USED = 0.9  # share of a network's parameters that its graph has at least


class DisparityGraph(nn.Layer):
    """RGB images [B, H, W, 3] to what a depth network says of them [B, H, W] float32.

    Their levels are of 0 to 255, of the type that the kind of network is given.
    """

    def __init__(self, model: nn.Layer) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Predict the disparity of a batch."""
        x = images.astype("float32").transpose([0, 3, 1, 2]) / 255
        return self.model.disparity_map(x)


def save_paddle(model: nn.Layer, info: ModelInfo, folder: Path) -> None:
    """Write the graph as a program of Paddle Inference, for batches of any size.

    Raises:
        OSError: the disk is full, of which Paddle says nothing.
    """
    size = (info.height, info.width) if info.kind == MONODEPTH else (None, None)
    pixels = np.dtype(FAMILIES[info.kind].pixels).name
    spec = paddle.static.InputSpec([None, *size, 3], pixels, INPUT)
    graph = DisparityGraph(model)
    graph.eval()
    static = paddle.jit.to_static(graph, input_spec=[spec], full_graph=True)
    paddle.jit.save(static, str(folder / Path(PARAMETERS).stem))
    learnt = [value for value in model.parameters() if not value.stop_gradient]
    numbers, path = sum(math.prod(value.shape) for value in learnt), folder / PARAMETERS
    if path.stat().st_size < USED * 4 * numbers:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def save_onnx(model: nn.Layer, info: ModelInfo, path: Path) -> None:
    """Write the graph as ONNX, for batches of any size.

    Raises:
        InputError: paddle2onnx is not installed, or is for another version of Paddle.
    """
    if why_no_onnx():
        raise InputError(f"--engine: {why_no_onnx()}, or use --engine paddle")
    try:
        import onnx  # noqa: PLC0415 - extras
        import paddle2onnx  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"--engine: needs {error.name} to make its model; pip install -r "
            "requirements-engines.txt, or use --engine paddle"
        ) from error
    save_paddle(model, info, path.parent)
    program, parameters = program_of(path.parent), path.parent / PARAMETERS
    settings: dict[str, Any] = {"enable_onnx_checker": False, "verbose": False}
    if "optimize_tool" in signature(paddle2onnx.export).parameters:  # not before paddle2onnx 2
        settings["optimize_tool"] = "None"  # any other has it install packages while it runs
    with without_their_output():
        paddle2onnx.export(
            str(program), str(parameters), str(path), opset_version=OPSET, **settings
        )
    program.unlink()
    parameters.unlink()
    content = onnx.load(path)
    rename(content.graph, {content.graph.output[0].name: OUTPUT})
    content.graph.output[0].name = OUTPUT
    scalars_by_squeeze(content.graph)
    double_by_resize(content)
    onnx.checker.check_model(content)
    onnx.save(content, path)
