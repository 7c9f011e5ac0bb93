"""Analytical truths of the loss; its figures against the published ones are in test_parity."""

import numpy as np
import paddle
import pytest

from datasets.conventions import STEREO
from networks.monodepth import Architecture, Monodepth, Motion, Prediction
from training.objective import Objective, mean_error, minimum_error, photometric_error

HEIGHT, WIDTH = 32, 64
SCALES = (0, 1, 2, 3)


def tensor(array):
    return paddle.to_tensor(np.asarray(array, np.float32))


def texture(seed=0):
    """A smooth random image [1, 3, H, W]."""
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    waves = [
        np.sin(u * rng.uniform(0.1, 0.6) + v * rng.uniform(0.1, 0.6) + rng.uniform(0, 6))
        for _ in range(12)
    ]
    return tensor(0.5 + 0.1 * np.array(waves).reshape(4, 3, HEIGHT, WIDTH).sum(0)[None])


def still(batch=1):
    return Motion(paddle.zeros([batch, 3]), paddle.zeros([batch, 3]), invert=False)


def prediction(architecture, sigmoid=0.3, motions=None, masks=None):
    disps = [paddle.full([1, 1, HEIGHT >> s, WIDTH >> s], sigmoid) for s in architecture.scales]
    if motions is None:
        motions = [still() for _ in architecture.temporal_ids]
    return Prediction(disps, motions, masks)


def intrinsics():
    return tensor([[[40, 0, 31.5], [0, 40, 15.5], [0, 0, 1]]])


def stack(*images):
    return paddle.stack(images, axis=1)


def test_equal_images_have_no_error():
    image = texture()
    assert float(photometric_error(image, image, ssim=True).max()) == pytest.approx(0, abs=1e-6)


def test_error_mixes_ssim_and_l1():
    a, b = paddle.full([1, 3, 8, 8], 0.2), paddle.full([1, 3, 8, 8], 0.7)
    luminance = (2 * 0.2 * 0.7 + 1e-4) / (0.2**2 + 0.7**2 + 1e-4)
    error = float(photometric_error(a, b, ssim=True).mean())
    assert error == pytest.approx(0.85 * (1 - luminance) / 2 + 0.15 * 0.5, rel=1e-3)
    assert float(photometric_error(a, b, ssim=False).mean()) == pytest.approx(0.5, rel=1e-6)


def test_reductions():
    errors = [tensor([[[[3.0, 1.0]]]]), tensor([[[[2.0, 5.0]]]])]
    np.testing.assert_allclose(minimum_error(errors).numpy().ravel(), [2, 1])
    np.testing.assert_allclose(mean_error(errors).numpy().ravel(), [2.5, 3])


def test_minimum_ignores_the_occluded_source():
    target = texture()
    architecture = Architecture(source_ids=(-1, 1))
    sources = stack(target, texture(seed=1))  # the second shows something else
    for average, limit in ((False, (0, 1e-5)), (True, (0.05, 1))):
        objective = Objective(architecture, average_sources=average, automasking=False)
        loss = float(objective(prediction(architecture), target, sources, intrinsics()).total)
        assert limit[0] <= loss <= limit[1]


