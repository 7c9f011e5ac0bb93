"""Decoder from encoder features to disparity, or to a predictive mask, at several scales."""

from __future__ import annotations

import math
from collections.abc import Sequence

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from layers import upsample_nearest
from networks.convolution import Conv3x3, ConvBlock

NUM_CHANNELS = (16, 32, 64, 128, 256)


class DepthDecoder(nn.Layer):
    """U-Net decoder with skip connections (paper, section 4 and supplementary table 5).

    Args:
        encoder_channels: channels of the encoder's five feature maps, finest first.
        scales: scales with an output; scale s has 1 / 2^s of the input's height and width.
        num_outputs: output channels: 1 for disparity, one per source for a predictive mask.
    """

    def __init__(
        self, encoder_channels: Sequence[int], scales: Sequence[int], num_outputs: int = 1
    ) -> None:
        super().__init__()
        self.scales = tuple(scales)
        for level in range(4, -1, -1):
            below = encoder_channels[-1] if level == 4 else NUM_CHANNELS[level + 1]
            skip = encoder_channels[level - 1] if level > 0 else 0
            channels = NUM_CHANNELS[level]
            self.add_sublayer(f"upconv_{level}_0", ConvBlock(below, channels))
            self.add_sublayer(f"upconv_{level}_1", ConvBlock(channels + skip, channels))
        for scale in self.scales:
            self.add_sublayer(f"output_{scale}", Conv3x3(NUM_CHANNELS[scale], num_outputs))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Sigmoid outputs [B, num_outputs, H / 2^s, W / 2^s], in the order of ``scales``."""
        outputs = {}
        x = features[-1]
        for level in range(4, -1, -1):
            x = upsample_nearest(getattr(self, f"upconv_{level}_0")(x))
            if level > 0:
                x = paddle.concat([x, features[level - 1]], axis=1)
            x = getattr(self, f"upconv_{level}_1")(x)
            if level in self.scales:
                outputs[level] = F.sigmoid(getattr(self, f"output_{level}")(x))
        return [outputs[scale] for scale in self.scales]

    def start_outputs_at(self, value: float) -> None:
        """Set the output biases so that training starts near ``value``, within (0, 1)."""
        for scale in self.scales:
            bias = getattr(self, f"output_{scale}").conv.bias
            bias.set_value(paddle.full_like(bias, math.log(value / (1 - value))))
