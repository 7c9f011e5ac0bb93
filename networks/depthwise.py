"""Depthwise convolution of small maps as one product per channel, for training on CPUs.

Paddle's own takes 20 times as long where a map has few pixels and many channels.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import paddle
from paddle import Tensor

MOST_PIXELS = 64  # of a map; the product grows with their square


@lru_cache(maxsize=64)
def reach(
    height: int, width: int, kernel: int, stride: int, before: int, after: int
) -> tuple[np.ndarray, int, int]:
    """Which weight leads from which input pixel to which output pixel.

    Args:
        height: of the input.
        width: likewise.
        kernel: side.
        stride: in pixels.
        before: padding at the top and on the left.
        after: at the bottom and on the right.

    Returns:
        0 or 1, [kernel^2, input pixels x output pixels], and the height and width of the output.
    """
    out_height, out_width = (
        (side + before + after - kernel) // stride + 1 for side in (height, width)
    )
    table = np.zeros((kernel, kernel, height, width, out_height, out_width), np.float32)
    for row, column, i, j in np.ndindex(kernel, kernel, out_height, out_width):
        y, x = i * stride - before + row, j * stride - before + column
        if 0 <= y < height and 0 <= x < width:
            table[row, column, y, x, i, j] = 1
    return table.reshape(kernel * kernel, -1), out_height, out_width


def depthwise_product(x: Tensor, weight: Tensor, stride: int, before: int, after: int) -> Tensor:
    """The depthwise convolution of maps [B, C, h, w] with ``weight`` [C, 1, k, k].

    Returns:
        [B, C, h', w'].
    """
    channels, height, width = x.shape[1:]
    kernel = weight.shape[2]
    table, out_height, out_width = reach(height, width, kernel, stride, before, after)
    per_channel = paddle.matmul(weight.reshape([channels, -1]), paddle.to_tensor(table))
    per_channel = per_channel.reshape([channels, height * width, out_height * out_width])
    y = paddle.matmul(x.flatten(2).transpose([1, 0, 2]), per_channel)
    return y.transpose([1, 0, 2]).reshape([-1, channels, out_height, out_width])


def is_faster(x: Tensor) -> bool:
    """Whether :func:`depthwise_product` is, for maps [B, C, h, w] in training."""
    height, width = x.shape[2:]
    return 0 < height * width <= MOST_PIXELS and paddle.device.get_device() == "cpu"