def test_automask_leaves_out_what_does_not_move():
    # Left half: same in target and source. Right half: moved by exactly the disparity.
    architecture = Architecture(source_ids=(STEREO,), scales=(0,))
    shift, baseline = 4, 0.1
    target = texture().numpy()
    source = target.copy()
    source[..., WIDTH // 2 :] = np.roll(target, -shift, axis=3)[..., WIDTH // 2 :]
    depth = 40 * baseline / shift
    sigmoid = (1 / depth - 1 / 100) / (1 / 0.1 - 1 / 100)
    T_stereo = np.eye(4)[None].copy()
    T_stereo[0, 0, 3] = -baseline
    losses = Objective(architecture)(
        prediction(architecture, sigmoid),
        tensor(target),
        stack(tensor(source)),
        intrinsics(),
        tensor(T_stereo),
        tie_break=paddle.zeros([1, 1, HEIGHT, WIDTH]),
    )
    mask = losses.automasks[0][0, 0].numpy()
    assert mask[:, 4 : WIDTH // 2 - 8].mean() < 0.02
    assert mask[:, WIDTH // 2 + 8 : -8].mean() > 0.98


def test_a_still_camera_is_fully_masked_and_gives_no_gradient_to_depth():
    target = texture()
    architecture = Architecture(source_ids=(1,))
    motion = Motion(paddle.zeros([1, 3]), paddle.full([1, 3], 0.05), invert=False)
    predicted = prediction(architecture, motions=[motion])
    for disp in predicted.disps:
        disp.stop_gradient = False
    for automasking in (True, False):
        objective = Objective(architecture, disparity_smoothness=0.0, automasking=automasking)
        losses = objective(predicted, target, stack(target), intrinsics())
        losses.total.backward()
        moved = [bool(disp.grad.numpy().any()) for disp in predicted.disps]
        assert moved == [not automasking] * len(SCALES)
        if automasking:
            assert float(sum(mask.sum() for mask in losses.automasks)) == 0


def test_tie_break_shares_out_equal_errors():
    # Without motion, warped and unwarped sources are the same up to rounding.
    target = texture()
    architecture = Architecture(source_ids=(1,), scales=(0,))
    noise = paddle.to_tensor(
        np.random.default_rng(0).standard_normal((1, 1, HEIGHT, WIDTH)).astype(np.float32)
    )
    losses = Objective(architecture, ssim=False)(
        prediction(architecture), target, stack(target), intrinsics(), tie_break=100 * noise
    )
    assert 0.4 < float(losses.automasks[0].mean()) < 0.6


def test_smoothness_weight_halves_from_scale_to_scale():
    architecture = Architecture(source_ids=(1,))
    ramps = [
        tensor(np.tile(np.linspace(0.1, 0.5, WIDTH >> s), (HEIGHT >> s, 1))[None, None])
        for s in SCALES
    ]
    target = paddle.full([1, 3, HEIGHT, WIDTH], 0.5)
    losses = [
        Objective(architecture, disparity_smoothness=weight)(
            Prediction(ramps, [still()], None), target, stack(target), intrinsics()
        ).per_scale
        for weight in (0.0, 1.0)
    ]
    for scale in SCALES:
        slope = 0.4 / ((WIDTH >> scale) - 1) / 0.3
        got = float(losses[1][scale] - losses[0][scale])
        assert got == pytest.approx(slope / 2**scale, rel=1e-3)


def test_predicted_mask_scales_the_error_and_is_kept_up_by_cross_entropy():
    architecture = Architecture(source_ids=(1,), scales=(0,), predictive_mask=True)
    target, source = texture(), texture(seed=5)
    losses = {}
    for value in (1.0, 0.25):
        masks = [paddle.full([1, 1, HEIGHT, WIDTH], value)]
        objective = Objective(architecture, automasking=False, disparity_smoothness=0.0)
        losses[value] = float(
            objective(
                prediction(architecture, masks=masks), target, stack(source), intrinsics()
            ).total
        )
    entropy = 0.2 * -np.log(0.25)
    assert losses[0.25] == pytest.approx(0.25 * losses[1.0] + entropy, rel=1e-4)


def test_v1_multiscale_compares_at_each_scale():
    architecture = Architecture(source_ids=(1,))
    target, source = texture(), texture(seed=2)
    warped = {
        v1: Objective(architecture, v1_multiscale=v1)(
            prediction(architecture), target, stack(source), intrinsics()
        ).warped
        for v1 in (False, True)
    }
    assert [w[0].shape[3] for w in warped[False]] == [WIDTH] * 4
    assert [w[0].shape[3] for w in warped[True]] == [WIDTH >> s for s in SCALES]


def test_loss_falls_at_the_true_stereo_disparity():
    architecture = Architecture(source_ids=(STEREO,), scales=(0,))
    shift, baseline = 6, 0.1
    target = texture().numpy()
    source = np.roll(target, -shift, axis=3)
    T_stereo = np.eye(4)[None].copy()
    T_stereo[0, 0, 3] = -baseline
    losses = {}
    for pixels in (2, 4, 6, 8, 10):
        sigmoid = (pixels / (40 * baseline) - 1 / 100) / (1 / 0.1 - 1 / 100)
        losses[pixels] = float(
            Objective(architecture, automasking=False)(
                prediction(architecture, sigmoid),
                tensor(target),
                stack(tensor(source)),
                intrinsics(),
                tensor(T_stereo),
            ).total
        )
    assert min(losses, key=losses.get) == shift


def test_parameter_gradient_agrees_with_finite_differences():
    # Through networks, poses, warps and the objective at once, along the gradient itself.
    paddle.seed(0)
    architecture = Architecture(source_ids=(-1, STEREO))
    model = Monodepth(architecture)
    model.eval()  # batch statistics would make the loss less smooth
    model.to(dtype="float64")
    target = texture().astype("float64")
    sources = stack(texture(1), texture(2)).astype("float64")
    T_stereo = paddle.eye(4, dtype="float64").unsqueeze(0)
    K = intrinsics().astype("float64")
    target = paddle.concat([target, target], axis=2)
    sources = paddle.concat([sources, sources], axis=3)
    objective = Objective(architecture)

    def loss():
        return objective(model(target, sources), target, sources, K, T_stereo).total

    parameters = [p for p in model.parameters() if not p.stop_gradient]
    loss().backward()
    gradients = [p.grad.clone() for p in parameters]
    norm2 = sum(float((g * g).sum()) for g in gradients)
    step = 1e-6 / norm2**0.5
    values = []
    for sign in (1, -1):
        for p, g in zip(parameters, gradients):
            p.set_value(p + sign * step * g)
        values.append(float(loss()))
        for p, g in zip(parameters, gradients):
            p.set_value(p - sign * step * g)
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(norm2, rel=1e-2)
