"""Depth Anything V2: relative inverse depth of any picture (Yang et al., NeurIPS 2024).

A vision transformer (DINOv2, Oquab et al., TMLR 2024) and a decoder that fuses the outputs of four
of its blocks (DPT, Ranftl et al., ICCV 2021). Sublayers are named as in the published weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from networks.convolution import Conv2D
from networks.decoders import in_float32
from networks.linear import Linear
from networks.midas_small import DEVIATION, MEAN, ResidualConvUnit

PATCH = 14  # side of a patch, pixels
SIDE = 518  # shorter side that it was trained on
GRID = SIDE // PATCH  # patches on a side whose positions were learnt
EPSILON = 1e-6
CUBIC = -0.75  # the free parameter of the bicubic kernel that positions are resized by
OFFSET = 0.1  # of patches in the factor that positions are resized by, as published
NEAREST = 1e-4  # depth as a share of the farthest
Side = Union[int, Tensor]  # of a map; a tensor in a graph for any size


@dataclass(frozen=True)
class Variant:
    """What decides the shape of every parameter.

    Attributes:
        width: channels of the transformer.
        blocks: of the transformer.
        heads: of its attention.
        taps: blocks whose output the decoder takes, from 0.
        features: channels of the decoder's fusion.
        levels: channels of the four levels before it.
    """

    width: int
    blocks: int
    heads: int
    taps: tuple[int, int, int, int]
    features: int
    levels: tuple[int, int, int, int]


VARIANTS = {
    "small": Variant(384, 12, 6, (2, 5, 8, 11), 64, (48, 96, 192, 384)),
    "base": Variant(768, 12, 12, (2, 5, 8, 11), 128, (96, 192, 384, 768)),
    "large": Variant(1024, 24, 16, (4, 11, 17, 23), 256, (256, 512, 1024, 1024)),
}


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Means of values, weighted by how well keys fit queries.

    Args:
        q: queries [B, heads, N, depth], times the scale of their products.
        k: keys, likewise.
        v: values, likewise.

    Returns:
        [B, N, heads, depth].
    """
    weights = F.softmax(paddle.matmul(q, k, transpose_y=True), axis=-1)
    return paddle.matmul(weights, v).transpose([0, 2, 1, 3])


class Attention(nn.Layer):
    """Every token attends to all others, in several heads (Vaswani et al., 2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.depth = heads, width // heads
        self.qkv = Linear(width, 3 * width)
        self.proj = Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] to the same shape."""
        parts = self.qkv(x).reshape([0, -1, 3, self.heads, self.depth]).transpose([2, 0, 3, 1, 4])
        q, k, v = parts[0], parts[1], parts[2]  # each [B, heads, N, depth]
        together = attend(q * self.depth**-0.5, k, v)
        return self.proj(together.reshape([0, -1, self.heads * self.depth]))


class Mlp(nn.Layer):
    """Two linear layers with a GELU between them, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, 4 * width)
        self.fc2 = Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] to the same shape."""
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Layer):
    """A learnt factor per channel (Touvron et al., ICCV 2021)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = self.create_parameter(
            [width], default_initializer=nn.initializer.Constant(1.0)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] to the same shape."""
        return x * self.gamma


