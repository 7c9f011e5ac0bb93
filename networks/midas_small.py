"""MiDaS v2.1 small: relative inverse depth of any picture (Ranftl et al., TPAMI 2020).

An EfficientNet-Lite3 trunk (Tan and Le, ICML 2019, in its TensorFlow form) and a decoder that fuses
its four levels. Sublayers are named as in the published weights.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from networks.convolution import Conv2D
from networks.decoders import in_float32

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB in [0, 1]
EPSILON = 1e-3
EXPANSION = 6
STEM = 32
FEATURES = 64
# Equal blocks one after the other, of which the first one changes channels and size: channels,
# number of blocks, kernel, stride.
STAGES = (
    (24, 1, 3, 1),
    (32, 3, 3, 2),
    (48, 3, 5, 2),
    (96, 5, 3, 2),
    (136, 5, 5, 1),
    (232, 6, 5, 2),
    (384, 1, 3, 1),
)
TAPPED = (1, 2, 4, 6)  # stages whose output the decoder takes, at strides 4, 8, 16, 32
MOST_PIXELS = 64  # of a map convolved as a product, which grows with their square


@lru_cache(maxsize=64)
def reach(
    height: int, width: int, kernel: int, stride: int, before: int, after: int
) -> tuple[np.ndarray, int, int]:
    """Which weight leads from which input pixel to which output pixel.

    Args:
        height, width: of the input.
        kernel: side.
        stride: in pixels.
        before, after: padding at the top and on the left, at the bottom and on the right.

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
    """The depthwise convolution of maps [B, C, h, w] with ``weight`` [C, 1, k, k]: [B, C, h', w'].

    As one product per channel, for training on CPUs: Paddle's own takes 20 times as long where a
    map has few pixels and many channels.
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


class SameConv(nn.Conv2D):
    """Convolution without bias, padded as TensorFlow's SAME does for even sizes."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        before = (kernel - stride) // 2
        after = kernel - stride - before
        padding = [before, after, before, after] if before != after else before
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride,
            padding,
            groups=groups,
            bias_attr=False,
            weight_attr=nn.initializer.KaimingNormal(),
        )
        self.strided = (stride, before, after)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, h, w] to [B, out, h / stride, w / stride]."""
        if self.training and self._groups > 1 and is_faster(x):
            return depthwise_product(x, self.weight, *self.strided)
        return nn.Conv2D.forward(self, x)  # by name: Paddle 2.6 cannot compile super()


def norm(channels: int) -> nn.BatchNorm2D:
    """Batch normalisation as the trunk has it; Paddle's momentum is one minus PyTorch's."""
    return nn.BatchNorm2D(channels, momentum=0.9, epsilon=EPSILON)


class SeparableBlock(nn.Layer):
    """Depthwise, then pointwise convolution, without an activation at the end."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = SameConv(in_channels, in_channels, kernel, stride, groups=in_channels)
        self.bn1 = norm(in_channels)
        self.conv_pw = SameConv(in_channels, out_channels, 1)
        self.bn2 = norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, h, w] to [B, out, h / stride, w / stride]."""
        return self.bn2(self.conv_pw(F.relu6(self.bn1(self.conv_dw(x)))))


class InvertedResidual(nn.Layer):
    """Pointwise to six times the channels, depthwise, pointwise back; added where shapes allow."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = EXPANSION * in_channels
        self.conv_pw = SameConv(in_channels, wide, 1)
        self.bn1 = norm(wide)
        self.conv_dw = SameConv(wide, wide, kernel, stride, groups=wide)
        self.bn2 = norm(wide)
        self.conv_pwl = SameConv(wide, out_channels, 1)
        self.bn3 = norm(out_channels)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, h, w] to [B, out, h / stride, w / stride]."""
        y = F.relu6(self.bn1(self.conv_pw(x)))
        y = F.relu6(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.residual else y


class Trunk(nn.Layer):
    """EfficientNet-Lite3 without its classifier: four levels of features."""

    def __init__(self) -> None:
        super().__init__()
        stages, channels = [], STEM
        for wider, repeats, kernel, stride in STAGES:
            kind = InvertedResidual if stages else SeparableBlock
            rest = [(wider, wider, kernel, 1)] * (repeats - 1)
            blocks = [(channels, wider, kernel, stride), *rest]
            stages.append(nn.Sequential(*(kind(*block) for block in blocks)))
            channels = wider
        stem = (SameConv(3, STEM, 3, 2), norm(STEM), nn.ReLU6())
        self.layer1 = nn.Sequential(*stem, *stages[:2])
        self.layer2 = nn.Sequential(stages[2])
        self.layer3 = nn.Sequential(*stages[3:5])
        self.layer4 = nn.Sequential(*stages[5:])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of 32, 48, 136, 384 channels at strides 4, 8, 16, 32."""
        features = []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features


