"""The fused kernels against known geometry, finite differences and Paddle's operations."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import paddle
import pytest

pytest.importorskip("numba", reason="the fused kernels need Numba, an extra")

from datasets.conventions import STEREO
from networks.monodepth import Architecture, Motion, Prediction
from training import objective
from training.cpu import fused
from training.objective import Objective

BATCH, HEIGHT, WIDTH = 2, 32, 64
pytestmark = pytest.mark.skipif(
    not paddle.device.get_device().startswith("cpu"), reason="the kernels are for CPUs"
)


def tensor(array, learns=False):
    made = paddle.to_tensor(np.asarray(array, np.float32))
    made.stop_gradient = not learns
    return made


def texture(seed, batch=BATCH):
    """Smooth random images [B, 3, H, W] in [0, 1]."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    waves = [
        np.sin(u * rng.uniform(0.1, 0.6) + v * rng.uniform(0.1, 0.6) + rng.uniform(0, 6))
        for _ in range(12 * batch)
    ]
    return tensor(0.5 + 0.1 * np.array(waves).reshape(batch, 4, 3, HEIGHT, WIDTH).sum(1))


def intrinsics(batch=BATCH):
    # The centre lies between pixels: at whole coordinates bilinear sampling has no derivative.
    return tensor(np.repeat([[[40, 0, 31.7], [0, 40, 15.3], [0, 0, 1]]], batch, axis=0))


def transforms(batch=BATCH, x=-0.1, z=0.05):
    T = np.repeat(np.eye(4)[None], batch, axis=0)
    T[:, :3, 3] = x, 0.02, z
    T[:, 0, 1], T[:, 1, 0] = 0.01, -0.01
    return tensor(T, learns=True)


def depths(seed=0, batch=BATCH):
    return tensor(np.random.default_rng(seed).uniform(1, 3, (batch, 1, HEIGHT, WIDTH)), learns=True)