class Block(nn.Layer):
    """Attention and a small network per token, each added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, epsilon=EPSILON)
        self.attn = Attention(width, heads)
        self.ls1 = LayerScale(width)
        self.norm2 = nn.LayerNorm(width, epsilon=EPSILON)
        self.mlp = Mlp(width)
        self.ls2 = LayerScale(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] to the same shape."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


def cubic_kernel(distance: Tensor) -> Tensor:
    """The bicubic kernel (Keys, 1981) at distances in samples."""
    x = distance.abs()
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = CUBIC * (((x - 5) * x + 8) * x - 4)
    return paddle.where(x <= 1, near, paddle.where(x < 2, far, paddle.zeros_like(x)))


def resizing_weights(count: Side, step: Tensor | float) -> Tensor:
    """What each of ``count`` samples takes of :data:`GRID` ones, ``step`` apart: [count, GRID].

    Samples beyond the border are those at the border.
    """
    centres = (paddle.arange(count).astype("float32") + 0.5) * step - 0.5
    taps = np.arange(-2, GRID + 2)
    border = np.zeros((len(taps), GRID), np.float32)
    border[np.arange(len(taps)), taps.clip(0, GRID - 1)] = 1
    distances = centres.unsqueeze(1) - paddle.to_tensor(taps.astype(np.float32)).unsqueeze(0)
    return paddle.matmul(cubic_kernel(distances), paddle.to_tensor(border))


class PatchEmbed(nn.Layer):
    """Patches of an image, each as one token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = Conv2D(3, width, PATCH, stride=PATCH)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, h, w] to [B, C, h / 14, w / 14]."""
        return self.proj(images)


class VisionTransformer(nn.Layer):
    """DINOv2's transformer over patches of 14x14 pixels."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        width, self.taps = variant.width, variant.taps
        small = nn.initializer.TruncatedNormal(std=0.02)
        zero = nn.initializer.Constant(0.0)
        self.cls_token = self.create_parameter([1, 1, width], default_initializer=small)
        self.pos_embed = self.create_parameter(
            [1, 1 + GRID * GRID, width], default_initializer=small
        )
        # Of the training without labels; nothing here reads it, files have it.
        self.mask_token = self.create_parameter([1, width], default_initializer=zero)
        self.mask_token.stop_gradient = True
        self.patch_embed = PatchEmbed(width)
        self.blocks = nn.LayerList([Block(width, variant.heads) for _ in range(variant.blocks)])
        self.norm = nn.LayerNorm(width, epsilon=EPSILON)

    def positions(self, rows: Side, columns: Side) -> Tensor:
        """What tells patches of a grid where they are [1, rows * columns, C].

        As published: resized bicubically where the grid is not the one that was learnt.
        """
        learnt = self.pos_embed[:, 1:].reshape([GRID, GRID, -1])
        down, across = (GRID / (side + OFFSET) for side in (rows, columns))
        if paddle.in_dynamic_mode():
            as_learnt = rows == GRID and columns == GRID
            down, across = (1.0, 1.0) if as_learnt else (down, across)
        else:
            as_learnt = paddle.logical_and(rows == GRID, columns == GRID)
            one = paddle.ones_like(down)
            down, across = (paddle.where(as_learnt, one, step) for step in (down, across))
        resized = paddle.matmul(resizing_weights(rows, down), learnt.reshape([GRID, -1]))
        resized = resized.reshape([-1, GRID, learnt.shape[-1]])  # [rows, GRID, C]
        resized = paddle.matmul(resizing_weights(columns, across), resized)
        return resized.reshape([1, -1, learnt.shape[-1]])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Tokens [B, 1 + patches, C], the class first, of normalised images after each tap."""
        patches = self.patch_embed(images)
        shape = sides(patches)
        x = patches.flatten(2).transpose([0, 2, 1]) + self.positions(*shape)
        start = self.cls_token + self.pos_embed[:, :1]
        x = paddle.concat([start.expand([patches.shape[0], -1, -1]), x], axis=1)
        outputs = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                outputs.append(self.norm(x))
        return outputs


def sides(maps: Tensor) -> tuple[Side, Side]:
    """Height and width of maps [B, C, h, w]; in a graph, which is for any size, tensors."""
    shape = maps.shape if paddle.in_dynamic_mode() else paddle.shape(maps)
    return shape[2], shape[3]


def enlarge(x: Tensor, height: Side, width: Side) -> Tensor:
    """Maps [B, C, h, w] bilinearly to another size, corners on corners."""
    return F.interpolate(x, size=[height, width], mode="bilinear", align_corners=True)


class Fusion(nn.Layer):
    """Joins a level with what comes from below it, in another size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out_conv = Conv2D(channels, channels, 1)
        self.resConfUnit1 = ResidualConvUnit(channels)
        self.resConfUnit2 = ResidualConvUnit(channels)

    def forward(self, below: Tensor, level: Tensor | None, height: Side, width: Side) -> Tensor:
        """[B, C, h, w], and the level of that shape if there is one, to [B, C, height, width]."""
        x = below if level is None else below + self.resConfUnit1(level)
        # Published the other way round, which is the same with more pixels to convolve.
        return enlarge(self.out_conv(self.resConfUnit2(x)), height, width)


