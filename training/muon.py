"""Muon: the weights of convolutions and linear layers move along orthogonal matrices.

Adam sizes the step of every number by itself. What a layer learns from many pixels fills a few
directions of its weights, and takes most of such a step; what it could learn from few pixels, those
of a pole, of the edge of a car, is what is left. Muon (Jordan et al., "Muon: An optimizer for
hidden layers in neural networks", 2024) takes the momentum of the weights as a matrix, and in the
place of it the orthogonal matrix next to it: the same directions, all of one length.
"""

from __future__ import annotations

import math
from typing import Any

import paddle
from paddle import Tensor

MOMENTUM = 0.95
# Of the polynomial a x + b x^3 + c x^5 that brings singular values of (0, 1] to 0.7 to 1.2 in five
# turns (Jordan et al.).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
TURNS = 5
TINY = 1e-30  # keeps a gradient of zeros from being divided by zero
# Root mean square of a step by the learning rate, as Adam's steps have after the first ones (Liu et
# al., "Muon is scalable for LLM training", 2025).
STEP = 0.2
FEWEST = 16  # inputs and outputs of a matrix
WIDEST = 256  # its shorter side at most; on CPUs a step with wider ones takes too long


def is_matrix(weight: Tensor) -> bool:
    """Whether a weight moves along orthogonal matrices, and not by Adam.

    Those of layers with many inputs and outputs do: not depthwise convolutions, nor the first layer
    of a network, nor its last ones, nor factors and biases.
    """
    if weight.ndim not in (2, 4) or min(weight.shape[:2]) < FEWEST:
        return False
    return min(weight.shape[0], math.prod(weight.shape[1:])) <= WIDEST


def orthogonal(matrix: Tensor, length: Tensor | float = 1.0) -> Tensor:
    """About the orthogonal matrix next to a matrix: its singular values are 0.7 to 1.2 instead.

    The turns of Newton and Schulz multiply by polynomials of ``matrix @ matrix.T``, which commute:
    so they are computed on that square, which is the smaller one, and applied once.

    Args:
        matrix: [m, n], any size.
        length: that the result is multiplied by.

    Returns:
        Tensor: [m, n]; zeros of zeros.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.t(), length).t()
    a, b, c = COEFFICIENTS
    square = matrix @ matrix.t()
    norm = (square.trace() + TINY).sqrt()
    square = square / norm**2
    identity = product = paddle.eye(square.shape[0], dtype=square.dtype)
    for turn in range(TURNS):
        factor = a * identity + b * square + c * (square @ square)
        product = factor @ product if turn else factor
        if turn < TURNS - 1:
            square = factor @ square @ factor
    return (length / norm * product) @ matrix


class Muon(paddle.optimizer.Adam):
    """Muon for what :func:`is_matrix`, Adam for the rest, at one learning rate.

    Its state is Adam's, of matrices the first moment alone.
    """

    def _add_moments_pows(self, weight: Tensor) -> None:
        if is_matrix(weight):
            self._add_accumulator(self._moment1_acc_str, weight, dtype=weight.dtype)
        else:
            super()._add_moments_pows(weight)

    def _append_optimize_op(self, block: Any, param_and_grad: Any) -> None:
        weight, gradient = param_and_grad
        if not is_matrix(weight):
            return super()._append_optimize_op(block, param_and_grad)
        momentum = self._get_accumulator_master(self._moment1_acc_str, weight)
        momentum.scale_(MOMENTUM).add_(gradient)
        ahead = (gradient + MOMENTUM * momentum).reshape([weight.shape[0], -1])
        # An orthogonal [m, n] has the root mean square 1 / sqrt(max(m, n)).
        length = STEP * math.sqrt(max(ahead.shape)) * self._create_param_lr(param_and_grad)
        weight.subtract_(orthogonal(ahead, length).reshape(weight.shape))
