"""Differentiable geometry and image operations: pure functions of tensors.

Conventions: images are [B, 3, H, W] in [0, 1]; pixel centres lie at integer coordinates, the first
one at 0; the camera looks along +z with x right and y down; a transform is named after the frames
it goes between, so ``source_T_target`` takes points of the target camera to the source camera.
Lengths are in model units: for a stereo-trained model 0.1 is the stereo baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import paddle
import paddle.nn.functional as F
from paddle import Tensor

from system.device import device_kind, is_deterministic

EPSILON = 1e-7
Form = Callable[..., Tensor]
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # (Wang et al., TIP 2004), for images in [0, 1]


def rotation_from_axisangle(axisangle: Tensor) -> Tensor:
    """Rotation matrices [B, 3, 3] from axis-angle vectors [B, 3] in radians (Rodrigues' formula).

    The zero vector gives the identity.
    """
    angle = paddle.sqrt((axisangle * axisangle).sum(axis=1, keepdim=True) + 1e-20)  # [B, 1]
    axis = axisangle / (angle + EPSILON)
    cos, sin = paddle.cos(angle), paddle.sin(angle)
    x, y, z = axis[:, 0:1], axis[:, 1:2], axis[:, 2:3]
    one_minus_cos = 1 - cos
    rows = [
        x * x * one_minus_cos + cos,
        x * y * one_minus_cos - z * sin,
        z * x * one_minus_cos + y * sin,
        x * y * one_minus_cos + z * sin,
        y * y * one_minus_cos + cos,
        y * z * one_minus_cos - x * sin,
        z * x * one_minus_cos - y * sin,
        y * z * one_minus_cos + x * sin,
        z * z * one_minus_cos + cos,
    ]
    return paddle.concat(rows, axis=1).reshape([-1, 3, 3])


def transform_from_parameters(axisangle: Tensor, translation: Tensor, invert: bool) -> Tensor:
    """Rigid transforms [B, 4, 4] from axis-angle [B, 3] and translation [B, 3].

    ``invert`` gives the inverse of the motion, so that one network, always shown the earlier frame
    first, serves the frames before and after the target.
    """
    rotation = rotation_from_axisangle(axisangle)
    offset = translation.unsqueeze(2)  # [B, 3, 1]
    if invert:
        rotation = rotation.transpose([0, 2, 1])
        offset = -paddle.matmul(rotation, offset)
    top = paddle.concat([rotation, offset], axis=2)
    bottom = paddle.zeros_like(top[:, :1])
    bottom = paddle.concat([bottom[:, :, :3], paddle.ones_like(bottom[:, :, 3:])], axis=2)
    return paddle.concat([top, bottom], axis=1)


def pixel_grid(height: int, width: int, dtype: paddle.dtype = paddle.float32) -> Tensor:
    """Homogeneous pixel coordinates (u, v, 1) of an image, row by row: [3, height * width]."""
    v, u = paddle.meshgrid(paddle.arange(height, dtype=dtype), paddle.arange(width, dtype=dtype))
    return paddle.stack([u.flatten(), v.flatten(), paddle.ones([height * width], dtype)])


def back_project(depth: Tensor, K: Tensor) -> Tensor:
    """Points [B, 3, H * W] seen at ``depth`` [B, 1, H, W] through intrinsics ``K`` [B, 3, 3].

    ``K`` is that of a pinhole camera without skew, in pixels of H x W.
    """
    batch, _, height, width = depth.shape
    uv1 = pixel_grid(height, width, depth.dtype).unsqueeze(0)
    focal = paddle.stack([K[:, 0, 0], K[:, 1, 1]], axis=1).unsqueeze(2)  # [B, 2, 1]
    centre = K[:, 0:2, 2:3]
    rays = (uv1[:, :2] - centre) / focal
    rays = paddle.concat([rays, uv1[:, 2:].expand([batch, 1, height * width])], axis=1)
    return rays * depth.reshape([batch, 1, height * width])


def project(points: Tensor, K: Tensor, source_T_target: Tensor, height: int, width: int) -> Tensor:
    """Where the source camera sees points of the target camera.

    Args:
        points: [B, 3, H * W] in the target camera's frame.
        K: [B, 3, 3] intrinsics of the source camera, in pixels of H x W.
        source_T_target: [B, 4, 4].
        height: H.
        width: W.

    Returns:
        Sampling grid [B, H, W, 2], (x, y) in [-1, 1] from the first to the last pixel centre.
    """
    P = paddle.matmul(K, source_T_target[:, :3])  # [B, 3, 4]
    pixels = paddle.matmul(P[:, :, :3], points) + P[:, :, 3:]
    # Split, because the gradient of slices is slow.
    x, y, z = paddle.split(pixels, 3, axis=1)
    z = z + EPSILON
    x, y = x / z * (2 / (width - 1)) - 1, y / z * (2 / (height - 1)) - 1
    return paddle.stack([x, y], axis=3).reshape([-1, height, width, 2])


def warp(image: Tensor, grid: Tensor) -> Tensor:
    """Sample ``image`` [B, C, h, w] at ``grid`` [B, H, W, 2] bilinearly; outside, its border.

    This is the one place that samples. -1 and 1 are the centres of the outermost pixels
    (``align_corners=True``), as in the published training. Only the grid's gradient is to be relied
    on.
    """
    return forms().sample(image, grid)


def resize_bilinear(x: Tensor, height: int, width: int) -> Tensor:
    """Resize [B, C, h, w] to [B, C, height, width] (``align_corners=False``)."""
    if list(x.shape[2:]) == [height, width]:
        return x
    return forms().resize(x, height, width)


def upsample_nearest(x: Tensor, portable: bool = False) -> Tensor:
    """Double height and width of [B, C, H, W] by repetition.

    ``portable`` is for graphs that leave this device: operations that every exporter knows.
    """
    return (PORTABLE if portable else forms()).double(x)


def reflection_pad(x: Tensor, portable: bool = False) -> Tensor:
    """Pad [B, C, H, W] by one mirrored row and column on each side; H and W at least 2.

    ``portable`` as for :func:`upsample_nearest`.
    """
    return (PORTABLE if portable else forms()).pad(x)


def add_bias(x: Tensor, bias: Tensor, factors: Tensor | None = None) -> Tensor:
    """Add one number per channel, ``bias`` [C], to maps [B, C, H, W], times ``factors`` [C]."""
    return forms().bias(x, bias, factors)


def add_to_rows(rows: Tensor, bias: Tensor) -> Tensor:
    """Add one number per channel, ``bias`` [C], to rows [..., C]."""
    return forms().rows(rows, bias)


def average_halve(image: Tensor) -> Tensor:
    """The next level of the image pyramid: 2x2 averages of [B, C, H, W]."""
    return F.avg_pool2d(image, kernel_size=2, stride=2)


def window_mean(x: Tensor) -> Tensor:
    """3x3 means of [B, C, H + 2, W + 2] as [B, C, H, W]."""
    return forms().mean(x)


def sample_by_kernel(image: Tensor, grid: Tensor) -> Tensor:
    """:func:`warp` by Paddle's operation."""
    # Its backward kernels write the image's gradient whether or not it is asked for, on CPUs and
    # GPUs, and crash where there is none: they are given a copy that needs one.
    image = image.clone()
    image.stop_gradient = False
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def sample_by_gathering(image: Tensor, grid: Tensor) -> Tensor:
    """:func:`warp` by looking up the four pixels around each point."""
    batch, channels, height, width = image.shape
    x, y = paddle.split((grid + 1) / 2, 2, axis=3)  # [B, H, W, 1]
    x = paddle.clip(x * (width - 1), 0, width - 1)
    y = paddle.clip(y * (height - 1), 0, height - 1)
    left, top = paddle.floor(x.detach()), paddle.floor(y.detach())
    right, bottom = paddle.clip(left + 1, max=width - 1), paddle.clip(top + 1, max=height - 1)
    pixels = image.detach().transpose([0, 2, 3, 1]).reshape([-1, channels])
    first = paddle.arange(batch, dtype="int32").reshape([-1, 1, 1, 1]) * (height * width)

    def at(row: Tensor, column: Tensor) -> Tensor:
        index = first + (row * width + column).astype("int32")
        return paddle.gather(pixels, index.flatten()).reshape([*grid.shape[:3], channels])

    fx, fy = x - left, y - top
    above = at(top, left) * (1 - fx) + at(top, right) * fx
    below = at(bottom, left) * (1 - fx) + at(bottom, right) * fx
    return (above * (1 - fy) + below * fy).transpose([0, 3, 1, 2])


def resize_by_kernel(x: Tensor, height: int, width: int) -> Tensor:
    """:func:`resize_bilinear` by Paddle's operation."""
    return F.interpolate(x, size=[height, width], mode="bilinear", align_corners=False)


def resize_in_order(x: Tensor, height: int, width: int) -> Tensor:
    """:func:`resize_bilinear` whose gradient adds up in one order, if both factors are whole."""
    if height % x.shape[2] or width % x.shape[3]:
        return resize_by_kernel(x, height, width)
    x = _enlarge(x, height // x.shape[2], axis=2)
    return _enlarge(x, width // x.shape[3], axis=3)


def _enlarge(x: Tensor, factor: int, axis: int) -> Tensor:
    """Bilinear enlargement of [B, C, H, W] along one axis, by a whole number."""
    size = x.shape[axis]

    def part(start: int, end: int) -> Tensor:
        return paddle.slice(x, [axis], [start], [end])

    before = paddle.concat([part(0, 1), part(0, size - 1)], axis) if size > 1 else x
    after = paddle.concat([part(1, size), part(size - 1, size)], axis) if size > 1 else x
    parts = []
    for index in range(factor):
        offset = (index + 0.5) / factor - 0.5  # of the new pixel from the old one's centre
        parts.append(x + abs(offset) * ((after if offset > 0 else before) - x))
    shape = list(x.shape)
    shape[axis] *= factor
    return paddle.stack(parts, axis + 1).reshape(shape)


def double_by_expanding(x: Tensor) -> Tensor:
    """:func:`upsample_nearest` in operations that every exporter knows."""
    batch, channels, height, width = x.shape
    x = x.reshape([batch, channels, height, 1, width, 1])
    x = x.expand([batch, channels, height, 2, width, 2])
    return x.reshape([batch, channels, 2 * height, 2 * width])


def double_by_transposing(x: Tensor) -> Tensor:
    """:func:`upsample_nearest` by the transpose of a convolution, half the time on CPUs."""
    channels = x.shape[1]
    ones = paddle.ones([channels, 1, 2, 2], x.dtype)
    return F.conv2d_transpose(x, ones, stride=2, groups=channels)


def double_by_kernel(x: Tensor) -> Tensor:
    """:func:`upsample_nearest` by Paddle's operation."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def pad_by_copying(x: Tensor) -> Tensor:
    """:func:`reflection_pad` of slices, several times as fast on CPUs, forward and backward."""
    height, width = x.shape[2:]
    x = paddle.concat([x[:, :, :, 1:2], x, x[:, :, :, width - 2 : width - 1]], axis=3)
    return paddle.concat([x[:, :, 1:2], x, x[:, :, height - 2 : height - 1]], axis=2)


def pad_by_kernel(x: Tensor) -> Tensor:
    """:func:`reflection_pad` by Paddle's operation."""
    return F.pad(x, [1, 1, 1, 1], mode="reflect")


def add_by_broadcasting(x: Tensor, bias: Tensor, factors: Tensor | None = None) -> Tensor:
    """:func:`add_bias` as Paddle's convolutions do it."""
    x = x if factors is None else x * factors.reshape([1, -1, 1, 1])
    return x + bias.reshape([1, -1, 1, 1])


def add_by_channel(x: Tensor, bias: Tensor, factors: Tensor | None = None) -> Tensor:
    """:func:`add_bias` by an operation for channels, a tenth of the time on CPUs.

    Paddle broadcasts, and sums for the gradient, one number at a time.
    """
    affine_channel = getattr(paddle._C_ops, "affine_channel", None)
    if affine_channel is None:  # as in Paddle 2.6
        return add_by_broadcasting(x, bias, factors)
    if factors is None:
        # Its backward kernel computes the bias's gradient only where the factors need one as well.
        factors = paddle.ones(bias.shape, x.dtype)
        factors.stop_gradient = bias.stop_gradient
    return affine_channel(x, factors, bias, "NCHW")


def add_to_rows_by_broadcasting(rows: Tensor, bias: Tensor) -> Tensor:
    """:func:`add_to_rows` as Paddle's linear layers do it."""
    return rows + bias


def add_to_rows_by_product(rows: Tensor, bias: Tensor) -> Tensor:
    """:func:`add_to_rows` by a column of ones times the bias, a tenth of the time on CPUs.

    What :func:`add_by_channel` says of Paddle; here a product of matrices sums for the gradient.
    """
    ones = paddle.ones([*rows.shape[:-1], 1], rows.dtype)
    return rows + paddle.matmul(ones, bias.reshape([1, -1]))


def mean_by_convolution(x: Tensor) -> Tensor:
    """:func:`window_mean` by a convolution, which is faster than pooling on CPUs."""
    channels = x.shape[1]
    return F.conv2d(x, paddle.ones([channels, 1, 3, 3], x.dtype), groups=channels) / 9


def mean_by_pooling(x: Tensor) -> Tensor:
    """:func:`window_mean` by pooling."""
    return F.avg_pool2d(x, kernel_size=3, stride=1)


class Forms(NamedTuple):
    """Ways to compute the same: what is fast differs between devices."""

    sample: Form = sample_by_kernel
    double: Form = double_by_expanding
    pad: Form = pad_by_copying
    mean: Form = mean_by_convolution
    resize: Form = resize_by_kernel
    bias: Form = add_by_broadcasting
    rows: Form = add_to_rows_by_broadcasting


PORTABLE = Forms()
# By the kind of device. Those for GPUs follow from what the operations are made of; python -m
# tools.check_device measures all of ALTERNATIVES.
# Means on GPUs are no convolutions, which --tf32 rounds: variances are small differences of them.
FORMS = {
    "cpu": Forms(double=double_by_transposing, bias=add_by_channel, rows=add_to_rows_by_product),
    "gpu": Forms(double=double_by_kernel, pad=pad_by_kernel, mean=mean_by_pooling),
    # Without atomic additions, whose order is not always the same.
    "deterministic gpu": Forms(mean=mean_by_pooling, resize=resize_in_order),
}
ALTERNATIVES = {
    "sample": (sample_by_kernel, sample_by_gathering),
    "double": (double_by_expanding, double_by_kernel, double_by_transposing),
    "pad": (pad_by_copying, pad_by_kernel),
    "mean": (mean_by_convolution, mean_by_pooling),
    "bias": (add_by_broadcasting, add_by_channel),
    "rows": (add_to_rows_by_broadcasting, add_to_rows_by_product),
}


def forms() -> Forms:
    """Those for the device in use."""
    kind = device_kind()
    return FORMS["deterministic gpu" if kind == "gpu" and is_deterministic() else kind]


class LocalStatistics(NamedTuple):
    """An image [B, C, H, W] by 3x3 windows with mirrored borders, as SSIM compares images."""

    padded: Tensor  # the image and its borders [B, C, H + 2, W + 2]
    mean: Tensor  # of each window [B, C, H, W]
    variance: Tensor  # likewise


def local_statistics(image: Tensor) -> LocalStatistics:
    """The statistics of an image [B, C, H, W]."""
    padded = reflection_pad(image)
    mean = window_mean(padded)
    return LocalStatistics(padded, mean, window_mean(padded * padded) - mean * mean)


def ssim_distance(x: Tensor, y: Tensor, y_statistics: LocalStatistics | None = None) -> Tensor:
    """Structural dissimilarity (1 - SSIM) / 2 in [0, 1] over 3x3 windows, per pixel and channel.

    Args:
        x: [B, C, H, W] in [0, 1].
        y: like ``x``.
        y_statistics: of ``y``, where several images are compared with it.

    Returns:
        [B, C, H, W].
    """
    padded_x, mean_x, variance_x = local_statistics(x)
    padded_y, mean_y, variance_y = y_statistics or local_statistics(y)
    covariance = window_mean(padded_x * padded_y) - mean_x * mean_y
    numerator = (2 * mean_x * mean_y + SSIM_C1) * (2 * covariance + SSIM_C2)
    energy = mean_x * mean_x + mean_y * mean_y + SSIM_C1
    denominator = energy * (variance_x + variance_y + SSIM_C2)
    return paddle.clip((1 - numerator / denominator) / 2, 0, 1)


def edge_aware_smoothness(disp: Tensor, image: Tensor) -> Tensor:
    """Mean disparity gradient, less where the image has an edge (paper, equation 3).

    Args:
        disp: [B, 1, H, W], already divided by its mean.
        image: [B, 3, H, W] in [0, 1].

    Returns:
        Scalar.
    """
    disp_dx, disp_dy = step_sizes(disp, 3), step_sizes(disp, 2)
    image_dx = step_sizes(image, 3).mean(axis=1, keepdim=True)
    image_dy = step_sizes(image, 2).mean(axis=1, keepdim=True)
    return (disp_dx * paddle.exp(-image_dx)).mean() + (disp_dy * paddle.exp(-image_dy)).mean()


def step_sizes(x: Tensor, axis: int) -> Tensor:
    """Absolute differences of neighbours along an axis, which gets shorter by one."""
    # Split, because the gradient of slices is slow.
    steps = x.shape[axis] - 1
    before, _ = paddle.split(x, [steps, 1], axis)
    _, after = paddle.split(x, [1, steps], axis)
    return paddle.abs(before - after)