class ResidualConvUnit(nn.Layer):
    """Two activated convolutions, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv2D(channels, channels, 3, padding=1)
        self.conv2 = Conv2D(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to the same shape."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


def double(x: Tensor, align_corners: bool) -> Tensor:
    """[B, C, h, w] enlarged bilinearly to [B, C, 2 h, 2 w]."""
    # By size: runtimes besides Paddle's own cannot read a factor. A graph has sizes as tensors.
    shape = x.shape if paddle.in_dynamic_mode() else paddle.shape(x)
    size = [2 * shape[2], 2 * shape[3]]
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


class FeatureFusion(nn.Layer):
    """Joins a level with what comes from below it, and doubles the size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.out_conv = Conv2D(in_channels, out_channels, 1)
        self.resConfUnit1 = ResidualConvUnit(in_channels)
        self.resConfUnit2 = ResidualConvUnit(in_channels)

    def forward(self, below: Tensor, level: Tensor | None = None) -> Tensor:
        """[B, in, h, w], and the level of that shape if there is one, to [B, out, 2 h, 2 w]."""
        x = below if level is None else below + self.resConfUnit1(level)
        x = self.resConfUnit2(x)
        # Published the other way round, which is the same with four times the pixels to convolve:
        # a pointwise convolution and an enlargement whose weights sum to 1 commute.
        return double(self.out_conv(x), align_corners=True)


class Double(nn.Layer):
    """:func:`double` as a layer, without aligned corners."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to [B, C, 2 h, 2 w]."""
        return double(x, align_corners=False)


class Fusion(nn.Layer):
    """The decoder: four levels to inverse depth."""

    def __init__(self) -> None:
        super().__init__()
        for number, stage in enumerate(TAPPED, start=1):
            wide = FEATURES * 2 ** (number - 1)
            narrow = FEATURES * 2 ** max(0, number - 2)
            reduce = Conv2D(STAGES[stage][0], wide, 3, padding=1, bias_attr=False)
            self.add_sublayer(f"layer{number}_rn", reduce)
            self.add_sublayer(f"refinenet{number}", FeatureFusion(wide, narrow))
        self.output_conv = nn.Sequential(
            Conv2D(FEATURES, FEATURES // 2, 3, padding=1),
            Double(),
            Conv2D(FEATURES // 2, 32, 3, padding=1),
            nn.ReLU(),
            Conv2D(32, 1, 1),
            nn.ReLU(),
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Inverse depth [B, h, w] of four levels of features."""
        levels = [getattr(self, f"layer{i}_rn")(level) for i, level in enumerate(features, 1)]
        x = self.refinenet4(levels[3])
        x = self.refinenet3(x, levels[2])
        x = self.refinenet2(x, levels[1])
        x = self.refinenet1(x, levels[0])
        *before, last, positive = self.output_conv
        for layer in before:
            x = layer(x)
        return positive(in_float32(last, x))[:, 0]


class MidasSmall(nn.Layer):
    """MiDaS v2.1 small: trunk ``pretrained`` and decoder ``scratch``."""

    def __init__(self) -> None:
        super().__init__()
        self.pretrained = Trunk()
        self.scratch = Fusion()
        # The lowest level has nothing below it to be joined with.
        for parameter in self.scratch.refinenet4.resConfUnit1.parameters():
            parameter.stop_gradient = True

    def start_from_random(self) -> None:
        """Change random weights so that all of the network learns from the first step.

        Residual branches start at 0 (Goyal et al., 2017, section 5.1), as the decoder has no
        normalisation to keep their sum in bounds. The last convolution sees what is not negative:
        its weights must not be either, as nothing is learnt behind a ReLU that gives 0.
        """
        for layer in self.sublayers():
            if isinstance(layer, ResidualConvUnit):
                layer.conv2.weight.set_value(paddle.zeros_like(layer.conv2.weight))
            elif isinstance(layer, InvertedResidual) and layer.residual:
                layer.bn3.weight.set_value(paddle.zeros_like(layer.bn3.weight))
        last = self.scratch.output_conv[-2].weight
        last.set_value(paddle.abs(last))

    def forward(self, images: Tensor) -> Tensor:
        """Relative inverse depth [B, h, w], near is large, of images [B, 3, h, w] in [0, 1].

        h and w are multiples of 32.
        """
        mean, deviation = (
            paddle.to_tensor(values).reshape([1, 3, 1, 1]) for values in (MEAN, DEVIATION)
        )
        return self.predict_normalised((images - mean) / deviation)

    def disparity_map(self, images: Tensor) -> Tensor:
        """As :meth:`forward`; every depth network has a method of this name."""
        return self(images)

    def predict_normalised(self, images: Tensor) -> Tensor:
        """The same of images that are normalised already."""
        return self.scratch(self.pretrained(images))
