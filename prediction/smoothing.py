"""A vision transformer made ready for 8 bits: the same function, in which no channel stands out.

All channels of an activation share one range in 8 bits, which a few large ones would take from the
others. Weights have a range per output. So factors per channel move from activations to the weights
that read them (SmoothQuant, Xiao et al., ICML 2023), and nothing else changes but rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import paddle
from paddle import Tensor, nn

from networks.depth_anything import Attention, DepthAnything, LayerScale, attend
from networks.linear import Linear
from prediction.paddle_graph import DisparityGraph

LEAST = 1e-5  # of a range, as a share of the largest of its layer


class SplitAttention(nn.Layer):
    """Attention with a layer each for queries, keys and values, which have ranges of their own.

    Args:
        attention: the layer whose function it takes over.
    """

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads, self.depth, self.proj = attention.heads, attention.depth, attention.proj
        width = self.heads * self.depth
        self.q, self.k, self.v = (Linear(width, width) for _ in range(3))
        for index, part in enumerate(self.three()):
            rows = slice(index * width, (index + 1) * width)
            part.weight.set_value(attention.qkv.weight[rows])
            part.bias.set_value(attention.qkv.bias[rows])
        scale_outputs(self.q, np.full(width, self.depth**-0.5, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] to the same shape."""
        shape = [0, -1, self.heads, self.depth]
        q, k, v = (layer(x).reshape(shape).transpose([0, 2, 1, 3]) for layer in self.three())
        return self.proj(attend(q, k, v).reshape([0, -1, self.heads * self.depth]))

    def three(self) -> list[Linear]:
        """The layers of queries, keys and values."""
        return [self.q, self.k, self.v]


class Ranges:
    """The least and the largest value of each channel of what a layer is given and returns."""

    def __init__(self) -> None:
        self.given = self.returned = np.zeros((2, 1), np.float32)

    def note(self, layer: nn.Layer, given: tuple[Tensor, ...], returned: Tensor) -> None:
        """A hook for after a layer's forward pass over [B, N, C]."""
        self.given = _wider(self.given, given[0])
        self.returned = _wider(self.returned, returned)


def _wider(known: np.ndarray, seen: Tensor) -> np.ndarray:
    least, largest = (reduce(seen, axis=[0, 1]).numpy() for reduce in (paddle.min, paddle.max))
    return np.stack([np.minimum(known[0], least), np.maximum(known[1], largest)])


@contextmanager
def watched(layers: Sequence[nn.Layer]) -> Iterator[list[Ranges]]:
    """The ranges of what layers are given and return inside of the block."""
    ranges = [Ranges() for _ in layers]
    hooks = [layer.register_forward_post_hook(each.note) for layer, each in zip(layers, ranges)]
    try:
        yield ranges
    finally:
        for hook in hooks:
            hook.remove()


def smooth(model: DepthAnything, images: Sequence[np.ndarray]) -> None:
    """Change parameters of a model, and layers that compute with them, but not its function.

    Args:
        model: the network.
        images: RGB [h, w, 3], levels of 0 to 255, as the network is given them.
    """
    blocks = list(model.pretrained.blocks)
    for block in blocks:
        block.attn = SplitAttention(block.attn)
    parts = [(b.attn.q, b.attn.k, b.attn.proj, b.mlp.fc1, b.mlp.fc2) for b in blocks]
    graph = DisparityGraph(model)
    graph.eval()
    with paddle.no_grad(), watched([layer for each in parts for layer in each]) as ranges:
        for image in images:
            graph(paddle.to_tensor(image[None]))
    for index, block in enumerate(blocks):
        q, k, proj, fc1, fc2 = ranges[index * len(parts[0]) :][: len(parts[0])]
        balance_scores(block.attn, q.returned, k.returned)
        move_to_readers(block.norm1, block.attn.three(), q.given)
        move_to_readers(block.attn.v, [block.attn.proj], proj.given)
        move_to_readers(block.norm2, [block.mlp.fc1], fc1.given)
        # No factor goes through GELU.
        scale = LayerScale(fc2.given.shape[1])
        move_to_readers(scale, [block.mlp.fc2], fc2.given)
        block.mlp.fc2 = nn.Sequential(scale, block.mlp.fc2)


def balance_scores(attention: SplitAttention, queries: np.ndarray, keys: np.ndarray) -> None:
    """Give each channel of queries and keys, whose ranges are [2, C], the same share of the range.

    What all keys have in common is left out: it adds the same to all scores of a query, of which
    softmax sees the differences alone.
    """
    middle = keys.mean(axis=0)
    attention.k.bias.set_value(attention.k.bias - paddle.to_tensor(middle))
    factor = np.sqrt(_largest(queries) / _largest(keys - middle))
    scale_outputs(attention.q, 1 / factor)
    scale_outputs(attention.k, factor)


def move_to_readers(source: nn.Layer, readers: Sequence[Linear], given: np.ndarray) -> None:
    """Divide what a layer returns by a factor per channel, and multiply weights that read it.

    The factor is the root of range of activations by range of weights, as published.

    Args:
        source: whose output has a factor, and perhaps an offset, per channel.
        readers: all that reads its output.
        given: least and largest value per channel [2, C] that readers are given.
    """
    weights = np.max([np.abs(reader.weight.numpy()).max(axis=0) for reader in readers], axis=0)
    factor = np.sqrt(_largest(given) / np.maximum(weights, LEAST * weights.max()))
    scale_outputs(source, 1 / factor)
    for reader in readers:
        reader.weight.set_value(reader.weight * paddle.to_tensor(factor))


def scale_outputs(layer: nn.Layer, factor: np.ndarray) -> None:
    """Multiply parameters of a layer, all with its output channels first, by factors [C]."""
    for parameter in layer.parameters(include_sublayers=False):
        by_row = factor.reshape([-1] + [1] * (parameter.ndim - 1))
        parameter.set_value(parameter * paddle.to_tensor(by_row))


def _largest(ranges: np.ndarray) -> np.ndarray:
    """Of the absolute values in ranges [2, C], per channel; never 0."""
    largest = np.abs(ranges).max(axis=0)
    return np.maximum(largest, LEAST * max(float(largest.max()), LEAST))
