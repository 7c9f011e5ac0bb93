"""MiDaS v2.1 small: relative inverse depth of any picture (Ranftl et al., TPAMI 2020).

An EfficientNet-Lite3 trunk (Tan and Le, ICML 2019, in its TensorFlow form) and a decoder that fuses
its four levels. Sublayers are named as in the published weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from networks.depthwise import depthwise_product, is_faster

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, RGB in [0, 1]
SIDE = 256  # longest side that it was trained on
MULTIPLE = 32
EPSILON = 1e-3
EXPANSION = 6
STEM = 32
FEATURES = 64


@dataclass(frozen=True)
class Stage:
    """Equal blocks one after the other; the first one changes the number of channels."""

    channels: int
    repeats: int
    kernel: int
    stride: int


STAGES = (
    Stage(24, 1, 3, 1),
    Stage(32, 3, 3, 2),
    Stage(48, 3, 5, 2),
    Stage(96, 5, 3, 2),
    Stage(136, 5, 5, 1),
    Stage(232, 6, 5, 2),
    Stage(384, 1, 3, 1),
)
TAPPED = (1, 2, 4, 6)  # stages whose output the decoder takes, at strides 4, 8, 16, 32


def input_size(width: int, height: int, side: int = SIDE) -> tuple[int, int]:
    """The size (width, height) that a picture is resized to: multiples of 32 up to ``side``.

    The aspect ratio is kept as far as that goes, by the published rule; a side that it would
    round to 0 becomes 32.
    """
    scale = min(side / width, side / height)

    def fit(length: int) -> int:
        fitted = int(np.round(scale * length / MULTIPLE)) * MULTIPLE
        if fitted > side:
            fitted = int(np.floor(scale * length / MULTIPLE)) * MULTIPLE
        return max(MULTIPLE, fitted)

    return fit(width), fit(height)


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
        return super().forward(x)


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
        for index, stage in enumerate(STAGES):
            kind = SeparableBlock if index == 0 else InvertedResidual
            blocks = []
            for repeat in range(stage.repeats):
                stride = stage.stride if repeat == 0 else 1
                blocks.append(kind(channels, stage.channels, stage.kernel, stride))
                channels = stage.channels
            stages.append(nn.Sequential(*blocks))
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
        self.conv1 = nn.Conv2D(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2D(channels, channels, 3, padding=1)

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
        self.out_conv = nn.Conv2D(in_channels, out_channels, 1)
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
            reduce = nn.Conv2D(STAGES[stage].channels, wide, 3, padding=1, bias_attr=False)
            self.add_sublayer(f"layer{number}_rn", reduce)
            self.add_sublayer(f"refinenet{number}", FeatureFusion(wide, narrow))
        self.output_conv = nn.Sequential(
            nn.Conv2D(FEATURES, FEATURES // 2, 3, padding=1),
            Double(),
            nn.Conv2D(FEATURES // 2, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2D(32, 1, 1),
            nn.ReLU(),
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Inverse depth [B, h, w] of four levels of features."""
        one, two, three, four = (
            getattr(self, f"layer{number}_rn")(level) for number, level in enumerate(features, 1)
        )
        x = self.refinenet4(four)
        x = self.refinenet3(x, three)
        x = self.refinenet2(x, two)
        x = self.refinenet1(x, one)
        return self.output_conv(x)[:, 0]


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
