"""The convolutions that the decoders are made of, started as the published networks were."""

from __future__ import annotations

import math

from paddle import ParamAttr, Tensor, nn
from paddle.nn import functional as F

from layers import reflection_pad


def conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0
) -> nn.Conv2D:
    """A convolution whose weights and biases start uniform within 1 / sqrt(fan in).

    That is PyTorch's default, under which the published results were trained; Paddle's own start
    is 2.4 times as wide.
    """
    bound = 1 / math.sqrt(in_channels * kernel_size * kernel_size)
    start = nn.initializer.Uniform(-bound, bound)
    return nn.Conv2D(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=padding,
        weight_attr=ParamAttr(initializer=start),
        bias_attr=ParamAttr(initializer=start),
    )


class Conv3x3(nn.Layer):
    """3x3 convolution over mirrored borders: [B, in, H, W] to [B, out, H, W]."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = conv(in_channels, out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x``."""
        return self.conv(reflection_pad(x))


class ConvBlock(Conv3x3):
    """:class:`Conv3x3`, then ELU."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and activate ``x``."""
        return F.elu(super().forward(x))
