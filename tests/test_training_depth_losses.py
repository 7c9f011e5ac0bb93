"""Losses against known depth: what they must not see, what they must leave out, their gradients."""

import numpy as np
import paddle
import pytest

from training.depth_losses import (
    berhu,
    gradient_matching,
    l1,
    masked_median,
    normalise,
    scale_and_shift_invariant,
    silog,
    trimmed_error,
)

RNG = np.random.default_rng(0)
SHAPE = (3, 12, 16)
TARGET = RNG.uniform(0.1, 2, SHAPE).astype(np.float32)
PREDICTION = RNG.uniform(0.1, 2, SHAPE).astype(np.float32)
MASK = RNG.random(SHAPE) < 0.7


def tensor(array, gradient=False):
    result = paddle.to_tensor(np.asarray(array))
    result.stop_gradient = not gradient
    return result


def invariant(prediction=PREDICTION, target=TARGET, mask=MASK, **more):
    return float(
        scale_and_shift_invariant(tensor(prediction), tensor(target), tensor(mask), **more)
    )


@pytest.mark.parametrize(("scale", "shift"), [(7.0, 0.0), (0.01, 0.0), (1.0, 5.0), (3.0, -2.0)])
def test_scale_and_shift_of_either_change_nothing(scale, shift):
    assert invariant(scale * PREDICTION + shift) == pytest.approx(invariant(), rel=1e-3)
    assert invariant(target=scale * TARGET + shift) == pytest.approx(invariant(), rel=1e-3)


def test_the_right_depth_up_to_scale_and_shift_costs_nothing():
    assert invariant(4 * TARGET + 1) == pytest.approx(0, abs=1e-5)
    assert invariant(-TARGET) > 0.3  # a negative scale is another depth


def test_unknown_pixels_have_no_say():
    expected = invariant()
    for value in (0.0, 1e9, np.nan, np.inf):
        assert invariant(target=np.where(MASK, TARGET, np.float32(value))) == expected
    assert invariant(np.where(MASK, PREDICTION, np.float32(7))) == pytest.approx(expected, rel=1e-6)


def test_an_image_without_truth_costs_nothing_and_spoils_nothing():
    nothing = np.zeros(SHAPE, bool)
    assert invariant(mask=nothing) == 0
    some = MASK.copy()
    some[1] = False
    others = [0, 2]
    alone = invariant(PREDICTION[others], TARGET[others], MASK[others])
    assert invariant(mask=some) == pytest.approx(alone, rel=1e-5)
    for loss in (l1, silog, berhu):
        assert float(loss(tensor(PREDICTION), tensor(TARGET), tensor(nothing))) == 0
        x = tensor(PREDICTION, gradient=True)
        loss(x, tensor(TARGET), tensor(nothing)).backward()
        assert not x.grad.numpy().any()
    x = tensor(PREDICTION, gradient=True)
    scale_and_shift_invariant(x, tensor(TARGET), tensor(nothing)).backward()
    assert not x.grad.numpy().any()


def test_the_median_and_deviation_are_those_of_the_known_pixels():
    got = masked_median(tensor(TARGET), tensor(MASK)).numpy()
    for value, image, known in zip(got, TARGET, MASK):
        ordered = np.sort(image[known])
        assert value == ordered[(len(ordered) - 1) // 2]
    flat = normalise(tensor(TARGET), tensor(MASK)).numpy()
    for image, known in zip(flat, MASK):
        assert np.abs(image[known]).mean() == pytest.approx(1, rel=1e-4)


def test_the_largest_fifth_is_left_out():
    residual = np.arange(1, 11, dtype=np.float32).reshape(1, 2, 5)
    everywhere = tensor(np.ones((1, 2, 5), bool))
    assert trimmed_error(tensor(residual), everywhere).item() == pytest.approx(36 / 20)
    assert trimmed_error(tensor(-residual), everywhere).item() == pytest.approx(36 / 20)
    assert trimmed_error(tensor(residual), everywhere, trim=0).item() == pytest.approx(55 / 20)
    residual[0, 1, 4] = 1e6
    assert trimmed_error(tensor(residual), everywhere).item() == pytest.approx(36 / 20)


def test_gradient_matching_sums_differences_over_scales():
    ramp = np.tile(np.arange(16, dtype=np.float32), (1, 8, 1))
    mask = np.ones(ramp.shape, bool)
    expected = sum(2**s * (16 // 2**s - 1) / (16 // 2**s) for s in range(4))
    assert gradient_matching(tensor(ramp), tensor(mask)).item() == pytest.approx(expected)
    mask[0, :, 5] = False  # breaks two differences of a row at the first scale only
    got = gradient_matching(tensor(ramp), tensor(mask), scales=1).item()
    assert got == pytest.approx(13 / 15)  # of 15 known pixels in a row


@pytest.mark.parametrize("name", ["invariant", "l1", "silog", "berhu"])
def test_gradients_are_those_of_finite_differences(name):
    paddle.set_default_dtype("float64")
    try:
        losses = {"l1": l1, "silog": silog, "berhu": berhu, "invariant": scale_and_shift_invariant}
        target, mask = tensor(TARGET.astype(np.float64)), tensor(MASK)

        def value(prediction):
            return losses[name](prediction, target, mask)

        x = tensor(PREDICTION.astype(np.float64), gradient=True)
        value(x).backward()
        gradient, step = x.grad.numpy(), 1e-5
        rng = np.random.default_rng(3)
        checked = 0
        for place in map(tuple, rng.permutation(np.argwhere(MASK))[:25]):
            moved = [PREDICTION.astype(np.float64) for _ in range(2)]
            moved[0][place] += step
            moved[1][place] -= step
            up, down = (float(value(tensor(each))) for each in moved)
            expected = (up - down) / (2 * step)
            if name == "berhu" and abs(gradient[place] - expected) > 1e-4:
                continue  # the largest residual moves its threshold, which has no gradient
            assert gradient[place] == pytest.approx(
                expected, abs=2e-4 * np.abs(gradient).max() + 1e-8
            )
            checked += 1
        assert checked >= 24
    finally:
        paddle.set_default_dtype("float32")


def test_metric_losses_by_hand():
    prediction, target = (tensor(np.float32([[[a, b]]])) for a, b in ((2, 1), (1, 6)))
    mask = tensor(np.ones((1, 1, 2), bool))
    assert float(l1(prediction, target, mask)) == pytest.approx(3)
    d = np.log([2, 1 / 6])
    expected = np.sqrt((d**2).mean() - 0.85 * d.mean() ** 2)
    assert float(silog(prediction, target, mask)) == pytest.approx(expected, rel=1e-5)
    assert float(berhu(prediction, target, mask)) == pytest.approx((1 + (25 + 1) / 2) / 2)
