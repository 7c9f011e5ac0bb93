"""Colour jitter on the device: brightness, contrast, saturation and hue in a drawn order.

The draws come with the batch (``datasets.items``); images are float in [0, 1].
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import paddle
from paddle import Tensor

from system.device import device_kind
from training.transfer import to_device

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


def adjust_hue(images: Tensor, turn: float | Tensor) -> Tensor:
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
CONTRAST, SATURATION, HUE = 1, 2, 3  # numbers of adjustments in a draw
NEUTRAL = (1.0, 1.0, 1.0, 0.0)


def jitter_item(images: Tensor, draw: np.ndarray) -> Tensor:
    """Apply one item's draw [8] to all of its images [N, 3, H, W]."""
    for which in draw[4:].astype(int):
        amount = float(draw[which])
        if amount != NEUTRAL[which]:
            images = ADJUSTMENTS[which](images, amount)
    return images


def jitter_each(frames: Tensor, draws: np.ndarray) -> Tensor:
    """Item by item: the least arithmetic."""
    return paddle.stack([jitter_item(frames[i], draw) for i, draw in enumerate(draws)])


def jitter_together(frames: Tensor, draws: np.ndarray) -> Tensor:
    """All items at once: some 150 operations, however many items there are.

    Around the hue, which each item turns once, there are rounds in which each item has one of the
    three blends, or none.
    """
    chosen = np.flatnonzero((draws[:, : HUE + 1] != NEUTRAL).any(axis=1))
    if not len(chosen):
        return frames
    parts = zip(*(blends_around_hue(draw) for draw in draws[chosen]))
    before, after = (in_rounds(blends) for blends in parts)
    numbers = np.concatenate([*before, draws[chosen, HUE : HUE + 1], *after], axis=1)
    count = frames.shape[1]
    numbers = np.repeat(numbers.astype(np.float32), count, axis=0)
    numbers, index = to_device([numbers, chosen])
    amounts = iter(paddle.split(numbers.unsqueeze([2, 3]), numbers.shape[1], axis=1))
    images = paddle.gather(frames, index).flatten(0, 1)
    for _ in before:
        images = blend(images, *itertools.islice(amounts, 3))
    images = adjust_hue(images, next(amounts))
    for _ in after:
        images = blend(images, *itertools.islice(amounts, 3))
    return paddle.scatter(frames, index, images.reshape([len(chosen), *frames.shape[1:]]))


def blend(images: Tensor, own: Tensor, luma: Tensor, mean: Tensor) -> Tensor:
    """Shares [N, 1, 1, 1] of images, of each pixel's luma and of its mean over the image."""
    grey_images = grey(images)
    greys = grey_images * luma + grey_images.mean(axis=[2, 3], keepdim=True) * mean
    return paddle.clip(images * own + greys, 0, 1)


def blends_around_hue(draw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shares of :func:`blend`, [n, 3], of a draw's other adjustments before and after the hue.

    One after the other, in the order of the draw.
    """
    shares = {which: [factor, 0, 0] for which, factor in enumerate(draw[:HUE].astype(float))}
    shares[SATURATION][1] = 1 - shares[SATURATION][0]
    shares[CONTRAST][2] = 1 - shares[CONTRAST][0]
    order = draw[4:].astype(int).tolist()
    hue = order.index(HUE)
    return tuple(
        np.array([shares[which] for which in part]).reshape(-1, 3)
        for part in (order[:hue], order[hue + 1 :])
    )


def in_rounds(blends: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Shares [items, 3] of the first blend of every item, of the second ones and so on.

    Where an item has no more, its images stay as they are.
    """
    stay = np.array([1.0, 0.0, 0.0])
    rounds = itertools.zip_longest(*blends, fillvalue=stay)
    return [np.stack(each) for each in rounds]


# By the kind of device: on CPUs arithmetic takes the time, on GPUs starting an operation does.
JITTERS = {"cpu": jitter_each, "gpu": jitter_together}


def jitter_batch(frames: Tensor, draws: np.ndarray) -> Tensor:
    """Apply draws [B, 8] to the frames [B, N, 3, H, W] of a batch, without gradients."""
    with paddle.no_grad():
        return JITTERS[device_kind()](frames, draws)
