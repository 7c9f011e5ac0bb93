"""Colour jitter on the device: brightness, contrast, saturation and hue in a drawn order.

The draws come with the batch (``datasets.items``); images are float in [0, 1].
"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import Tensor

GREY_WEIGHTS = (0.299, 0.587, 0.114)


def grey(images: Tensor) -> Tensor:
    """Luma [N, 1, H, W] of RGB images [N, 3, H, W]."""
    red, green, blue = GREY_WEIGHTS
    return red * images[:, 0:1] + green * images[:, 1:2] + blue * images[:, 2:3]


def adjust_brightness(images: Tensor, factor: float) -> Tensor:
    """Blend with black: 0 is black, 1 the image itself."""
    return paddle.clip(images * factor, 0, 1)


def adjust_contrast(images: Tensor, factor: float) -> Tensor:
    """Blend with the mean luma of each image."""
    mean = grey(images).mean(axis=[1, 2, 3], keepdim=True)
    return paddle.clip(images * factor + mean * (1 - factor), 0, 1)


def adjust_saturation(images: Tensor, factor: float) -> Tensor:
    """Blend with each pixel's luma."""
    return paddle.clip(images * factor + grey(images) * (1 - factor), 0, 1)


def adjust_hue(images: Tensor, turn: float) -> Tensor:
    """Turn the hue circle of HSV by ``turn`` of a full circle."""
    value = images.max(axis=1, keepdim=True)
    chroma = value - images.min(axis=1, keepdim=True)
    safe = paddle.where(chroma > 0, chroma, paddle.ones_like(chroma))
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    hue = paddle.where(
        value == red,
        (green - blue) / safe,
        paddle.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    hue = hue + 6 * turn
    # Each channel falls from `value` by up to `chroma`, by the distance of its hue (sixths of the
    # circle) from the turned one.
    channels = []
    for offset in (5, 3, 1):
        k = paddle.remainder(hue + offset, paddle.full_like(hue, 6))
        fall = paddle.clip(paddle.minimum(k, 4 - k), 0, 1)
        channels.append(value - chroma * fall)
    return paddle.concat(channels, axis=1)


ADJUSTMENTS = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
NEUTRAL = (1.0, 1.0, 1.0, 0.0)


def jitter_item(images: Tensor, draw: np.ndarray) -> Tensor:
    """Apply one item's draw [8] to all of its images [N, 3, H, W]."""
    for which in draw[4:].astype(int):
        amount = float(draw[which])
        if amount != NEUTRAL[which]:
            images = ADJUSTMENTS[which](images, amount)
    return images


def jitter_batch(frames: Tensor, draws: np.ndarray) -> Tensor:
    """Apply draws [B, 8] to the frames [B, N, 3, H, W] of a batch, without gradients."""
    with paddle.no_grad():
        return paddle.stack([jitter_item(frames[i], draw) for i, draw in enumerate(draws)])
