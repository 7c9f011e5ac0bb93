"""Every path of the project's own through Paddle, forward and backward, against Paddle's own one.

What is the same in exact arithmetic is written twice: as the project computes it, and in Paddle's
plainest operations. Both run on the device, and both are timed, because which of them is faster
depends on it; so are all the forms of which :mod:`layers` takes one for each kind of device.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Callable

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import Tensor
from paddle.vision.transforms import functional_tensor

import layers
from layers import (
    add_by_broadcasting,
    double_by_kernel,
    mean_by_pooling,
    pad_by_kernel,
    sample_by_gathering,
)
from system.device import choose_device, device_kind
from tools.device.rows import NOT_HERE, Row, Settings, judged
from training import objective
from training.color_jitter import jitter_batch
from training.cpu.fast_paths import fast_paths
from training.recompute import recomputed
from training.transfer import to_device

TOLERANCE = 1e-4  # of the largest value: float32 added up in another order; TF32 is above it
ROUNDS = 5  # that are timed
FASTER = 1.2  # a form is named that takes so many times less than the one taken
ENLARGEMENT = "enlargement"


@dataclass(frozen=True)
class CustomPath:
    """The same function twice.

    Attributes:
        name: of it.
        ours: as the project computes it; takes tensors, gives one.
        theirs: in Paddle's own operations.
        inputs: what both are given, float32.
        learning: which of the inputs get a gradient, by their places.
        tolerance: relative to the largest value.
        form: of which :data:`layers.ALTERNATIVES` it is, if of any.
    """

    name: str
    ours: Callable[..., Tensor]
    theirs: Callable[..., Tensor]
    inputs: Sequence[np.ndarray]
    learning: Sequence[int] = (0,)
    tolerance: float = TOLERANCE
    form: str = ""


def check_paths(settings: Settings) -> Iterator[Row]:
    """A row for each path, and for each function that has several forms."""
    choose_device(settings.device)
    for path in custom_paths(*settings.size, settings.batch_size):
        yield path_row(path)
        if path.form:
            yield form_row(path, layers.ALTERNATIVES[path.form])
    yield copies_row()
    if fast_paths().kernels is None:
        why = "for CPUs, with Numba (pip install -r requirements-cpu.txt)"
        yield Row("fused kernels", NOT_HERE, why)


def check_deterministic_paths(settings: Settings) -> Iterator[Row]:
    """Rows of the paths that are other ones with ``--deterministic``."""
    if not choose_device(settings.device, deterministic=True).startswith("gpu"):
        yield Row("paths, deterministic", NOT_HERE, "CPUs take the same paths with and without")
        return
    for path in custom_paths(*settings.size, settings.batch_size):
        if path.form or path.name == ENLARGEMENT:
            row = path_row(path)
            yield replace(row, name=f"{row.name}, deterministic")


def custom_paths(height: int, width: int, batch: int) -> list[CustomPath]:
    """Those that training and prediction go through, on images of a size."""
    rng = np.random.default_rng(0)
    maps = rng.standard_normal((batch, 16, height // 2, width // 2)).astype(np.float32)
    bias = rng.standard_normal(16).astype(np.float32)
    rows = np.ascontiguousarray(maps.transpose(0, 2, 3, 1))
    padded = rng.random((batch, 3, height + 2, width + 2), np.float32)
    x, y = (smooth_images(rng, batch, height, width) for _ in range(2))
    errors = [rng.random((batch, 1, height, width), np.float32) for _ in range(3)]
    grid = rng.uniform(-1.1, 1.1, (batch, height, width, 2)).astype(np.float32)
    view = depth_and_cameras(rng, batch, height, width)
    paths = [
        CustomPath("sampling", layers.warp, sample_by_gathering, [x, grid], [1], form="sample"),
        CustomPath("projection", project, project_in_double, view, learning=[0, 2]),
        CustomPath("mirrored padding", layers.reflection_pad, pad_by_kernel, [maps], form="pad"),
        CustomPath("doubling", layers.upsample_nearest, double_by_kernel, [maps], form="double"),
        CustomPath("bias", layers.add_bias, add_by_broadcasting, [maps, bias], [0, 1], form="bias"),
        CustomPath(
            "bias of rows", layers.add_to_rows, paddle.add, [rows, bias], [0, 1], form="rows"
        ),
        CustomPath("window means", layers.window_mean, mean_by_pooling, [padded], form="mean"),
        CustomPath(ENLARGEMENT, enlarge, enlarge_by_kernel, [maps]),
        CustomPath("SSIM", layers.ssim_distance, ssim, [x, y], tolerance=1e-3),
        CustomPath("smallest error", smallest, smallest_along_axis, errors, learning=[0, 1, 2]),
        CustomPath("recomputation", recomputed(mean_by_pooling), mean_by_pooling, [padded]),
        CustomPath("colour jitter", jitter, jitter_one_by_one, [x], learning=[]),
    ]
    kernels = fast_paths().kernels
    if kernels is None:
        return paths
    plain = objective.PLAIN

    def fused_warp(depth: Tensor, K: Tensor, T: Tensor, image: Tensor) -> Tensor:
        return kernels.warp_sources([image], depth, K, [T])[0]

    def plain_warp(depth: Tensor, K: Tensor, T: Tensor, image: Tensor) -> Tensor:
        return plain.warp_sources([image], depth, K, [T])[0]

    def fused_error(prediction: Tensor, target: Tensor) -> Tensor:
        return kernels.photometric_error(prediction, target, ssim=True)

    def plain_error(prediction: Tensor, target: Tensor) -> Tensor:
        return plain.photometric_error(prediction, target, ssim=True)

    return [
        *paths,
        # A coordinate that rounds to the other side of a pixel centre has another gradient.
        CustomPath("fused warp", fused_warp, plain_warp, [*view, x], [0, 2], tolerance=1e-2),
        CustomPath("fused error", fused_error, plain_error, [x, y], tolerance=1e-3),
    ]


def smooth_images(rng: np.random.Generator, batch: int, height: int, width: int) -> np.ndarray:
    """Images [B, 3, H, W] in [0, 1] of a few waves each, so that none of their steps is sharp."""
    v, u = np.mgrid[:height, :width]
    fields = []
    for _ in range(3 * batch):
        by_u, by_v, start = rng.uniform(0.1, 0.6, 3)
        fields.append(0.5 + 0.2 * np.sin(by_u * u + 9 * start) + 0.2 * np.sin(by_v * v + by_u * u))
    return np.array(fields, np.float32).reshape(batch, 3, height, width)


def depth_and_cameras(
    rng: np.random.Generator, batch: int, height: int, width: int
) -> list[np.ndarray]:
    """Depth [B, 1, H, W], intrinsics [B, 3, 3] and a motion [B, 4, 4]."""
    depth = rng.uniform(2, 20, (batch, 1, height, width)).astype(np.float32)
    # The centre lies between pixels: at whole coordinates bilinear sampling has no derivative.
    K = np.array([[0.58 * width, 0, 0.5 * width - 0.31], [0, 1.92 * height, 0.47 * height]])
    K = np.concatenate([K, [[0, 0, 1]]])
    T = np.eye(4)
    T[:3, 3] = 0.13, 0.02, -0.21
    T[0, 2], T[2, 0] = 0.01, -0.01
    return [depth, *(np.repeat(m[None], batch, 0).astype(np.float32) for m in (K, T))]


def project(depth: Tensor, K: Tensor, T: Tensor) -> Tensor:
    """Where pixels at a depth are seen by another camera, [B, H, W, 2]."""
    return layers.project(layers.back_project(depth, K), K, T, *depth.shape[2:])


def project_in_double(depth: Tensor, K: Tensor, T: Tensor) -> Tensor:
    """The same by the inverse of the intrinsics, in float64."""
    depth, K, T = (each.astype("float64") for each in (depth, K, T))
    batch, _, height, width = depth.shape
    pixels = layers.pixel_grid(height, width, paddle.float64)
    points = paddle.matmul(paddle.linalg.inv(K), pixels) * depth.reshape([batch, 1, -1])
    seen = paddle.matmul(K, paddle.matmul(T[:, :3, :3], points) + T[:, :3, 3:])
    x, y, z = (seen[:, i] for i in range(3))
    x, y = 2 * x / z / (width - 1) - 1, 2 * y / z / (height - 1) - 1
    return paddle.stack([x, y], axis=2).reshape([batch, height, width, 2]).astype("float32")


def enlarge(x: Tensor) -> Tensor:
    """The project's bilinear enlargement, to four times the size."""
    return layers.resize_bilinear(x, 4 * x.shape[2], 4 * x.shape[3])


