"""Analytical truths of the loss; its figures against the published ones are in test_parity."""

import numpy as np
import paddle
import pytest

from datasets.conventions import STEREO
from networks.monodepth import Architecture, Monodepth, Motion, Prediction
from training.objective import (
    Objective,
    hint_distance,
    mean_error,
    minimum_error,
    photometric_error,
)
from training.self_supervised import Loss

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


BASELINE, FOCAL, SHIFT = 0.1, 40, 4
WALL = FOCAL * BASELINE / SHIFT  # depth of the wall that the stereo pair below shows
FAR, UNKNOWN = 3 * WALL, 0.0
INSIDE = slice(8, -8)  # columns away from the border, where the pair wraps around


def sigmoid_of(depth):
    return (1 / depth - 1 / 100) / (1 / 0.1 - 1 / 100)


def hinted_losses(hint, depth, source_ids=(STEREO,), scales=(0,), dtype="float32", **more):
    """Losses of a wall that all of its pixels are predicted at ``depth``, and the disparities."""
    architecture = Architecture(source_ids=source_ids, scales=scales)
    sizes = [[1, 1, HEIGHT >> s, WIDTH >> s] for s in scales]
    disps = [paddle.full(size, sigmoid_of(depth), dtype) for size in sizes]
    for disp in disps:
        disp.stop_gradient = False
    predicted = Prediction(disps, [still() for _ in architecture.temporal_ids], None)
    target = texture().numpy()
    pictures = {STEREO: np.roll(target, -SHIFT, axis=3), 1: texture(seed=1).numpy()}
    T_stereo = np.eye(4)[None].copy()
    T_stereo[0, 0, 3] = -BASELINE
    arrays = target, np.stack([pictures[s] for s in source_ids], 1), intrinsics().numpy(), T_stereo
    tensors = [paddle.to_tensor(array.astype(dtype)) for array in arrays]
    if hint is not None:
        hint = paddle.to_tensor(np.broadcast_to(hint, (1, 1, HEIGHT, WIDTH)).astype(dtype))
    return Objective(architecture, **more)(predicted, *tensors, hint=hint), disps


@pytest.mark.parametrize("automasking", [False, True])
@pytest.mark.parametrize("source_ids", [(STEREO,), (1, STEREO)])
def test_a_better_hint_adds_the_log_of_its_distance(source_ids, automasking):
    more = {"source_ids": source_ids, "automasking": automasking, "hint_weight": 0.5}
    (with_hint, disps), (without, _) = (
        hinted_losses(hint, FAR, scales=SCALES, **more) for hint in (WALL, None)
    )
    assert without.hinted == []
    for scale, hinted in zip(SCALES, with_hint.hinted):
        assert hinted[..., INSIDE].numpy().mean() > 0.99
        added = 0.5 * float(hinted.mean()) * np.log(1 + FAR - WALL)
        change = float(with_hint.per_scale[scale] - without.per_scale[scale])
        assert change == pytest.approx(added, rel=1e-4)
    with_hint.total.backward()
    assert all((disp.grad.numpy().mean(axis=(2, 3)) < 0).all() for disp in disps)  # nearer


@pytest.mark.parametrize("hint", [FAR, 0.5 * WALL, UNKNOWN])
def test_a_worse_or_unknown_hint_adds_nothing(hint):
    results = []
    for given in (hint, None):
        losses, (disp,) = hinted_losses(given, WALL)
        losses.total.backward()
        results.append((losses, disp.grad.numpy()[..., INSIDE]))
    (with_hint, gradient), (without, expected) = results
    assert not with_hint.hinted[0].numpy()[..., INSIDE].any()
    np.testing.assert_array_equal(gradient, expected)
    if hint == UNKNOWN:
        assert float(with_hint.total) == float(without.total)


def test_each_pixel_has_a_hint_of_its_own():
    hint = np.full((HEIGHT, WIDTH), WALL)
    hint[:, WIDTH // 3 :], hint[:, WIDTH // 2 :] = UNKNOWN, 0.3 * WALL
    losses, _ = hinted_losses(hint, 1.1 * WALL)
    hinted = losses.hinted[0].numpy()[0, 0]
    assert hinted[:, 8 : WIDTH // 3 - 1].mean() > 0.99  # a pixel's error has its neighbours in it
    assert not hinted[:, WIDTH // 3 : WIDTH // 2].any()
    assert hinted[:, WIDTH // 2 : -8].mean() < 0.05


def test_the_gradient_of_the_hints_agrees_with_finite_differences():
    def term(depth):
        """What hints add, and its gradient."""
        values = []
        for hint in (WALL, None):
            losses, (disp,) = hinted_losses(hint, depth, dtype="float64")
            losses.total.backward()
            values.append((float(losses.total), float(disp.grad.sum())))
        return np.subtract(*values)

    step = 1e-7
    changes = []
    for sign in (1, -1):
        depth = 1 / (1 / 100 + (1 / 0.1 - 1 / 100) * (sigmoid_of(FAR) + sign * step))
        changes.append(term(depth)[0])
    assert (changes[0] - changes[1]) / (2 * step) == pytest.approx(term(FAR)[1], rel=1e-4)


def test_hints_beyond_the_depth_range_draw_to_its_end():
    losses, _ = hinted_losses(1e6, WALL, max_depth=100.0)
    assert float(losses.total) < float(hint_distance(tensor(WALL), tensor(100.0)))


def test_a_compiled_loss_takes_hints_or_none():
    architecture = Architecture(source_ids=(STEREO,), scales=(0,))
    T_stereo = np.eye(4)[None].copy()
    T_stereo[0, 0, 3] = -BASELINE
    target = texture()
    known = {
        "target": target,
        "sources": stack(tensor(np.roll(target.numpy(), -SHIFT, axis=3))),
        "K": intrinsics(),
        "T_stereo": tensor(T_stereo),
    }
    hints = {"hint": paddle.full([1, 1, HEIGHT, WIDTH], WALL)}
    plain, compiled = (Loss(Objective(architecture)) for _ in range(2))
    paddle.jit.to_static(compiled, full_graph=True)
    gradients = []
    for given in (known, {**known, **hints}):
        results = []
        for loss in (plain, compiled):
            predicted = prediction(architecture, sigmoid_of(FAR))
            predicted.disps[0].stop_gradient = False
            output = loss({"predicted": predicted.as_dict(), "known": given})
            assert (output["hinted"] is None) == (given is known)
            output["total"].backward()
            results.append((float(output["total"]), predicted.disps[0].grad.numpy()))
        (total, gradient), (compiled_total, compiled_gradient) = results
        # At the border both warps show the same, and rounding chooses.
        assert total == pytest.approx(compiled_total, rel=5e-3)
        assert np.abs(compiled_gradient - gradient).mean() < 1e-2 * np.abs(gradient).mean()
        gradients.append(np.abs(gradient).sum())
    assert gradients[1] > 2 * gradients[0]
