"""Reprojection and photometric error in one pass each over an image, on CPUs.

What :func:`training.objective.warp_sources` and :func:`training.objective.photometric_error` say,
with their gradients written out and compiled by Numba. Nothing is kept for the backward pass but
the images, and both passes use all cores. Whoever changes those two functions changes these, or
trains with ``--eager``; ``tests/test_training_cpu_fused.py`` compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import paddle
from numba import njit
from paddle import Tensor
from paddle.autograd import PyLayer

from layers import EPSILON, SSIM_C1, SSIM_C2, LocalStatistics
from training.cpu.arrays import empty, to_tensor
from training.cpu.process import share_of_cores
from training.objective import PLAIN, SSIM_WEIGHT, Kernels

# Of float32, so that the kernels compute in it.
ZERO, ONE, TWO, NINTH = (np.float32(value) for value in (0, 1, 2, 1 / 9))
C1, C2 = np.float32(SSIM_C1), np.float32(SSIM_C2)
# By NumPy's rules a division by zero is infinite; Python would raise, and loops stay scalar.
compiled = njit(nogil=True, cache=True, error_model="numpy")
TOLERANCE = 1e-4  # of the largest value, for the check; rounding: 3e-6


@compiled
def _place(q, limit):  # noqa: ANN001, ANN202
    """Clip a coordinate to the image: its pixel, the next one, and how far between the two."""
    if not q > 0:  # also what is no number
        q = 0.0
    elif q > limit:
        q = float(limit)
    first = int(q)
    return first, min(first + 1, limit), np.float32(q - first)


@compiled
def _reproject(image, depth, K, P, warped):  # noqa: ANN001, ANN202
    channels, height, width = image.shape
    for v in range(height):
        b = (v - K[1, 2]) / K[1, 1]
        for u in range(width):
            a = (u - K[0, 2]) / K[0, 0]
            d = depth[v, u]
            z = (P[2, 0] * a + P[2, 1] * b + P[2, 2]) * d + P[2, 3] + EPSILON
            x = ((P[0, 0] * a + P[0, 1] * b + P[0, 2]) * d + P[0, 3]) / z
            y = ((P[1, 0] * a + P[1, 1] * b + P[1, 2]) * d + P[1, 3]) / z
            x0, x1, fx = _place(x, width - 1)
            y0, y1, fy = _place(y, height - 1)
            for c in range(channels):
                top = image[c, y0, x0] * (ONE - fx) + image[c, y0, x1] * fx
                bottom = image[c, y1, x0] * (ONE - fx) + image[c, y1, x1] * fx
                warped[c, v, u] = top * (ONE - fy) + bottom * fy


@compiled
def _reproject_gradient(image, depth, K, P, grad, depth_grad, P_grad):  # noqa: ANN001, ANN202
    channels, height, width = image.shape
    for v in range(height):
        b = (v - K[1, 2]) / K[1, 1]
        for u in range(width):
            a = (u - K[0, 2]) / K[0, 0]
            d = depth[v, u]
            ray_x = P[0, 0] * a + P[0, 1] * b + P[0, 2]
            ray_y = P[1, 0] * a + P[1, 1] * b + P[1, 2]
            ray_z = P[2, 0] * a + P[2, 1] * b + P[2, 2]
            nearness = 1 / (ray_z * d + P[2, 3] + EPSILON)
            x, y = (ray_x * d + P[0, 3]) * nearness, (ray_y * d + P[1, 3]) * nearness
            x0, x1, fx = _place(x, width - 1)
            y0, y1, fy = _place(y, height - 1)
            by_x, by_y = ZERO, ZERO
            for c in range(channels):
                p00, p01 = image[c, y0, x0], image[c, y0, x1]
                p10, p11 = image[c, y1, x0], image[c, y1, x1]
                g = grad[c, v, u]
                by_x += g * ((p01 - p00) * (ONE - fy) + (p11 - p10) * fy)
                by_y += g * ((p10 - p00) * (ONE - fx) + (p11 - p01) * fx)
            # Where a coordinate was clipped, moving it changes nothing.
            along_x = by_x * nearness if 0 < x < width - 1 else 0.0
            along_y = by_y * nearness if 0 < y < height - 1 else 0.0
            along_z = -(along_x * x + along_y * y) if along_x != 0 or along_y != 0 else 0.0
            depth_grad[v, u] = along_x * ray_x + along_y * ray_y + along_z * ray_z
            for row, along in enumerate((along_x, along_y, along_z)):
                P_grad[row, 0] += along * a * d
                P_grad[row, 1] += along * b * d
                P_grad[row, 2] += along * d
                P_grad[row, 3] += along


@compiled
def _mirror(image, padded):  # noqa: ANN001, ANN202
    """One mirrored row and column on each side of [H, W]."""
    height, width = image.shape
    padded[1:-1, 1:-1] = image
    padded[1:-1, 0] = image[:, 1]
    padded[1:-1, width + 1] = image[:, width - 2]
    padded[0] = padded[2]
    padded[height + 1] = padded[height - 1]


@compiled
def _column_sums(x, y, v, sums):  # noqa: ANN001, ANN202
    """Sums over three rows of x, y, x^2, y^2 and x y."""
    for j in range(x.shape[1]):
        x0, x1, x2 = x[v, j], x[v + 1, j], x[v + 2, j]
        y0, y1, y2 = y[v, j], y[v + 1, j], y[v + 2, j]
        sums[0, j] = x0 + x1 + x2
        sums[1, j] = y0 + y1 + y2
        sums[2, j] = x0 * x0 + x1 * x1 + x2 * x2
        sums[3, j] = y0 * y0 + y1 * y1 + y2 * y2
        sums[4, j] = x0 * y0 + x1 * y1 + x2 * y2


@compiled
def _similarity(sums, u):  # noqa: ANN001, ANN202
    """Both means over the window at column u, and SSIM's factors above and below its fraction."""
    mx = (sums[0, u] + sums[0, u + 1] + sums[0, u + 2]) * NINTH
    my = (sums[1, u] + sums[1, u + 1] + sums[1, u + 2]) * NINTH
    vx = (sums[2, u] + sums[2, u + 1] + sums[2, u + 2]) * NINTH - mx * mx
    vy = (sums[3, u] + sums[3, u + 1] + sums[3, u + 2]) * NINTH - my * my
    covariance = (sums[4, u] + sums[4, u + 1] + sums[4, u + 2]) * NINTH - mx * my
    n1, n2 = TWO * mx * my + C1, TWO * covariance + C2
    d1, d2 = mx * mx + my * my + C1, vx + vy + C2
    return mx, my, n1, n2, d1, d2


