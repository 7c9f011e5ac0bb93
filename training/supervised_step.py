"""A depth network and its loss against known depth, as one layer that can be compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import paddle
from paddle import Tensor, nn

from layers import disp_to_depth, resize_bilinear
from networks.midas_small import MidasSmall
from networks.monodepth import Monodepth
from training import depth_losses
from training.precision import networks_in

# From predicted inverse depth, known depth and mask [B, H, W] to a scalar.
DepthLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class DepthOutput:
    """What one pass over a batch gives.

    Attributes:
        total: the loss, scalar.
        inverse_depth: of the finest scale, [B, H, W]; near is large.
    """

    total: Tensor
    inverse_depth: Tensor


def inverse_where(mask: Tensor, depth: Tensor) -> Tensor:
    """Inverse depth where it is known, 0 elsewhere."""
    inverse = 1 / paddle.where(mask, depth, paddle.ones_like(depth))
    return paddle.where(mask, inverse, paddle.zeros_like(inverse))


def relative_loss(trim: float, gradient_weight: float) -> DepthLoss:
    """The loss that knows neither scale nor shift, in inverse depth (TPAMI 2020, section 5)."""

    def loss(inverse_depth: Tensor, depth: Tensor, mask: Tensor) -> Tensor:
        target = inverse_where(mask, depth)
        return depth_losses.scale_and_shift_invariant(
            inverse_depth, target, mask, trim, gradient_weight
        )

    return loss


def metric_loss(name: str) -> DepthLoss:
    """``l1``, ``silog`` or ``berhu`` of depth in metres."""
    of_depth = {
        "l1": depth_losses.l1,
        "silog": depth_losses.silog,
        "berhu": depth_losses.berhu,
    }[name]

    def loss(inverse_depth: Tensor, depth: Tensor, mask: Tensor) -> Tensor:
        return of_depth(1 / inverse_depth, depth, mask)

    return loss


class InverseDepths(nn.Layer):
    """A network's inverse depth [B, H, W] at every scale, the finest one first, in float32.

    Args:
        model: MiDaS, or Monodepth2's network, of which the depth part is used.
        min_depth: nearest depth of Monodepth2's network.
        max_depth: its farthest.
        precision: of the network.
    """

    def __init__(
        self, model: MidasSmall | Monodepth, min_depth: float, max_depth: float, precision: str
    ) -> None:
        super().__init__()
        self.model = model
        self.inverse_of = partial(_scaled, min_depth=min_depth, max_depth=max_depth)
        self.precision = precision

    def forward(self, images: Tensor) -> list[Tensor]:
        """Of pictures [B, 3, H, W]."""
        return self._trace(images)

    # No control flow depends on a tensor's value, so that compiling need not rewrite the code.
    @paddle.jit.not_to_static
    def _trace(self, images: Tensor) -> list[Tensor]:
        height, width = images.shape[2:]
        with networks_in(self.precision):
            if isinstance(self.model, MidasSmall):
                return [self.model(images).astype("float32")]
            disps = self.model.predict_disparity(images)
        scales = self.model.architecture.scales
        ordered = sorted(zip(scales, disps), key=lambda pair: pair[0])
        full = [resize_bilinear(disp.astype("float32"), height, width) for _, disp in ordered]
        return [self.inverse_of(disp)[:, 0] for disp in full]


class MeanLoss(nn.Layer):
    """The mean of a loss over the scales that there are."""

    compilable = True

    def __init__(self, loss: DepthLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, inverse_depths: list[Tensor], depth: Tensor) -> list[Tensor]:
        """The loss, and the first of the inverse depths; depth that is not known is 0."""
        return self._trace(inverse_depths, depth)

    @paddle.jit.not_to_static
    def _trace(self, inverse_depths: list[Tensor], depth: Tensor) -> list[Tensor]:
        mask = depth > 0
        losses = [self.loss(inverse_depth, depth, mask) for inverse_depth in inverse_depths]
        return [sum(losses) / len(losses), inverse_depths[0]]


class SupervisedStep(nn.Layer):
    """Forward pass of a depth network and its loss.

    Args:
        model: see :class:`InverseDepths`.
        loss: from inverse depth; see :data:`DepthLoss`.
        min_depth: see :class:`InverseDepths`.
        max_depth: likewise.
        precision: of the network.
    """

    def __init__(
        self,
        model: MidasSmall | Monodepth,
        loss: DepthLoss,
        min_depth: float,
        max_depth: float,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        self.networks = InverseDepths(model, min_depth, max_depth, precision)
        self.loss = MeanLoss(loss)

    def forward(self, images: Tensor, depth: Tensor) -> list[Tensor]:
        """Loss and inverse depth [B, H, W] of pictures [B, 3, H, W], depth [B, H, W] in metres.

        Depth that is not known is 0.
        """
        return self.loss(self.networks(images), depth)


def _scaled(disp: Tensor, min_depth: float, max_depth: float) -> Tensor:
    return disp_to_depth(disp, min_depth, max_depth)[0]
