"""Gradients that take less time otherwise, in compiled programs on CPUs.

Paddle copies the gradient of a sum for each of its parts, and its gradients of layer normalisation
take ten times as long as the normalisation itself.
"""

from __future__ import annotations

import math
from typing import Any

import paddle
from paddle.base.framework import _dygraph_guard

SUM, LAYER_NORM = "pd_op.add_grad", "pd_op.layer_norm_grad"
READS_ONLY = "pd_op.matmul_grad"  # never writes its result over what it is given


def share_gradients_of_sums(program: Any) -> int:
    """Have parts of sums take over the sum's gradient in a program of gradients; of how many sums.

    Not a number changes: where both parts are of the sum's shape, their gradients are copies of its
    own. Only where both are products of matrices: other operations may later be told to write their
    result over what they are given.
    """
    block = program.global_block()
    found = [op for op in block.ops if op.name() == SUM and _is_of_products(op)]
    for op in found:
        gradient = op.operands_source()[-1]
        for result in op.results():
            result.replace_all_uses_with(gradient)
        block.remove_op(op)
    return len(found)


def _is_of_products(op: Any) -> bool:
    given = op.operands_source()
    if len(given) != 3 or not all(value.initialized() for value in given):
        return False
    shapes = [value.shape for value in given]
    alike = -1 not in shapes[0] and shapes.count(shapes[0]) == 3
    readers = {user.name() for result in op.results() for user in result.all_used_ops()}
    return alike and given[-1].has_one_use() and readers == {READS_ONLY}


def normalise_rows_as_batches(program: Any) -> int:
    """Compute gradients of layer normalisation over the last axis by products and those of batch
    normalisation, to which each row is a channel; in a program of gradients, of how many.
    """
    block = program.global_block()
    found = [op for op in block.ops if op.name() == LAYER_NORM and _is_of_rows(op)]
    with _dygraph_guard(None):  # operations are added to programs, not run
        for op in found:
            paddle.base.libpaddle.pir.set_insertion_point(op)
            for result, gradient in zip(op.results(), _gradients_of_rows(op)):
                result.replace_all_uses_with(gradient)
            block.remove_op(op)
    return len(found)


def _is_of_rows(op: Any) -> bool:
    given = op.operands_source()
    if not all(value.initialized() for value in given):
        return False
    if any(result.use_empty() for result in op.results()):  # where a part is frozen
        return False
    shape = given[0].shape
    return -1 not in shape and op.attrs()["begin_norm_axis"] == len(shape) - 1


def _gradients_of_rows(op: Any) -> list[Any]:
    """By x [..., C], the scale [C] and the bias [C] of a layer normalisation.

    With g the gradient of its output, m the mean and d the deviation of each row, that of the bias
    is the sum of g over rows, that of the scale the sum of (g x - m g) / d.
    """
    x, scale, _, mean, variance, gradient = op.operands_source()
    shape, columns = x.shape, x.shape[-1]
    count, epsilon = math.prod(shape[:-1]), op.attrs()["epsilon"]
    x, gradient = (each.reshape([1, count, columns, 1]) for each in (x, gradient))
    mean, variance = (each.reshape([count]) for each in (mean, variance))
    inverse, ones = paddle.rsqrt(variance + epsilon), paddle.ones([count], x.dtype)
    # A product with a column of ones, which is faster than broadcasting.
    scales = paddle.matmul(ones.unsqueeze(1), scale.unsqueeze(0)).reshape(x.shape)
    of_x, *_ = paddle._C_ops.batch_norm_grad(
        *(x, ones, ones, mean, variance, mean, inverse, None, gradient * scales),
        *(0.9, epsilon, "NCHW", False, False, False),
    )
    product, gradient = (each.reshape([count, columns]) for each in (gradient * x, gradient))
    of_scale = paddle.matmul(inverse.unsqueeze(0), product)
    of_scale -= paddle.matmul((inverse * mean).unsqueeze(0), gradient)
    of_bias = paddle.matmul(ones.unsqueeze(0), gradient)
    return [of_x.reshape(shape), of_scale.reshape([columns]), of_bias.reshape([columns])]