@compiled
def _error(x, y, ssim_weight, error):  # noqa: ANN001, ANN202
    channels, height, width = x.shape
    px = np.empty((height + 2, width + 2), np.float32)
    py = np.empty((height + 2, width + 2), np.float32)
    sums = np.empty((5, width + 2), np.float32)
    structure = np.float32(ssim_weight / channels)
    difference = np.float32((1 - ssim_weight) / channels)
    error[:] = 0
    for c in range(channels):
        _mirror(x[c], px)
        _mirror(y[c], py)
        for v in range(height):
            _column_sums(px, py, v, sums)
            for u in range(width):
                _, _, n1, n2, d1, d2 = _similarity(sums, u)
                distance = min(max((ONE - n1 * n2 / (d1 * d2)) / TWO, ZERO), ONE)
                error[v, u] += structure * distance + difference * abs(x[c, v, u] - y[c, v, u])


@compiled
def _error_gradient(x, y, ssim_weight, grad, x_grad):  # noqa: ANN001, ANN202
    channels, height, width = x.shape
    px = np.empty((height + 2, width + 2), np.float32)
    py = np.empty((height + 2, width + 2), np.float32)
    sums = np.empty((5, width + 2), np.float32)
    # By the mean, the mean square and the mean product of a window, with a border of zeros.
    by = np.zeros((3, height + 4, width + 4), np.float32)
    box = np.empty((3, width + 4), np.float32)
    padded_grad = np.empty((height + 2, width + 2), np.float32)
    structure = np.float32(-0.5 * ssim_weight / channels / 9)
    difference = np.float32((1 - ssim_weight) / channels)
    for c in range(channels):
        _mirror(x[c], px)
        _mirror(y[c], py)
        for v in range(height):
            _column_sums(px, py, v, sums)
            for u in range(width):
                mx, my, n1, n2, d1, d2 = _similarity(sums, u)
                below = ONE / (d1 * d2)
                similarity = n1 * n2 * below
                inside = abs(similarity) < ONE  # the distance is clipped to 0 and 1
                g = structure * grad[v, u] if inside else ZERO
                mean = my * (n2 - n1) * below - mx * similarity * (d2 - d1) * below
                by[0, v + 2, u + 2] = g * TWO * mean
                by[1, v + 2, u + 2] = -g * similarity * d1 * below
                by[2, v + 2, u + 2] = g * TWO * n1 * below
        for i in range(height + 2):
            for k in range(3):
                for j in range(width + 4):
                    box[k, j] = by[k, i, j] + by[k, i + 1, j] + by[k, i + 2, j]
            for j in range(width + 2):
                mean = box[0, j] + box[0, j + 1] + box[0, j + 2]
                square = box[1, j] + box[1, j + 1] + box[1, j + 2]
                product = box[2, j] + box[2, j + 1] + box[2, j + 2]
                padded_grad[i, j] = mean + TWO * px[i, j] * square + py[i, j] * product
        # What the mirrored border took belongs to the pixels that it mirrors.
        padded_grad[2] += padded_grad[0]
        padded_grad[height - 1] += padded_grad[height + 1]
        padded_grad[:, 2] += padded_grad[:, 0]
        padded_grad[:, width - 1] += padded_grad[:, width + 1]
        for v in range(height):
            for u in range(width):
                sign = np.sign(x[c, v, u] - y[c, v, u])
                x_grad[c, v, u] = padded_grad[v + 1, u + 1] + difference * sign * grad[v, u]


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(share_of_cores(processes=1), "fused")


