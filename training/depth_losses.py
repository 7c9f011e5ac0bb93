"""Losses against known depth: invariant to scale and shift (Ranftl et al., TPAMI 2020), or metric.

Predictions and targets are [B, H, W]; masks are too, True where the target is known. An image
without a known pixel counts as 0.
"""

from __future__ import annotations

import paddle
from paddle import Tensor

TRIM = 0.2  # share of the largest residuals that is left out
GRADIENT_SCALES = 4
GRADIENT_WEIGHT = 0.5
SILOG_VARIANCE_FOCUS = 0.85
SMALLEST = 1e-6


def count_of(mask: Tensor) -> Tensor:
    """Known pixels per image, [B] float32, at least 1."""
    return paddle.clip(mask.astype("float32").sum(axis=[1, 2]), min=1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the known pixels of each image, [B]."""
    known = paddle.where(mask, values, paddle.zeros_like(values))
    return known.sum(axis=[1, 2]) / count_of(mask)


def masked_median(values: Tensor, mask: Tensor) -> Tensor:
    """Median over the known pixels of each image, [B]: the lower one of two."""
    flat = paddle.where(mask, values, paddle.full_like(values, float("inf"))).flatten(1)
    middle = (count_of(mask).astype("int64") - 1) // 2
    found = paddle.take_along_axis(paddle.sort(flat, axis=1), middle.unsqueeze(1), axis=1)[:, 0]
    return paddle.where(mask.any(axis=[1, 2]), found, paddle.zeros_like(found))


def normalise(values: Tensor, mask: Tensor) -> Tensor:
    """Values without shift and scale: minus median, over mean deviation from it (equation 5)."""
    shift = masked_median(values, mask).reshape([-1, 1, 1])
    scale = masked_mean(paddle.abs(values - shift), mask).reshape([-1, 1, 1])
    return (values - shift) / paddle.clip(scale, min=SMALLEST)


def target_or_zero(target: Tensor, mask: Tensor) -> Tensor:
    """The target with 0 where it is not known, whatever is stored there."""
    return paddle.where(mask, target, paddle.zeros_like(target))


def trimmed_error(residual: Tensor, mask: Tensor, trim: float = TRIM) -> Tensor:
    """Mean of |residual| / 2 per image without the largest ones (equation 7), [B].

    The sum runs over the share ``1 - trim`` of the known pixels, and is divided by all of them.
    """
    size = paddle.abs(residual)
    unknown = paddle.full_like(size, float("inf"))
    ordered = paddle.sort(paddle.where(mask, size, unknown).flatten(1), axis=1)
    known = mask.astype("float32").sum(axis=[1, 2])
    kept = paddle.floor((1 - trim) * known).unsqueeze(1)
    rank = paddle.arange(ordered.shape[1], dtype="float32").unsqueeze(0)
    smallest = paddle.where(rank < kept, ordered, paddle.zeros_like(ordered))
    return smallest.sum(axis=1) / (2 * count_of(mask))


def gradient_matching(residual: Tensor, mask: Tensor, scales: int = GRADIENT_SCALES) -> Tensor:
    """Mean over pixels of the residual's differences to its neighbours, summed over scales, [B].

    Every scale takes every second pixel of the one before (equation 11).
    """
    total = paddle.zeros([residual.shape[0]])
    for scale in range(scales):
        step = 2**scale
        part, known = residual[:, ::step, ::step], mask[:, ::step, ::step]
        part = target_or_zero(part, known)
        across = known[:, :, 1:] & known[:, :, :-1]
        down = known[:, 1:] & known[:, :-1]
        differences = [
            (paddle.abs(part[:, :, 1:] - part[:, :, :-1]) * across.astype("float32")),
            (paddle.abs(part[:, 1:] - part[:, :-1]) * down.astype("float32")),
        ]
        sums = [d.sum(axis=[1, 2]) for d in differences if 0 not in d.shape]  # Paddle 2.6: no empty
        total = total + sum(sums) / count_of(known)
    return total


def scale_and_shift_invariant(
    prediction: Tensor,
    target: Tensor,
    mask: Tensor,
    trim: float = TRIM,
    gradient_weight: float = GRADIENT_WEIGHT,
) -> Tensor:
    """Trimmed absolute error plus gradient matching of normalised inverse depths, a scalar.

    Args:
        prediction: inverse depth, up to scale and shift.
        target: inverse depth in any unit.
        mask: where it is known.
        trim: share of the largest residuals that is left out.
        gradient_weight: of the gradient matching.
    """
    residual = normalise(prediction, mask) - normalise(target_or_zero(target, mask), mask)
    error = trimmed_error(residual, mask, trim)
    error = error + gradient_weight * gradient_matching(residual, mask)
    return mean_of_known(error, mask)


def mean_of_known(error: Tensor, mask: Tensor) -> Tensor:
    """Mean of errors [B] over the images with a known pixel; 0 without any."""
    known = mask.any(axis=[1, 2]).astype("float32")
    error = paddle.where(known > 0, error, paddle.zeros_like(error))
    return error.sum() / paddle.clip(known.sum(), min=1)


def l1(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute error of depth in metres, a scalar."""
    difference = paddle.abs(prediction - target_or_zero(target, mask))
    return mean_of_known(masked_mean(difference, mask), mask)


def silog(
    prediction: Tensor, target: Tensor, mask: Tensor, focus: float = SILOG_VARIANCE_FOCUS
) -> Tensor:
    """Scale-invariant logarithmic error (Eigen et al., NeurIPS 2014), a scalar.

    The root of mean(d^2) - ``focus`` mean(d)^2 with d the difference of the logarithms.
    """
    ones = paddle.ones_like(target)
    known = paddle.where(mask, target, ones)
    difference = paddle.log(paddle.clip(prediction, min=SMALLEST)) - paddle.log(known)
    squares = masked_mean(difference * difference, mask)
    variance = squares - focus * masked_mean(difference, mask) ** 2
    return mean_of_known(paddle.sqrt(paddle.clip(variance, min=SMALLEST**2)), mask)


def berhu(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Reverse Huber error (Laina et al., 3DV 2016), a scalar.

    |d| up to a fifth of the largest, (d^2 + c^2) / 2c beyond that c.
    """
    difference = paddle.abs(prediction - target_or_zero(target, mask))
    difference = target_or_zero(difference, mask)
    c = paddle.clip(0.2 * difference.detach().max(), min=SMALLEST)
    error = paddle.where(difference <= c, difference, (difference**2 + c**2) / (2 * c))
    return mean_of_known(masked_mean(error, mask), mask)