def enlarge_by_kernel(x: Tensor) -> Tensor:
    """Paddle's bilinear enlargement."""
    return F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """(1 - SSIM) / 2 by Paddle's padding and pooling."""
    x, y, pool = pad_by_kernel(x), pad_by_kernel(y), mean_by_pooling
    mean_x, mean_y = pool(x), pool(y)
    variance_x, variance_y = pool(x * x) - mean_x**2, pool(y * y) - mean_y**2
    covariance = pool(x * y) - mean_x * mean_y
    above = (2 * mean_x * mean_y + layers.SSIM_C1) * (2 * covariance + layers.SSIM_C2)
    below = (mean_x**2 + mean_y**2 + layers.SSIM_C1) * (variance_x + variance_y + layers.SSIM_C2)
    return paddle.clip((1 - above / below) / 2, 0, 1)


def smallest(*errors: Tensor) -> Tensor:
    """The project's minimum over sources."""
    return objective.minimum_error(errors)


def smallest_along_axis(*errors: Tensor) -> Tensor:
    """Paddle's minimum along an axis."""
    return paddle.concat(errors, axis=1).min(axis=1, keepdim=True)


# Brightness, contrast and saturation of each item, and in which order.
AMOUNTS, ORDERS = (1.15, 0.85, 1.1), ((0, 1, 2), (2, 1, 0), (1, 0, 2))


def jitter(images: Tensor) -> Tensor:
    """The project's change of colours, of all items at once; the hue stays."""
    draws = [[*AMOUNTS, 0, *ORDERS[i % 3], 3] for i in range(images.shape[0])]
    return jitter_batch(images.unsqueeze(1), np.array(draws, np.float32))[:, 0]