def _per_item(kernel: Callable[..., None], *arrays: Any) -> None:
    """Run a kernel on every item of a batch; what is no array goes to each."""
    batch = len(arrays[0])
    items = [a if isinstance(a, np.ndarray) else [a] * batch for a in arrays]
    list(_pool().map(kernel, *items))


def _array(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().contiguous()
    if not hasattr(tensor, "__dlpack__"):  # as before Paddle 3
        return tensor.numpy()
    return np.from_dlpack(tensor)


class _Reproject(PyLayer):
    @staticmethod
    def forward(ctx, depth, P, image, K):  # noqa: ANN001, ANN205
        ctx.moves = not P.stop_gradient
        image, depth = _array(image), _array(depth)[:, 0]
        K, P = _array(K).astype(np.float64), _array(P).astype(np.float64)
        result, warped = empty(image.shape, np.float32)
        _per_item(_reproject, image, depth, K, P, warped)
        ctx.arrays = image, depth, K, P
        return result

    @staticmethod
    def backward(ctx, grad):  # noqa: ANN001, ANN205
        result, depth_grad = empty(ctx.arrays[1].shape, np.float32)
        P_grad = np.zeros_like(ctx.arrays[3])
        _per_item(_reproject_gradient, *ctx.arrays, _array(grad), depth_grad, P_grad)
        # A known motion, as between stereo cameras, takes no gradient.
        P_grad = to_tensor(P_grad.astype(np.float32)) if ctx.moves else None
        return result.unsqueeze(1), P_grad, None, None


class _PhotometricError(PyLayer):
    @staticmethod
    def forward(ctx, prediction, target, ssim_weight):  # noqa: ANN001, ANN205
        x, y = _array(prediction), _array(target)
        result, error = empty((len(x), *x.shape[2:]), np.float32)
        _per_item(_error, x, y, ssim_weight, error)
        ctx.arrays = x, y, ssim_weight
        return result.unsqueeze(1)

    @staticmethod
    def backward(ctx, grad):  # noqa: ANN001, ANN205
        result, x_grad = empty(ctx.arrays[0].shape, np.float32)
        _per_item(_error_gradient, *ctx.arrays, _array(grad)[:, 0], x_grad)
        return result, None


def warp_sources(
    sources: Sequence[Tensor], depth: Tensor, K: Tensor, transforms: Sequence[Tensor]
) -> list[Tensor]:
    """As :func:`training.objective.warp_sources`; sources and ``K`` get no gradient.

    Args:
        sources: [B, C, H, W] each.
        depth: of the target, [B, 1, H, W].
        K: [B, 3, 3], pinhole without skew, in pixels of H x W.
        transforms: ``source_T_target`` [B, 4, 4] of each source.
    """
    return [
        _Reproject.apply(depth, paddle.matmul(K, source_T_target[:, :3]), source, K)
        for source, source_T_target in zip(sources, transforms)
    ]


def photometric_error(
    prediction: Tensor, target: Tensor, ssim: bool, statistics: LocalStatistics | None = None
) -> Tensor:
    """As :func:`training.objective.photometric_error`; the target gets no gradient.

    ``statistics`` are not looked at.
    """
    return _PhotometricError.apply(prediction, target, SSIM_WEIGHT if ssim else 0.0)


KERNELS = Kernels(warp_sources, photometric_error, compilable=False)


def check() -> None:
    """Compute a small image's errors and gradients as Paddle's operations do, on the CPU.

    Raises:
        Exception: of any kind, where that fails or comes out otherwise.
    """
    rng = np.random.default_rng(0)
    image, target = (to_tensor(rng.random((1, 3, 6, 8), np.float32)) for _ in range(2))
    K = to_tensor(np.array([[[8, 0, 3.7], [0, 8, 2.3], [0, 0, 1]]], np.float32))
    source_T_target = np.eye(4, dtype=np.float32)[None]
    source_T_target[0, :3, 3] = -0.1, 0.02, 0.05
    results = []
    for kernels in (PLAIN, KERNELS):
        depth, T = to_tensor(np.full((1, 1, 6, 8), 2, np.float32)), to_tensor(source_T_target)
        depth.stop_gradient = T.stop_gradient = False
        with paddle.enable_grad():
            (warped,) = kernels.warp_sources([image], depth, K, [T])
            error = kernels.photometric_error(warped, target, ssim=True)
            error.sum().backward()
        results.append([part.numpy() for part in (warped, error, depth.grad, T.grad)])
    for plain, fused in zip(*results):
        np.testing.assert_allclose(fused, plain, rtol=0, atol=TOLERANCE * np.abs(plain).max())
