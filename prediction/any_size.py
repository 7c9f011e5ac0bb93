"""Exported graphs that take pictures of any size: the resizing goes inside.

Pictures are brought to the network's size by a triangle filter that widens with the reduction
(Pillow's ``BILINEAR``), and disparity back to theirs bilinearly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from prediction.graph import INPUT, OUTPUT

if TYPE_CHECKING:  # extras
    import onnx
    import openvino

OPSET = 18  # the first with a filter that widens


def onnx_of_any_size(content: onnx.ModelProto, height: int, width: int) -> onnx.ModelProto:
    """An ONNX model of images [B, height, width, 3] for pictures [B, H, W, 3]."""
    import onnx  # noqa: PLC0415
    from onnx import TensorProto, helper, numpy_helper, version_converter  # noqa: PLC0415

    content = version_converter.convert_version(content, OPSET)
    graph = content.graph
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = {INPUT: "resized", OUTPUT: "network_disparity"}.get(name, name)

    def constant(name: str, *values: int) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, np.int64), name)

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], **attributes)

    linear = {"mode": "linear", "axes": [2, 3], "coordinate_transformation_mode": "half_pixel"}
    before = [
        node("Cast", [INPUT], "pixels", to=TensorProto.FLOAT),
        node("Transpose", ["pixels"], "planes", perm=[0, 3, 1, 2]),
        node("Resize", ["planes", "", "", "network_size"], "small", antialias=1, **linear),
        node("Round", ["small"], "rounded"),
        node("Cast", ["rounded"], "small_pixels", to=TensorProto.UINT8),
        node("Transpose", ["small_pixels"], "resized", perm=[0, 2, 3, 1]),
    ]
    after = [
        node("Shape", [INPUT], "shape"),
        node("Slice", ["shape", "one", "three"], "picture_size"),
        node("Unsqueeze", ["network_disparity", "one"], "disparity_plane"),
        node("Resize", ["disparity_plane", "", "", "picture_size"], "large_plane", **linear),
        node("Squeeze", ["large_plane", "one"], OUTPUT),
    ]
    constants = [
        constant("network_size", height, width),
        constant("one", 1),
        constant("three", 3),
    ]
    shape = ["batch", "height", "width"]
    whole = helper.make_graph(
        [*before, *graph.node, *after],
        "depth",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [*shape, 3])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)],
        [*graph.initializer, *constants],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    result = helper.make_model(whole, opset_imports=opsets, ir_version=content.ir_version)
    onnx.checker.check_model(result)
    return result


def openvino_of_any_size(model: openvino.Model, height: int, width: int) -> openvino.Model:
    """An OpenVINO model of images [B, height, width, 3] for pictures [B, H, W, 3]."""
    import openvino  # noqa: PLC0415
    from openvino import opset15 as ops  # noqa: PLC0415

    def whole(*values: int) -> openvino.Node:
        return ops.constant(np.array(values, np.int64))

    def resize(planes: openvino.Node, size: openvino.Node, mode: str) -> openvino.Node:
        return ops.interpolate(
            planes,
            size,
            mode=mode,
            shape_calculation_mode="sizes",
            coordinate_transformation_mode="half_pixel",
            axes=whole(2, 3),
        )

    picture = ops.parameter([-1, -1, -1, 3], np.uint8, name=INPUT)
    planes = ops.transpose(ops.convert(picture, "f32"), whole(0, 3, 1, 2))
    small = ops.round(resize(planes, whole(height, width), "bilinear_pillow"), "half_to_even")
    pixels = ops.transpose(ops.convert(small, "u8"), whole(0, 2, 3, 1))
    old = model.get_parameters()[0]
    for target in list(old.output(0).get_target_inputs()):
        target.replace_source_output(pixels.output(0))
    disparity = model.get_results()[0].input_value(0)
    size = ops.gather(ops.shape_of(picture), whole(1, 2), whole(0))
    plane = ops.unsqueeze(disparity, whole(1))
    large = ops.squeeze(resize(plane, size, "linear_onnx"), whole(1))
    result = ops.result(large)
    result.output(0).set_names({OUTPUT})
    picture.output(0).set_names({INPUT})
    return openvino.Model([result], [picture], "depth")
