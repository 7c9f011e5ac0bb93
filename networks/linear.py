"""A linear layer whose weights lie in files as published."""

from __future__ import annotations

import math

import paddle
from paddle import Tensor, nn


class Linear(nn.Layer):
    """``x @ weight^T + bias`` over the last axis: [..., in] to [..., out].

    The weight is [out, in], as in the published files, where Paddle's own layer keeps [in, out]:
    so weights files are the same for all, and a square weight cannot be taken the wrong way round.
    It starts uniform within 1 / sqrt(in), as do the other layers of the published networks.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        start = nn.initializer.Uniform(-bound, bound)
        self.weight = self.create_parameter([out_features, in_features], default_initializer=start)
        self.bias = self.create_parameter([out_features], default_initializer=start)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        return paddle.matmul(x, self.weight, transpose_y=True) + self.bias
