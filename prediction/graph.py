"""The depth network as one graph that other runtimes take: pictures in, disparity out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
from paddle import Tensor, nn

from errors import InputError
from networks.model_info import MONODEPTH, ModelInfo

INPUT, OUTPUT = "images", "disparity"
PROGRAM, PARAMETERS = "graph.json", "graph.pdiparams"
OPSET = 13  # has what the networks need, and every runtime of the last years knows it


class DisparityGraph(nn.Layer):
    """RGB images [B, H, W, 3] uint8 to what a depth network says of them [B, H, W] float32."""

    def __init__(self, model: nn.Layer) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Predict the disparity of a batch."""
        x = images.transpose([0, 3, 1, 2]).astype("float32") / 255
        return self.model.disparity_map(x)


def save_paddle(model: nn.Layer, info: ModelInfo, folder: Path) -> None:
    """Write the graph as a program of Paddle Inference, for batches of any size."""
    size = (info.height, info.width) if info.kind == MONODEPTH else (None, None)
    spec = paddle.static.InputSpec([None, *size, 3], "uint8", INPUT)
    graph = DisparityGraph(model)
    graph.eval()
    static = paddle.jit.to_static(graph, input_spec=[spec], full_graph=True)
    paddle.jit.save(static, str(folder / Path(PROGRAM).stem))


def save_onnx(model: nn.Layer, info: ModelInfo, path: Path) -> None:
    """Write the graph as ONNX, for batches of any size.

    Raises:
        InputError: paddle2onnx is not installed.
    """
    try:
        import onnx  # noqa: PLC0415 - extras
        import paddle2onnx  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            f"--engine: needs {error.name} to make its model; pip install -r "
            "requirements-engines.txt, or use --engine paddle"
        ) from error
    save_paddle(model, info, path.parent)
    program, parameters = path.parent / PROGRAM, path.parent / PARAMETERS
    # Any other optimize_tool has paddle2onnx install packages while it runs.
    paddle2onnx.export(
        str(program),
        str(parameters),
        str(path),
        opset_version=OPSET,
        optimize_tool="None",
        enable_onnx_checker=False,
        verbose=False,
    )
    program.unlink()
    parameters.unlink()
    content = onnx.load(path)
    _rename_output(content, OUTPUT)
    _double_by_resize(content)
    onnx.checker.check_model(content)
    onnx.save(content, path)


def _rename_output(content: onnx.ModelProto, name: str) -> None:  # noqa: F821 - an extra
    old = content.graph.output[0].name
    content.graph.output[0].name = name
    for node in content.graph.node:
        for index, output in enumerate(node.output):
            if output == old:
                node.output[index] = name
        for index, value in enumerate(node.input):
            if value == old:
                node.input[index] = name


def _double_by_resize(content: onnx.ModelProto) -> None:  # noqa: F821 - an extra
    """Replace every doubling by repetition (reshape, expand, reshape) by a Resize.

    Paddle's oneDNN can only do the first, other runtimes are several times as fast with the second.
    """
    from onnx import helper, numpy_helper  # noqa: PLC0415

    graph = content.graph
    maker = {name: node for node in graph.node for name in node.output}
    scales = "double_scales"
    for expand in [node for node in graph.node if node.op_type == "Expand"]:
        before = maker.get(expand.input[0])
        after = [node for node in graph.node if expand.output[0] in node.input]
        if (
            before is None
            or before.op_type != "Reshape"
            or [n.op_type for n in after] != ["Reshape"]
        ):
            continue
        resize = helper.make_node(
            "Resize",
            [before.input[0], "", scales],
            list(after[0].output),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        graph.node.insert(list(graph.node).index(after[0]), resize)
        graph.node.remove(after[0])
    if any(scales in node.input for node in graph.node):
        factors = np.array([1, 1, 2, 2], np.float32)
        graph.initializer.append(numpy_helper.from_array(factors, scales))
    _drop_unused(graph)


def _drop_unused(graph: onnx.GraphProto) -> None:  # noqa: F821 - an extra
    """Remove nodes whose outputs nobody reads."""
    while True:
        read = {name for node in graph.node for name in node.input}
        read |= {output.name for output in graph.output}
        unused = [node for node in graph.node if not read & set(node.output)]
        if not unused:
            return
        for node in unused:
            graph.node.remove(node)
