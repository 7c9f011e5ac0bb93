"""Gradients of the weights of wide depthwise convolutions, a few columns of the kernel at a time.

For kernels wider than :data:`WIDEST` oneDNN writes out every window of the maps to add up these
gradients, which takes ten times as long as the convolution itself.
"""

from __future__ import annotations

from typing import Any

import paddle
from paddle.base.framework import _dygraph_guard
from paddle.nn import functional as F

WIDEST = 3  # columns that oneDNN has a kernel for
OPERATION = "pd_op.depthwise_conv2d_grad"


def narrow_weight_gradients(program: Any) -> int:
    """Compute these gradients in parts in a program of gradients; for how many convolutions."""
    found = [op for op in program.global_block().ops if _is_wide(op)]
    with _dygraph_guard(None):  # operations are added to programs, not run
        for op in found:
            paddle.base.libpaddle.pir.set_insertion_point(op)
            _, of_weights = op.results()
            of_weights.replace_all_uses_with(_in_parts(op))
            _leave_out(of_weights)
    return len(found)


def _is_wide(op: Any) -> bool:
    if op.name() != OPERATION or op.result(1).use_empty():
        return False
    shape, (_, weights, _) = op.attrs(), op.operands_source()
    steps = [*shape["strides"], *shape["dilations"]]
    return weights.shape[3] > WIDEST and steps == [1, 1, 1, 1] and len(shape["paddings"]) == 2


def _in_parts(op: Any) -> Any:
    """The gradient [C, 1, h, w] of the weights of a convolution of step 1."""
    maps, weights, gradient = op.operands_source()
    shape = op.attrs()
    (high, wide), (columns, width) = shape["paddings"], (weights.shape[3], gradient.shape[3])
    padded = F.pad(maps, [0, 0, 0, 0, high, high, wide, wide])
    parts = []
    for first in range(0, columns, WIDEST):
        last = min(first + WIDEST, columns)
        of_maps, part = paddle._C_ops.depthwise_conv2d_grad(
            paddle.slice(padded, [3], [first], [last + width - 1]),
            paddle.slice(weights, [3], [first], [last]),
            gradient,
            *([1, 1], [0, 0], "EXPLICIT", shape["groups"], [1, 1], shape["data_format"]),
        )
        _leave_out(of_maps)
        parts.append(part)
    return paddle.concat(parts, axis=3)


def _leave_out(result: Any) -> None:
    """Have a result of an operation that nothing uses not be computed."""
    result.set_type(paddle.base.libpaddle.pir.fake_value().type())
