"""What 8 bits keep in float of a ConvNeXt, and the one per cent that depth may move by."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from networks.architecture import Architecture
from prediction import graph
from prediction.engines import onnxruntime_engine
from system.errors import InputError
from weight_files.model_info import ModelInfo

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
HEIGHT, WIDTH = 16, 24
CONVNEXT, RESNET = Architecture(encoder="convnext_tiny"), Architecture()
# One channel of a ConvNeXt's maps is often so much larger than the others.
OUTLIER = 1000.0


@pytest.fixture
def network(tmp_path):
    """What a ConvNeXt is made of, as ONNX: a block's two kinds of convolution, and a decoder's.

    The disparity is that of green, beside which red is :data:`OUTLIER` times as large.
    """
    depthwise = np.zeros((3, 1, 7, 7), np.float32)
    depthwise[:, 0, 3, 3] = OUTLIER, 1, 1
    pointwise = np.float32([0, 1, 0]).reshape(1, 3, 1, 1)
    decoder = np.zeros((1, 1, 3, 3), np.float32)
    decoder[0, 0, 1, 1] = 6
    # Of four inputs at least: maps of fewer are pictures.
    pointwise, decoder = np.repeat(pointwise, 4, axis=0), np.repeat(decoder / 4, 4, axis=1)
    weights = {"depthwise": depthwise, "pointwise": pointwise, "decoder": decoder}
    weights |= {"grey": np.float32(255), "middle": np.float32(3), "axis": np.int64([1])}
    node = onnx.helper.make_node
    nodes = [
        node("Cast", [graph.INPUT], ["cast"], to=onnx.TensorProto.FLOAT),
        node("Div", ["cast", "grey"], ["share"]),
        node("Transpose", ["share"], ["maps"], perm=[0, 3, 1, 2]),
        node("Conv", ["maps", "depthwise"], ["mixed"], "a", pads=[3] * 4, group=3),
        node("Conv", ["mixed", "pointwise"], ["features"], "b"),
        node("Conv", ["features", "decoder"], ["logits"], "c", pads=[1] * 4),
        node("Sub", ["logits", "middle"], ["centred"]),
        node("Sigmoid", ["centred"], ["four"]),
        node("Squeeze", ["four", "axis"], [graph.OUTPUT]),
    ]
    value, types = onnx.helper.make_tensor_value_info, onnx.TensorProto
    made = onnx.helper.make_graph(
        nodes,
        "network",
        [value(graph.INPUT, types.UINT8, ["batch", HEIGHT, WIDTH, 3])],
        [value(graph.OUTPUT, types.FLOAT, ["batch", HEIGHT, WIDTH])],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    opset = onnx.helper.make_opsetid("", graph.OPSET)
    onnx.save(onnx.helper.make_model(made, opset_imports=[opset], ir_version=8), tmp_path / "a")
    rng = np.random.default_rng(0)
    for index in range(12):
        coarse = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8))
        coarse.resize((WIDTH, HEIGHT)).save(tmp_path / f"{index}.png")
    return tmp_path / "a"


def fit(network, architecture):
    """The inputs of its convolutions in 8 bits."""
    target = network.with_name("b")
    info = ModelInfo(architecture, HEIGHT, WIDTH)
    graph.fit_int8(network, info, network.parent, target, onnxruntime_engine)
    nodes = onnx.load(target).graph.node
    makers = {output: node.op_type for node in nodes for output in node.output}
    convolutions = {
        node.name: makers.get(node.input[1]) for node in nodes if node.op_type == "Conv"
    }
    assert set(convolutions) == {"a", "b", "c"}
    return {name for name, maker in convolutions.items() if maker == "DequantizeLinear"}


def test_only_the_decoder_of_a_convnext_is_in_8_bits(network):
    assert fit(network, CONVNEXT) == {"c"}


def test_an_encoder_in_8_bits_that_moves_depth_too_far_is_refused(network, monkeypatch):
    with pytest.raises(InputError, match=r"int8: moves depth by .* more than 1%"):
        fit(network, RESNET)  # of which everything is in 8 bits
    monkeypatch.setattr(graph, "kept_in_float", lambda path: [])
    with pytest.raises(InputError, match=r"int8: moves depth by .* more than 1%"):
        fit(network, CONVNEXT)