class Scratch(nn.Layer):
    """The part of the decoder that fuses the levels."""

    def __init__(self, variant: Variant, last: nn.Layer) -> None:
        super().__init__()
        channels = variant.features
        for number, wide in enumerate(variant.levels, start=1):
            reduce = Conv2D(wide, channels, 3, padding=1, bias_attr=False)
            self.add_sublayer(f"layer{number}_rn", reduce)
            self.add_sublayer(f"refinenet{number}", Fusion(channels))
        self.output_conv1 = Conv2D(channels, channels // 2, 3, padding=1)
        self.output_conv2 = nn.Sequential(
            Conv2D(channels // 2, 32, 3, padding=1), nn.ReLU(), Conv2D(32, 1, 1), last
        )

    def forward(self, levels: Sequence[Tensor], height: Side, width: Side) -> Tensor:
        """Inverse depth [B, height, width] of four levels, the finest first."""
        levels = [getattr(self, f"layer{i}_rn")(level) for i, level in enumerate(levels, 1)]
        x = self.refinenet4(levels[3], None, *sides(levels[2]))
        x = self.refinenet3(x, levels[2], *sides(levels[1]))
        x = self.refinenet2(x, levels[1], *sides(levels[0]))
        x = self.refinenet1(x, levels[0], *(2 * side for side in sides(levels[0])))
        x = enlarge(self.output_conv1(x), height, width)
        *before, last, activation = self.output_conv2
        for layer in before:
            x = layer(x)
        return activation(in_float32(last, x))[:, 0]


class DptHead(nn.Layer):
    """The decoder: tokens of four blocks to inverse depth."""

    def __init__(self, variant: Variant, last: nn.Layer) -> None:
        super().__init__()
        first, second, _, fourth = levels = variant.levels
        self.projects = nn.LayerList([Conv2D(variant.width, wide, 1) for wide in levels])
        self.resize_layers = nn.LayerList(
            [
                nn.Conv2DTranspose(first, first, 4, stride=4),
                nn.Conv2DTranspose(second, second, 2, stride=2),
                nn.Identity(),
                Conv2D(fourth, fourth, 3, stride=2, padding=1),
            ]
        )
        self.scratch = Scratch(variant, last)

    def forward(self, tokens: Sequence[Tensor], rows: Side, columns: Side) -> Tensor:
        """Inverse depth [B, 14 * rows, 14 * columns] of tokens [B, 1 + rows * columns, C]."""
        levels = []
        for level, project, resize in zip(tokens, self.projects, self.resize_layers):
            patches = level[:, 1:].transpose([0, 2, 1])
            levels.append(resize(project(patches.reshape([0, patches.shape[1], rows, columns]))))
        return self.scratch(levels, PATCH * rows, PATCH * columns)


class DepthAnything(nn.Layer):
    """Depth Anything V2: transformer ``pretrained`` and decoder ``depth_head``.

    Args:
        variant: of :data:`VARIANTS`.
        max_depth: None for relative inverse depth. Otherwise the network says depth in metres, as
            the authors' metric models do: a sigmoid times this distance.
    """

    def __init__(self, variant: str = "small", max_depth: float | None = None) -> None:
        super().__init__()
        self.variant, self.max_depth = variant, max_depth
        self.pretrained = VisionTransformer(VARIANTS[variant])
        last = nn.ReLU() if max_depth is None else nn.Sigmoid()
        self.depth_head = DptHead(VARIANTS[variant], last)
        # The lowest level has nothing below it to be joined with.
        for parameter in self.depth_head.scratch.refinenet4.resConfUnit1.parameters():
            parameter.stop_gradient = True

    def start_from_random(self) -> None:
        """Change random weights so that all of the network learns from the first step.

        As :meth:`networks.midas_small.MidasSmall.start_from_random`.
        """
        for layer in self.sublayers():
            if isinstance(layer, ResidualConvUnit):
                layer.conv2.weight.set_value(paddle.zeros_like(layer.conv2.weight))
        if self.max_depth is None:
            last = self.depth_head.scratch.output_conv2[-2].weight
            last.set_value(paddle.abs(last))

    def forward(self, images: Tensor) -> Tensor:
        """The output [B, h, w] of images [B, 3, h, w] in [0, 1]; h and w are multiples of 14.

        Relative inverse depth, near is large; or depth as a share of ``max_depth``.
        """
        mean, deviation = (
            paddle.to_tensor(values).reshape([1, 3, 1, 1]) for values in (MEAN, DEVIATION)
        )
        return self.predict_normalised((images - mean) / deviation)

    def disparity_map(self, images: Tensor) -> Tensor:
        """Inverse depth [B, h, w], per metre where the network says metres."""
        output = self(images)
        if self.max_depth is None:
            return output
        return 1 / (self.max_depth * paddle.maximum(output, paddle.full_like(output, NEAREST)))

    def predict_normalised(self, images: Tensor) -> Tensor:
        """The same of images that are normalised already."""
        height, width = sides(images)
        return self.depth_head(self.pretrained(images), height // PATCH, width // PATCH)
