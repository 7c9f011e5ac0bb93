"""The decoders: encoder features to disparity, a predictive mask or motion; and PoseCNN.

Their convolutions start as those of the published networks did.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import paddle
from paddle import ParamAttr, Tensor, nn
from paddle.nn import functional as F

from layers import reflection_pad, upsample_nearest
from networks.convolution import Conv2D
from system.paddle_versions import auto_cast

NUM_CHANNELS = (16, 32, 64, 128, 256)  # of the depth decoder's levels, finest first
# Motions start small, so that the first warps are near the identity.
MOTION_SCALE = 0.01
# Of PoseCNN: output channels and kernel size of each convolution, all of stride 2.
POSE_CNN_LAYERS = ((16, 7), (32, 5), (64, 3), (128, 3), (256, 3), (256, 3), (256, 3))


def conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, padding: int = 0
) -> Conv2D:
    """A convolution whose weights and biases start uniform within 1 / sqrt(fan in).

    That is PyTorch's default, under which the published results were trained; Paddle's own start
    is 2.4 times as wide.
    """
    bound = 1 / math.sqrt(in_channels * kernel_size * kernel_size)
    start = nn.initializer.Uniform(-bound, bound)
    return Conv2D(
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
        return self.conv(reflection_pad(x, portable=not self.training))


class ConvBlock(Conv3x3):
    """:class:`Conv3x3`, then ELU."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and activate ``x``."""
        return F.elu(Conv3x3.forward(self, x))  # by name: Paddle 2.6 cannot compile super()


def in_float32(layer: nn.Layer, x: Tensor) -> Tensor:
    """What a layer makes of ``x`` in float32, also where the network computes in half precision.

    For the last layer: a logit of 3 in bfloat16 is right to 1/128, which is 0.7 % of the depth.
    """
    half = x.dtype in (paddle.float16, paddle.bfloat16)
    with auto_cast(enable=False):
        return layer(x.astype("float32") if half else x)


def has_skip(level: int, features: Sequence[object]) -> bool:
    """Whether an encoder has a feature map at stride 2^level, the size of the decoder's level."""
    return level >= 1 and 6 - level <= len(features)


class DepthDecoder(nn.Layer):
    """U-Net decoder with skip connections (paper, section 4 and supplementary table 5).

    Args:
        encoder_channels: channels of the encoder's feature maps, finest first, down to stride 32:
            five, or four of an encoder that has none at stride 2.
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
            skip = encoder_channels[level - 6] if has_skip(level, encoder_channels) else 0
            channels = NUM_CHANNELS[level]
            self.add_sublayer(f"upconv_{level}_0", ConvBlock(below, channels))
            self.add_sublayer(f"upconv_{level}_1", ConvBlock(channels + skip, channels))
        for scale in self.scales:
            self.add_sublayer(f"output_{scale}", Conv3x3(NUM_CHANNELS[scale], num_outputs))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Sigmoid outputs [B, num_outputs, H / 2^s, W / 2^s], in the order of ``scales``.

        They are float32 in any precision.
        """
        outputs = {}
        x = features[-1]
        for level in range(4, -1, -1):
            x = getattr(self, f"upconv_{level}_0")(x)
            x = upsample_nearest(x, portable=not self.training)
            if has_skip(level, features):
                x = paddle.concat([x, features[level - 6]], axis=1)
            x = getattr(self, f"upconv_{level}_1")(x)
            if level in self.scales:
                outputs[level] = F.sigmoid(in_float32(getattr(self, f"output_{level}"), x))
        return [outputs[scale] for scale in self.scales]

    def start_outputs_at(self, value: float) -> None:
        """Set the output biases so that training starts near ``value``, within (0, 1)."""
        for scale in self.scales:
            bias = getattr(self, f"output_{scale}").conv.bias
            bias.set_value(paddle.full_like(bias, math.log(value / (1 - value))))


class PoseDecoder(nn.Layer):
    """Axis-angle and translation from the last feature maps (paper, section 4).

    Args:
        encoder_channels: channels of the encoder's feature maps.
        num_feature_sets: feature sets read side by side: 1 from a pose encoder that saw the
            stacked frames, the number of frames with the shared encoder.
        num_motions: motions predicted.
    """

    def __init__(
        self, encoder_channels: Sequence[int], num_feature_sets: int, num_motions: int
    ) -> None:
        super().__init__()
        self.num_motions = num_motions
        self.squeeze = conv(encoder_channels[-1], 256, 1)
        self.pose_0 = conv(num_feature_sets * 256, 256, 3, padding=1)
        self.pose_1 = conv(256, 256, 3, padding=1)
        self.pose_2 = conv(256, 6 * num_motions, 1)

    def forward(self, feature_sets: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor]:
        """Axis-angle (radians) and translation (model units), each [B, num_motions, 3]."""
        squeezed = [F.relu(self.squeeze(features[-1])) for features in feature_sets]
        x = F.relu(self.pose_0(paddle.concat(squeezed, axis=1)))
        x = F.relu(self.pose_1(x))
        return motions_from_map(in_float32(self.pose_2, x), self.num_motions)


class PoseCNN(nn.Layer):
    """The pose network of Zhou et al. (CVPR 2017), an alternative to the ResNet one.

    Args:
        num_images: images stacked along the channels.
    """

    def __init__(self, num_images: int) -> None:
        super().__init__()
        self.num_motions = num_images - 1
        channels = 3 * num_images
        for index, (out_channels, kernel) in enumerate(POSE_CNN_LAYERS):
            layer = conv(channels, out_channels, kernel, stride=2, padding=kernel // 2)
            self.add_sublayer(f"conv_{index}", layer)
            channels = out_channels
        self.pose_conv = conv(channels, 6 * self.num_motions, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Axis-angle and translation [B, num_images - 1, 3] of images [B, 3 * num_images, H, W]."""
        x = images
        for index in range(len(POSE_CNN_LAYERS)):
            x = F.relu(getattr(self, f"conv_{index}")(x))
        return motions_from_map(in_float32(self.pose_conv, x), self.num_motions)


def motions_from_map(x: Tensor, num_motions: int) -> tuple[Tensor, Tensor]:
    """Average a map [B, 6 * num_motions, h, w] into axis-angle and translation [B, n, 3]."""
    motions = MOTION_SCALE * x.mean(axis=[2, 3]).reshape([-1, num_motions, 6])
    return motions[:, :, :3], motions[:, :, 3:]