def test_a_shift_by_whole_pixels_moves_the_image():
    image, depth = texture(0), paddle.full([BATCH, 1, HEIGHT, WIDTH], 2.0)
    T = np.repeat(np.eye(4)[None], BATCH, axis=0)
    T[:, 0, 3] = 3 * 2.0 / 40  # 3 pixels at focal length 40 and depth 2
    (warped,) = fused.warp_sources([image], depth, intrinsics(), [tensor(T)])
    np.testing.assert_allclose(
        warped.numpy()[..., :-4], image.numpy()[..., 3:-1], rtol=0, atol=1e-5
    )
    # Outside, the border goes on.
    edge = np.repeat(image.numpy()[..., -1:], 3, axis=3)
    np.testing.assert_allclose(warped.numpy()[..., -3:], edge, rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
def test_warping_and_its_gradients_are_those_of_paddles_operations(batch):
    sources = [texture(seed, batch) for seed in (1, 2)]
    weight = texture(3, batch)
    results = []
    for warp_sources in (objective.warp_sources, fused.warp_sources):
        depth, T, known = depths(0, batch), transforms(batch), transforms(batch, 0.2).detach()
        warped = warp_sources(sources, depth, intrinsics(batch), [T, known])
        sum((image * weight).sum() for image in warped).backward()
        results.append([*warped, depth.grad, T.grad])
    for plain, kernel in zip(*results):
        a, b = plain.numpy(), kernel.numpy()
        np.testing.assert_allclose(b, a, rtol=0, atol=2e-4 * np.abs(a).max())


def test_what_cannot_be_projected_is_no_crash_and_no_gradient():
    # All points fall into the plane of the camera, or their depth is no number.
    for value, z in ((2.0, -2.0), (np.nan, 0.05)):
        depth, T = tensor(np.full((BATCH, 1, HEIGHT, WIDTH), value), learns=True), transforms(z=z)
        (warped,) = fused.warp_sources([texture(0)], depth, intrinsics(), [T])
        assert np.isfinite(warped.numpy()).all()
        warped.sum().backward()
        assert not depth.grad.numpy().any()
        if z < 0:
            assert not T.grad.numpy().any()


@pytest.mark.parametrize("ssim", [True, False])
def test_the_error_and_its_gradient_are_those_of_paddles_operations(ssim):
    target, weight = texture(1), texture(2)[:, :1]
    results = []
    for error_of in (objective.photometric_error, fused.photometric_error):
        prediction = tensor(texture(0).numpy(), learns=True)
        error = error_of(prediction, target, ssim)
        (error * weight).sum().backward()
        results.append([error, prediction.grad])
    for plain, kernel in zip(*results):
        a, b = plain.numpy(), kernel.numpy()
        np.testing.assert_allclose(b, a, rtol=0, atol=5e-4 * np.abs(a).max())


def test_equal_images_have_no_error_and_no_gradient():
    image = tensor(texture(0).numpy(), learns=True)
    error = fused.photometric_error(image, image.detach(), ssim=True)
    error.sum().backward()
    np.testing.assert_allclose(error.numpy(), 0, atol=1e-6)
    np.testing.assert_allclose(image.grad.numpy(), 0, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_the_errors_gradient_is_its_change(seed):
    """A step along a smooth direction changes the error by the gradient along it."""
    image, target, along = (texture(s).numpy() for s in (seed, seed + 10, seed + 20))
    prediction = tensor(image, learns=True)
    fused.photometric_error(prediction, tensor(target), ssim=True).sum().backward()
    step = 1e-3
    ends = [
        fused.photometric_error(tensor(image + sign * step * along), tensor(target), ssim=True)
        for sign in (1, -1)
    ]
    change = (ends[0].numpy().astype(np.float64) - ends[1].numpy()).sum() / (2 * step)
    assert (prediction.grad.numpy() * along).sum() == pytest.approx(change, rel=0.01)


def test_the_warps_gradients_are_its_change():
    """By depth, and by each entry of the motion; the image is a plane, so it has no kinks."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    plane = np.broadcast_to(0.01 * u + 0.013 * v, (BATCH, 3, HEIGHT, WIDTH))
    weight = np.zeros((BATCH, 3, HEIGHT, WIDTH), np.float32)
    weight[:, :, 10:20, 20:40] = texture(0).numpy()[:, :, 10:20, 20:40]  # away from the border

    def value(depth, T):
        warped = fused.warp_sources([tensor(plane)], depth, intrinsics(), [T])[0].numpy()
        return (warped.astype(np.float64) * weight).sum()

    depth, T = depths(), transforms()
    (warped,) = fused.warp_sources([tensor(plane)], depth, intrinsics(), [T])
    (warped * tensor(weight)).sum().backward()
    step = 1e-2
    along = np.random.default_rng(5).uniform(-1, 1, depth.shape).astype(np.float32)
    ends = [value(tensor(depth.numpy() + sign * step * along), T) for sign in (1, -1)]
    change = (ends[0] - ends[1]) / (2 * step)
    assert (depth.grad.numpy() * along).sum() == pytest.approx(change, rel=0.01)
    for row in range(3):
        for column in range(4):
            moved = []
            for sign in (1, -1):
                matrix = T.numpy()
                matrix[0, row, column] += sign * step
                moved.append(value(depth, tensor(matrix)))
            change = (moved[0] - moved[1]) / (2 * step)
            assert float(T.grad[0, row, column]) == pytest.approx(change, rel=0.02, abs=0.02)


def test_no_step_leaves_something_behind():
    sources, target, depth, T = [texture(1)], texture(0), depths(), transforms()

    def step():
        (warped,) = fused.warp_sources(sources, depth, intrinsics_of_all, [T])
        fused.photometric_error(warped, target, ssim=True).sum().backward()
        depth.clear_gradient()
        T.clear_gradient()

    intrinsics_of_all = intrinsics()
    step()
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(50):
        step()
    gc.collect()
    assert len(gc.get_objects()) < before + 25


VARIANTS = {
    "published": {},
    "no SSIM": {"ssim": False},
    "mean over sources": {"average_sources": True},
    "no auto-mask": {"automasking": False},
    "each scale at its resolution": {"v1_multiscale": True},
    "mask": {"automasking": False, "predictive_mask": True},
    "PoseCNN": {"pose_model_type": "posecnn"},
    "depth hints": {"hint": True},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_and_its_gradients_are_those_of_paddles_operations(variant):
    options = dict(VARIANTS[variant])
    hints = np.random.default_rng(6).uniform(0.2, 2, (BATCH, 1, HEIGHT, WIDTH))
    hint = tensor(np.where(hints > 0.5, hints, 0)) if options.pop("hint", False) else None
    named = ("pose_model_type", "predictive_mask")
    of_networks = {name: options.pop(name) for name in named if name in options}
    architecture = Architecture(source_ids=(-1, 1, STEREO), **of_networks)
    rng = np.random.default_rng(0)
    target, sources = texture(0), paddle.stack([texture(i) for i in (1, 2, 3)], axis=1)
    noise = tensor(rng.standard_normal((BATCH, 3, HEIGHT, WIDTH)))
    disps = [rng.uniform(0.05, 0.2, (BATCH, 1, HEIGHT >> s, WIDTH >> s)) for s in range(4)]
    masks = [rng.uniform(0.2, 0.9, (BATCH, 3, HEIGHT >> s, WIDTH >> s)) for s in range(4)]
    motions = rng.uniform(-0.02, 0.02, (2, 2, BATCH, 3))
    results = []
    for kernels in (objective.PLAIN, fused.KERNELS):
        learnt = [tensor(disp, learns=True) for disp in disps]
        moved = [[tensor(part, learns=True) for part in motion] for motion in motions]
        prediction = Prediction(
            learnt,
            [Motion(*parts, invert=index == 0) for index, parts in enumerate(moved)],
            [tensor(mask) for mask in masks] if architecture.predictive_mask else None,
        )
        losses = Objective(architecture, kernels=kernels, **options)(
            prediction, target, sources, intrinsics(), transforms(x=0.3).detach(), noise, hint
        )
        losses.total.backward()
        values = [losses.total, *losses.per_scale, *losses.warped[0], *losses.hinted]
        results.append(values + [part.grad for part in (*learnt, *moved[0], *moved[1])])
        assert len(losses.automasks) == (4 if options.get("automasking", True) else 0)
    for index, (plain, kernel) in enumerate(zip(*results)):
        a, b = plain.numpy(), kernel.numpy()
        # Gradients in the mean: where two errors are equally small, rounding chooses between them.
        tolerance = 5e-5 if index < len(values) else 5e-3
        assert np.abs(b - a).mean() < tolerance * np.abs(a).mean()


def slightly_steeper(prediction, target, ssim, statistics=None):
    return objective.photometric_error(prediction, target, ssim, statistics) ** 1.001


def warped_a_little_darker(*view):
    return [0.999 * image for image in objective.warp_sources(*view)]


@pytest.mark.parametrize(
    "changed",
    [{"photometric_error": slightly_steeper}, {"warp_sources": warped_a_little_darker}],
)
def test_a_loss_that_was_changed_a_little_is_not_the_fused_one(monkeypatch, changed):
    fused.check()
    monkeypatch.setattr(fused, "PLAIN", replace(fused.PLAIN, **changed))
    with pytest.raises(AssertionError):
        fused.check()
