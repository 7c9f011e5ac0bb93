"""ConvNeXt image encoder (Liu et al., CVPR 2022), with torchvision's names of parameters."""

from __future__ import annotations

import paddle
from paddle import ParamAttr, Tensor, nn
from paddle.nn import functional as F

from layers import add_bias
from networks.convolution import Conv2D
from networks.linear import Linear
from networks.midas_small import DEVIATION, MEAN

EPSILON = 1e-6
LAYER_SCALE = 1e-6  # of what a block adds, at the start
DEVIATION_OF_WEIGHTS = 0.02
# Blocks and channels of the four stages.
VARIANTS = {
    "convnext_tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "convnext_small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "convnext_base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
}


def start() -> ParamAttr:
    """How weights start, as published: truncated normal of deviation 0.02."""
    return ParamAttr(initializer=nn.initializer.TruncatedNormal(std=DEVIATION_OF_WEIGHTS))


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of maps [B, C, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, epsilon=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to the same shape."""
        # The class by name: Paddle 2.6 cannot compile super().
        return nn.LayerNorm.forward(self, x.transpose([0, 2, 3, 1])).transpose([0, 3, 1, 2])


class Gelu(nn.Layer):
    """x times the normal distribution up to x, by the error function."""

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape."""
        return F.gelu(x)


class Block(nn.Layer):
    """Depthwise 7x7 convolution and two linear layers per pixel, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        depthwise = Conv2D(channels, channels, 7, padding=3, groups=channels, weight_attr=start())
        wide = Linear(channels, 4 * channels, start())
        back = Linear(4 * channels, channels, start())
        # The places of the two changes of layout count in torchvision's names.
        norm = nn.LayerNorm(channels, epsilon=EPSILON)
        self.block = nn.LayerList([depthwise, nn.Identity(), norm, wide, Gelu(), back])
        self.layer_scale = self.create_parameter(
            [channels, 1, 1], default_initializer=nn.initializer.Constant(LAYER_SCALE)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to the same shape."""
        y, back = self.block[0](x).transpose([0, 2, 3, 1]), self.block[5]
        for layer in self.block[2:5]:
            y = layer(y)
        if not self.training:  # exported graphs keep the plain sum and product
            return x + back(y).transpose([0, 3, 1, 2]) * self.layer_scale
        # The last bias and the scale in one pass. A reshape for each: compiled by Paddle 2.6, one
        # for both loses a gradient.
        maps = paddle.matmul(y, back.weight, transpose_y=True).transpose([0, 3, 1, 2])
        factors, of_bias = (self.layer_scale.reshape([-1]) for _ in range(2))
        return x + add_bias(maps, back.bias * of_bias, factors)


class ConvNextEncoder(nn.Layer):
    """ConvNeXt features at strides 4, 8, 16 and 32.

    Args:
        variant: of :data:`VARIANTS`.
    """

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant = variant
        depths, self.num_channels = VARIANTS[variant]
        before = 3
        layers: list[nn.Layer] = []
        for depth, channels in zip(depths, self.num_channels):
            side = 2 if layers else 4
            smaller = Conv2D(before, channels, side, stride=side, weight_attr=start())
            norm = ChannelNorm(before if layers else channels)
            layers.append(nn.Sequential(*((norm, smaller) if layers else (smaller, norm))))
            layers.append(nn.Sequential(*(Block(channels) for _ in range(depth))))
            before = channels
        self.features = nn.LayerList(layers)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Four feature maps, finest first, of images [B, 3, H, W] in [0, 1]."""
        mean, deviation = (
            paddle.to_tensor(values).reshape([1, 3, 1, 1]) for values in (MEAN, DEVIATION)
        )
        if self.training:
            x = add_bias(images, (-mean / deviation).flatten(), (1 / deviation).flatten())
        else:
            x = (images - mean) / deviation
        maps = []
        for smaller, stage in zip(self.features[::2], self.features[1::2]):
            x = stage(smaller(x))
            maps.append(x)
        return maps
