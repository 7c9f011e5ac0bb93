"""An ONNX model in half precision, but for its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prediction.graph import INPUT, drop_unused

if TYPE_CHECKING:
    import onnx  # an extra


def in_half(content: onnx.ModelProto) -> onnx.ModelProto:
    """A depth network computed in float16 up to its last convolution.

    That one and what follows stay in float32, as in :func:`networks.decoders.in_float32`. The
    conversion alone rounds between any two nodes, also between such as it is told to leave.
    """
    from onnx import TensorProto, helper  # noqa: PLC0415 - extras
    from onnxruntime.transformers.float16 import convert_float_to_float16  # noqa: PLC0415

    _leave_out_empty_inputs(content)
    graph = content.graph
    end, seam = end_of(graph)
    read = {name for node in end for name in node.input}
    weights = [each for each in graph.initializer if each.name in read]
    outputs = list(graph.output)
    for node in end:
        graph.node.remove(node)
    for each in weights:
        graph.initializer.remove(each)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(seam, TensorProto.FLOAT, None))
    content = convert_float_to_float16(content, keep_io_types=True)
    content.graph.node.extend(end)
    content.graph.initializer.extend(weights)
    del content.graph.output[:]
    content.graph.output.extend(outputs)
    return content


def end_of(graph: onnx.GraphProto) -> tuple[Sequence[onnx.NodeProto], str]:
    """The last convolution and what leads from it to the output, and the name of its input.

    Raises:
        ValueError: the output comes from the input by another way too.
    """
    maker = {name: node for node in graph.node for name in node.output}
    found, seam, names = [], None, [graph.output[0].name]
    while names:
        name = names.pop()
        if name == INPUT:
            raise ValueError("the graph does not end in one convolution")
        node = maker.get(name)
        if node is None or node in found:
            continue
        found.append(node)
        if node.op_type == "Conv" and seam is None:
            seam = node.input[0]
            names += node.input[1:]
        else:
            names += node.input
    if seam is None:
        raise ValueError("the graph does not end in a convolution")
    return [node for node in graph.node if node in found], seam


def _leave_out_empty_inputs(content: onnx.ModelProto) -> None:
    """Name no input where a Resize is given an empty one.

    The conversion would have it computed, which runtimes refuse.
    """
    graph = content.graph
    empty = {
        node.output[0]
        for node in graph.node
        if node.op_type == "Constant" and 0 in node.attribute[0].t.dims
    }
    for node in graph.node:
        if node.op_type == "Resize":
            node.input[:] = ["" if name in empty else name for name in node.input]
    drop_unused(graph)