def jitter_one_by_one(images: Tensor) -> Tensor:
    """The same by Paddle's own functions for pictures."""
    functions = [
        functional_tensor.adjust_brightness,
        functional_tensor.adjust_contrast,
        functional_tensor.adjust_saturation,
    ]
    changed = []
    for i in range(images.shape[0]):
        image = images[i]
        for which in ORDERS[i % 3]:
            image = functions[which](image, AMOUNTS[which])
        changed.append(image)
    return paddle.stack(changed)


def path_row(path: CustomPath) -> Row:
    """How far the two ways are from each other, and what they cost."""
    results, milliseconds = zip(*(run(path, way) for way in (path.ours, path.theirs)))
    deviations = [deviation(a, b) for a, b in zip(*results)]
    words = f"deviation {deviations[0]:.1e}"
    if path.learning:
        words += f", of gradients {max(deviations[1:]):.1e}"
    words += f"; {milliseconds[0]:.2f} ms, Paddle's own {milliseconds[1]:.2f} ms"
    return judged(
        f"path: {path.name}",
        # Not by the largest alone, which passes over what is no number.
        all(each <= path.tolerance for each in deviations),
        words,
        deviations=deviations,
        milliseconds=milliseconds,
        tolerance=path.tolerance,
    )


def form_row(path: CustomPath, ways: Sequence[Callable[..., Tensor]]) -> Row:
    """What each form of a function costs here, and whether the one taken is the fastest."""
    taken = getattr(layers.forms(), path.form).__name__
    expected, _ = run(path, path.theirs)
    costs, worst = {}, 0.0
    for way in ways:
        found, costs[way.__name__] = run(path, way)
        worst = max([worst, *(deviation(a, b) for a, b in zip(found, expected))])
    words = ", ".join(f"{name} {cost:.2f} ms" for name, cost in costs.items())
    fastest = min(costs, key=costs.get)
    words += f"; {taken} is taken"
    if costs[taken] > FASTER * costs[fastest]:
        words += f", {fastest} is faster here"
        if device_kind() == "gpu":  # where none was measured yet
            words += ": send this row"
    figures = {"taken": taken, "fastest": fastest, "milliseconds": costs, "deviation": worst}
    return judged(f"forms of {path.name}", worst <= path.tolerance, words, **figures)


def copies_row() -> Row:
    """Whether what is copied to the device is what comes back, while the device is at work."""
    rng = np.random.default_rng(0)
    large = paddle.ones([512, 512])
    sent = [rng.integers(0, 256, (4, 3, 64, 96), np.uint8), rng.random((4, 3, 3), np.float32)]
    sent += [rng.random((4, 5), np.float32), np.arange(4)]
    differing = 0
    for turn in range(ROUNDS):
        for _ in range(ROUNDS):
            large = paddle.matmul(large, large) / 512
        expected = [array + array.dtype.type(turn) for array in sent]
        copies = to_device([array.copy() for array in expected])
        same = [np.array_equal(copy.numpy(), e) for copy, e in zip(copies, expected)]
        differing += same.count(False)
    count = ROUNDS * len(sent)
    words = f"{count - differing} of {count} arrays arrived as they were sent"
    return judged("copies to the device", differing == 0, words, differing=differing)


def run(path: CustomPath, way: Callable[..., Tensor]) -> tuple[list[np.ndarray], float]:
    """Values and gradients of one way, and its milliseconds."""
    tensors = [paddle.to_tensor(array) for array in path.inputs]
    for place in path.learning:
        tensors[place].stop_gradient = False
    return values_and_gradients(way, tensors), timed(way, tensors)


def values_and_gradients(way: Callable[..., Tensor], tensors: Sequence[Tensor]) -> list[np.ndarray]:
    """What a function gives, and the gradients of its values' sum under fixed random weights."""
    value = way(*tensors)
    results = [value.numpy()]
    learning = [tensor for tensor in tensors if not tensor.stop_gradient]
    if learning:
        weights = np.random.default_rng(1).random(value.shape, np.float32)
        (value * paddle.to_tensor(weights)).sum().backward()
        results += [tensor.grad.numpy() for tensor in learning]
        for tensor in learning:
            tensor.clear_gradient()
    return results


def deviation(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest value expected."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return math.inf
    return float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12))


def timed(way: Callable[..., Tensor], tensors: Sequence[Tensor]) -> float:
    """Milliseconds of a function, forward and backward; the median."""
    learning = [tensor for tensor in tensors if not tensor.stop_gradient]
    found = []
    for _ in range(ROUNDS):
        synchronise()
        start = time.perf_counter()
        value = way(*tensors)
        if learning:
            value.sum().backward()
        synchronise()
        found.append(time.perf_counter() - start)
        for tensor in learning:
            tensor.clear_gradient()
    return 1000 * statistics.median(found)


def synchronise() -> None:
    """Wait until the device has done all that it was given; a CPU has."""
    if device_kind() == "gpu":
        paddle.device.synchronize()
