"""Colour jitter against Pillow's own enhancements and Python's own HSV."""

from __future__ import annotations

import colorsys
import itertools

import numpy as np
import paddle
import pytest
from PIL import Image, ImageEnhance

from datasets.items import NO_JITTER, draw_augmentation
from options import TrainOptions, parse
from system.paddle_versions import is_paddle_3
from training.color_jitter import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    jitter_batch,
    jitter_each,
    jitter_item,
    jitter_together,
)
from training.self_supervised import SelfSupervised
from training.supervised import Supervised

# Pillow rounds its results to bytes, and the lumas that it blends with.
PILLOW_TOLERANCE = 1.5 / 255
ULPS = 0 if is_paddle_3() else 1  # Paddle 2.6 divides by 255 otherwise than NumPy


def pictures():
    """A dark and a bright picture [2, 8, 8, 3] uint8."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3))
    return (noise // 2 + np.array([0, 128])[:, None, None, None]).astype(np.uint8)


def tensor(array):
    return paddle.to_tensor(np.asarray(array, np.float32))


def images(pixels=None):
    """Pictures [N, H, W, 3] uint8 as the networks are given them: [N, 3, H, W] in [0, 1]."""
    pixels = pictures() if pixels is None else np.asarray(pixels, np.uint8)
    return tensor(pixels.transpose(0, 3, 1, 2) / 255)


def grey_row(*values):
    """One grey image [1, 3, 1, W]."""
    return tensor(np.broadcast_to(values, (1, 3, 1, len(values))))


def draw(brightness=1, contrast=1, saturation=1, hue=0, order=(0, 1, 2, 3)):
    return np.array([brightness, contrast, saturation, hue, *order], np.float32)


@pytest.mark.parametrize(
    ("adjust", "neutral"),
    [
        (adjust_brightness, 1),
        (adjust_contrast, 1),
        (adjust_saturation, 1),
        (adjust_hue, 0),
        (jitter_item, NO_JITTER),
    ],
)
def test_neutral_parameters_leave_images_unchanged(adjust, neutral):
    x = images()
    np.testing.assert_allclose(adjust(x, neutral).numpy(), x.numpy(), atol=1e-6)


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.2])
@pytest.mark.parametrize(
    ("adjust", "enhancement"),
    [
        (adjust_brightness, ImageEnhance.Brightness),
        (adjust_contrast, ImageEnhance.Contrast),
        (adjust_saturation, ImageEnhance.Color),
    ],
)
def test_factors_do_what_pillow_does(adjust, enhancement, factor):
    expected = [
        np.asarray(enhancement(Image.fromarray(picture)).enhance(factor)) for picture in pictures()
    ]
    got = adjust(images(), factor).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(got, np.array(expected) / 255, atol=PILLOW_TOLERANCE)
    assert np.abs(got - pictures() / 255).max() > 3 * PILLOW_TOLERANCE


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.04, 0.1, 0.5])
def test_hue_turns_the_circle_of_hsv(turn):
    # Beside random colours: greys, and colours with two equal channels.
    special = [0, 0, 0, 255, 255, 255, 9, 9, 9, 255, 0, 0, 255, 255, 0, 0, 0, 80, 7, 200, 200]
    special += [200, 7, 200]
    pixels = np.concatenate([pictures().reshape(-1, 3), np.reshape(special, (-1, 3))])
    expected = []
    for color in pixels / 255:
        hue, saturation, value = colorsys.rgb_to_hsv(*color)
        expected.append(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value))
    got = adjust_hue(images(pixels[None, None]), turn)[0, :, 0].numpy().T
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_a_third_of_the_circle_makes_red_green():
    x = images()
    green_of_red = adjust_hue(x, 1 / 3).numpy()
    np.testing.assert_allclose(green_of_red, x.numpy()[:, [2, 0, 1]], atol=1e-5)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        # 1.2 * 0.9 is clipped to 1; contrast then blends with the mean 0.56.
        ((0, 1, 2, 3), (0.8 * 1 + 0.2 * 0.56, 0.8 * 0.12 + 0.2 * 0.56)),
        # Contrast first blends with the mean 0.5.
        ((3, 1, 2, 0), (1.2 * 0.82, 1.2 * 0.18)),
    ],
)
def test_adjustments_follow_the_drawn_order(order, expected):
    got = jitter_item(grey_row(0.9, 0.1), draw(brightness=1.2, contrast=0.8, order=order))
    np.testing.assert_allclose(got.numpy()[0, :, 0], [expected] * 3, atol=1e-6)


def test_each_number_of_a_draw_has_its_adjustment():
    x = images()
    values = (1.2, 0.85, 1.15, -0.07)
    adjustments = (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue)
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)):
        expected = x
        for which in order:
            expected = adjustments[which](expected, values[which])
        got = jitter_item(x, draw(*values, order=order))
        np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-6)


def test_all_frames_of_an_item_get_its_own_draw():
    one = images()[:1]
    frames = paddle.stack([paddle.concat([one] * 3)] * 3)  # the same frame everywhere
    draws = np.stack([draw(brightness=0.8), NO_JITTER, draw(hue=0.1, contrast=1.2)])
    jittered = jitter_batch(frames, draws).numpy()
    assert jittered.shape == (3, 3, 3, 8, 8)
    for item, parameters in zip(jittered, draws):
        expected = jitter_item(one, parameters)[0].numpy()
        np.testing.assert_array_equal(item, np.stack([expected] * 3))
    np.testing.assert_array_equal(jittered[1], frames[1].numpy())
    assert all(np.abs(jittered[i] - jittered[1]).max() > 0.01 for i in (0, 2))


def test_each_frame_keeps_its_own_mean():
    # Contrast blends with the mean of one image, as Pillow does: a flat image stays as it is.
    frames = paddle.stack([grey_row(0.2, 0.2), grey_row(0.9, 0.9)], axis=1)
    np.testing.assert_allclose(
        jitter_batch(frames, draw(contrast=0.8)[None]).numpy(), frames.numpy(), atol=1e-6
    )


def test_results_stay_within_0_and_1():
    extremes = np.random.default_rng(0).integers(0, 2, (2, 8, 8, 3)) * 255
    frames = paddle.stack([images(), images(extremes)], axis=1)
    for index in range(40):
        parameters = draw_augmentation(0, 0, index).color_jitter
        jittered = jitter_batch(frames, np.stack([parameters] * 2)).numpy()
        assert jittered.min() >= 0
        assert jittered.max() <= 1


def test_items_together_are_jittered_as_each_alone():
    """In all orders, with what is partly or wholly neutral among them."""
    rng = np.random.default_rng(0)
    orders = list(itertools.permutations(range(4)))
    amounts = np.array([1, 1, 1, 0]) + rng.uniform(-0.2, 0.2, (len(orders), 4))
    draws = np.concatenate([amounts, orders], axis=1).astype(np.float32)
    draws[3, 3], draws[5, 1], draws[8] = 0, 1, NO_JITTER
    draws = np.concatenate([draws, [NO_JITTER, draw(hue=0.1), draw(saturation=0.9)]])
    frames = tensor(rng.random((len(draws), 2, 3, 6, 8)))
    together, each = (jitter(frames, draws).numpy() for jitter in (jitter_together, jitter_each))
    np.testing.assert_allclose(together, each, atol=1e-6)
    np.testing.assert_array_equal(together[8], frames[8].numpy())
    for chosen in ([8], [3, 8], [0]):  # none to jitter, some, one
        few = jitter_together(frames[chosen], draws[chosen]).numpy()
        np.testing.assert_allclose(few, each[chosen], atol=1e-6)


def test_the_number_of_operations_together_does_not_grow_with_the_items(monkeypatch):
    frames = tensor(np.random.default_rng(0).random((12, 2, 3, 6, 8)))
    draws = np.stack([draw_augmentation(0, 0, index).color_jitter for index in range(12)])
    calls = []
    for name in ("clip", "where", "remainder"):
        method = getattr(paddle, name)
        monkeypatch.setattr(paddle, name, lambda *a, m=method: calls.append(1) or m(*a))
    jitter_together(frames, draws)
    assert len(calls) <= 6 + 3 + 2 * 3  # six blends, one hue


def test_no_gradient_is_kept():
    frames = images().unsqueeze(0)
    frames.stop_gradient = False
    assert jitter_batch(frames, draw(brightness=1.1)[None]).stop_gradient


JITTER = np.array([1.2, 0.9, 1.1, 0.05, 0, 1, 2, 3], np.float32)


def frames_of(task, more, draws):
    """What a task makes of frames with these draws: seen by the networks, and as they are."""
    line = f"--frame_ids 0 --use_stereo --height 64 --width 64 {more}"
    rng = np.random.default_rng(0)
    target, source = rng.integers(0, 256, (2, 2, 3, 64, 64)).astype(np.uint8)
    if task is Supervised:
        line = f"--task supervised --dataset rgbd {more}"
        batch = {"image": target, "depth": np.ones((2, 64, 64), np.float32)}
    else:
        eyes = {"K": np.stack([np.eye(3)] * 2), "T_stereo": np.stack([np.eye(4)] * 2)}
        batch = {"target": target, "sources": source[:, None], **eyes}
    batch.update(index=np.arange(2), color_jitter=draws)
    inputs = task(parse(TrainOptions, line.split())).inputs(batch, epoch=0)
    if task is Supervised:
        return [inputs["seen"].numpy()], [target.astype(np.float32) / 255]
    seen, known = inputs["seen"], inputs["known"]
    return [[part[key].numpy() for key in ("target", "sources")] for part in (seen, known)]


@pytest.mark.parametrize("task", [SelfSupervised, Supervised])
def test_networks_are_shown_other_colours_unless_these_are_to_stay(task):
    seen, known = frames_of(task, "", np.stack([NO_JITTER, JITTER]))
    for picture, original in zip(seen, known):
        np.testing.assert_array_max_ulp(picture[0], original[0], maxulp=ULPS)
        assert np.abs(picture[1] - original[1]).mean() > 0.03
    seen, known = frames_of(task, "--no_color_jitter", np.stack([NO_JITTER, JITTER]))
    for picture, original in zip(seen, known):
        np.testing.assert_array_max_ulp(picture, original, maxulp=ULPS)
