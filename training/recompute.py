"""Activations computed again in the backward pass instead of kept: less memory, more time.

Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016. Not for compiled steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import paddle
from paddle import Tensor, nn
from paddle.distributed.fleet.utils import recompute
from paddle.vision.models.resnet import BasicBlock, BottleneckBlock

from networks import convnext_encoder, depth_anything
from networks.decoders import ConvBlock
from networks.midas_small import InvertedResidual, ResidualConvUnit, SeparableBlock
from training.normalisation import following

BLOCKS = (
    *(BasicBlock, BottleneckBlock, ConvBlock, convnext_encoder.Block, depth_anything.Block),
    *(SeparableBlock, InvertedResidual, ResidualConvUnit),
)
Result = TypeVar("Result")


def recompute_blocks(model: nn.Layer) -> None:
    """Make every block of the encoders and decoders keep its input only.

    Gradients and running statistics stay as they are without it.
    """
    for block in model.sublayers():
        if isinstance(block, BLOCKS):
            block.forward = recomputed(block.forward, following(block))


def recomputed(
    function: Callable[..., Result], norms: Sequence[nn.Layer] = ()
) -> Callable[..., Result]:
    """A function of a tensor, and more that needs no gradient, that keeps only these.

    ``norms`` are the normalisations within it, whose running statistics may move once only.
    """

    def call(x: Tensor, *more: object) -> Result:
        if x.stop_gradient or not paddle.is_grad_enabled():
            return function(x, *more)

        def first_or_again(x: Tensor) -> Result:
            again = paddle.is_grad_enabled()  # the first pass is made without gradients
            with still(norms) if again else nullcontext():
                return function(x, *more)

        return recompute(first_or_again, x, preserve_rng_state=False)

    return call


@contextmanager
def still(norms: Sequence[nn.Layer]) -> Iterator[None]:
    """Within it, running statistics do not move."""
    momenta = [norm._momentum for norm in norms]
    for norm in norms:
        norm._momentum = 1.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta):
            norm._momentum = momentum
