"""What 8 bits keep in float of a ConvNeXt, and the one per cent that depth may move by."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from networks.architecture import Architecture
from prediction import graph
from prediction.engines import onnxruntime_engine
from system.errors import InputError
from tools.stages import ROOT
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


LAYERS, SIDE = 40, 512
CHAIN = f"""
import os
import sys
from pathlib import Path

import numpy as np
import onnx

from benchmarks.measure import resident_bytes
from networks.architecture import Architecture
from prediction import graph
from weight_files.model_info import ModelInfo

folder, side = Path(sys.argv[1]), {SIDE}
node, value, types = onnx.helper.make_node, onnx.helper.make_tensor_value_info, onnx.TensorProto
weights = {{"first": np.ones((8, 3, 3, 3)), "more": np.ones((8, 8, 3, 3)) / 72}}
nodes = [
    node("Cast", [graph.INPUT], ["cast"], to=types.FLOAT),
    node("Transpose", ["cast"], ["maps"], perm=[0, 3, 1, 2]),
    node("Conv", ["maps", "first"], ["map0"], "conv0", pads=[1] * 4),
]
for n in range({LAYERS}):
    read, written = [f"map{{n}}", "more"], [f"map{{n + 1}}"]
    nodes.append(node("Conv", read, written, f"conv{{n + 1}}", pads=[1] * 4))
made = onnx.helper.make_graph(
    nodes,
    "chain",
    [value(graph.INPUT, types.UINT8, [1, side, side, 3])],
    [value("map{LAYERS}", types.FLOAT, [1, 8, side, side])],
    [onnx.numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
)
opset = onnx.helper.make_opsetid("", graph.OPSET)
onnx.save(onnx.helper.make_model(made, opset_imports=[opset], ir_version=8), folder / "chain")
images = [np.full((side, side, 3), 9, np.uint8)]
info = ModelInfo(Architecture(), side, side)
before = resident_bytes(os.getpid(), at_most=True)
graph.quantise(folder / "chain", images, folder / "int8", info)
print(resident_bytes(os.getpid(), at_most=True) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much memory was used")
def test_maps_that_8_bits_are_fitted_to_are_not_all_in_memory_together(tmp_path):
    """A vision transformer's would be some 10 GB."""
    run = [sys.executable, "-c", CHAIN, str(tmp_path)]
    grown = int(subprocess.run(run, check=True, capture_output=True, cwd=ROOT).stdout)
    every_map = LAYERS * 8 * SIDE**2 * 4
    assert grown < every_map / 2
