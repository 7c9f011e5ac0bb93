"""A convolution whose bias is added as the device does it fastest, in training."""

from __future__ import annotations

from paddle import Tensor, nn
from paddle.nn import functional as F

from layers import add_bias


class Conv2D(nn.Conv2D):
    """Paddle's convolution over zero borders; its bias by :func:`layers.add_bias` in training."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, h, w] to [B, out, h', w']."""
        if not self.training or self.bias is None:
            return nn.Conv2D.forward(self, x)  # by name: Paddle 2.6 cannot compile super()
        shape = {"stride": self._stride, "dilation": self._dilation, "groups": self._groups}
        x = F.conv2d(x, self.weight, padding=self._updated_padding, **shape)
        return add_bias(x, self.bias)
