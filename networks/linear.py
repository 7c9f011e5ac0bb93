"""A linear layer whose weights lie in files as published."""

from __future__ import annotations

import math

import paddle
from paddle import ParamAttr, Tensor, nn

from layers import add_to_rows


class Linear(nn.Layer):
    """``x @ weight^T + bias`` over the last axis: [..., in] to [..., out].

    The weight is [out, in], as in the published files, where Paddle's own layer keeps [in, out]:
    so weights files are the same for all, and a square weight cannot be taken the wrong way round.
    It starts uniform within 1 / sqrt(in), unless ``weight`` says otherwise; the bias at 0.
    """

    def __init__(
        self, in_features: int, out_features: int, weight: ParamAttr | None = None
    ) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = self.create_parameter(
            [out_features, in_features],
            attr=weight,
            default_initializer=nn.initializer.Uniform(-bound, bound),
        )
        self.bias = self.create_parameter([out_features], is_bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        x = paddle.matmul(x, self.weight, transpose_y=True)
        # As a convolution's, in training alone: exported graphs keep the plain sum.
        return add_to_rows(x, self.bias) if self.training else x + self.bias
