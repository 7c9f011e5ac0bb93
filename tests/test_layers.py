import math
from functools import partial

import numpy as np
import paddle
import pytest

import layers
from datasets.conventions import disp_to_depth
from tests.fake_gpu import FakeGpus


def tensor(array, dtype="float32"):
    return paddle.to_tensor(np.asarray(array, dtype))


def random_images(*shape, seed=0):
    return tensor(np.random.default_rng(seed).random(shape))


def camera(width, height, batch=1):
    K = [[0.6 * width, 0, 0.45 * width], [0, 1.8 * height, 0.55 * height], [0, 0, 1]]
    return tensor(np.tile(np.array(K), (batch, 1, 1)))


def test_disp_to_depth_spans_the_range():
    scaled, depth = disp_to_depth(np.array([0.0, 1.0, 0.5]), 0.1, 100.0)
    np.testing.assert_allclose(depth[:2], [100, 0.1])
    np.testing.assert_allclose(scaled, [0.01, 10, 5.005])


def test_zero_rotation_is_the_identity():
    np.testing.assert_allclose(
        layers.rotation_from_axisangle(paddle.zeros([1, 3])).numpy(), np.eye(3)[None], atol=1e-7
    )


def test_quarter_turn_about_z_takes_x_to_y():
    rotation = layers.rotation_from_axisangle(tensor([[0, 0, math.pi / 2]]))
    np.testing.assert_allclose(rotation[0].numpy() @ [1, 0, 0], [0, 1, 0], atol=1e-6)


@pytest.mark.parametrize("batch", [1, 3])
def test_rotations_are_orthonormal(batch):
    axisangle = tensor(np.random.default_rng(1).normal(size=(batch, 3)))
    rotation = layers.rotation_from_axisangle(axisangle).numpy()
    assert rotation.shape == (batch, 3, 3)
    product = rotation @ rotation.transpose(0, 2, 1)
    np.testing.assert_allclose(product, np.tile(np.eye(3), (batch, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-5)


def test_inverted_transform_is_the_inverse():
    rng = np.random.default_rng(2)
    axisangle, translation = tensor(rng.normal(size=(4, 3))), tensor(rng.normal(size=(4, 3)))
    forward = layers.transform_from_parameters(axisangle, translation, invert=False).numpy()
    back = layers.transform_from_parameters(axisangle, translation, invert=True).numpy()
    np.testing.assert_allclose(forward @ back, np.tile(np.eye(4), (4, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(forward[:, :3, 3], translation.numpy(), atol=1e-7)


def test_zero_motion_has_a_finite_gradient():
    axisangle = paddle.zeros([1, 3])
    axisangle.stop_gradient = False
    layers.rotation_from_axisangle(axisangle).sum().backward()
    assert np.isfinite(axisangle.grad.numpy()).all()


def test_back_projected_principal_point_lies_on_the_axis():
    K = tensor([[[50, 0, 20], [0, 40, 10], [0, 0, 1]]])
    depth = paddle.full([1, 1, 24, 48], 7.0)
    points = layers.back_project(depth, K).reshape([3, 24, 48]).numpy()
    np.testing.assert_allclose(points[:, 10, 20], [0, 0, 7], atol=1e-6)
    np.testing.assert_allclose(points[:, 10, 30], [7 * 10 / 50, 0, 7], atol=1e-6)
    np.testing.assert_allclose(points[:, 18, 20], [0, 7 * 8 / 40, 7], atol=1e-6)


def identity_grid(depth, K):
    _, _, height, width = depth.shape
    return layers.project(
        layers.back_project(depth, K), K, paddle.eye(4).unsqueeze(0), height, width
    )


def test_identity_warp_returns_the_image():
    image = random_images(1, 3, 24, 48)
    depth = random_images(1, 1, 24, 48, seed=3) * 10 + 1
    warped = layers.warp(image, identity_grid(depth, camera(48, 24)))
    np.testing.assert_allclose(warped.numpy(), image.numpy(), atol=2e-5)


def test_sideways_motion_shifts_by_the_stereo_disparity():
    width, height, shift = 48, 24, 3
    K = camera(width, height)
    depth = paddle.full([1, 1, height, width], 5.0)
    source_T_target = np.eye(4, dtype=np.float32)[None].copy()
    source_T_target[0, 0, 3] = -shift * 5.0 / float(K[0, 0, 0])  # f * t / z = -3 pixels
    image = random_images(1, 3, height, width)
    grid = layers.project(layers.back_project(depth, K), K, tensor(source_T_target), height, width)
    warped = layers.warp(image, grid).numpy()
    np.testing.assert_allclose(warped[..., shift:], image.numpy()[..., :-shift], atol=1e-4)
    # Beyond the border the border itself is repeated.
    np.testing.assert_allclose(warped[..., 0], image.numpy()[..., 0], atol=1e-4)


def test_warp_gradient_reaches_the_grid_of_an_image_without_gradient():
    image = random_images(1, 3, 8, 8)
    grid = random_images(1, 8, 8, 2) * 1.6 - 0.8
    grid.stop_gradient = False
    layers.warp(image, grid).sum().backward()
    assert np.abs(grid.grad.numpy()).max() > 0
    assert image.stop_gradient  # the caller's tensor is untouched


def test_depth_gradient_agrees_with_finite_differences():
    # In double precision, through back-projection, projection and sampling of a smooth image.
    width, height = 16, 12
    v, u = np.mgrid[:height, :width]
    image = tensor(np.stack([np.sin(u / 5), np.cos(v / 4), np.sin((u + v) / 7)])[None], "float64")
    K = camera(width, height).astype("float64")
    transform = np.eye(4)[None].copy()
    transform[0, :3, 3] = [0.11, -0.05, 0.2]
    transform = tensor(transform, "float64")
    base = np.random.default_rng(4).uniform(2, 4, (1, 1, height, width))

    def loss(depth):
        grid = layers.project(layers.back_project(depth, K), K, transform, height, width)
        return (layers.warp(image, grid) ** 2).sum()

    depth = tensor(base, "float64")
    depth.stop_gradient = False
    loss(depth).backward()
    for row, column in [(3, 4), (6, 9), (8, 2)]:
        step = np.zeros_like(base)
        step[0, 0, row, column] = 1e-6
        slope = (loss(tensor(base + step, "float64")) - loss(tensor(base - step, "float64"))) / 2e-6
        assert float(depth.grad[0, 0, row, column]) == pytest.approx(float(slope), rel=1e-4)


def test_ssim_distance_of_equal_images_is_zero():
    image = random_images(2, 3, 8, 10)
    np.testing.assert_allclose(layers.ssim_distance(image, image).numpy(), 0, atol=1e-6)


def test_ssim_distance_of_constant_images_follows_from_the_means():
    a, b = 0.2, 0.7
    images = [paddle.full([1, 1, 5, 5], value, "float64") for value in (a, b)]
    got = layers.ssim_distance(*images).numpy()
    luminance = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    np.testing.assert_allclose(got, (1 - luminance) / 2, rtol=1e-9)


def test_ssim_distance_of_opposite_patterns_is_clipped_to_one():
    rows = np.indices((8, 8)).sum(0) % 2
    got = layers.ssim_distance(tensor(rows[None, None]), tensor(1 - rows[None, None])).numpy()
    assert got.max() <= 1
    assert got[0, 0, 2:-2, 2:-2].min() > 0.95


def test_smoothness_of_a_ramp_is_its_slope():
    disp = tensor(np.tile(np.arange(6) * 0.3, (4, 1))[None, None])
    assert float(layers.edge_aware_smoothness(disp, paddle.zeros([1, 3, 4, 6]))) == pytest.approx(
        0.3, rel=1e-5
    )


def test_an_image_edge_excuses_a_disparity_edge():
    step = np.zeros((1, 1, 4, 6), np.float32)
    step[..., 3:] = 1
    image = tensor(np.repeat(step, 3, axis=1))
    flat = float(layers.edge_aware_smoothness(tensor(step), paddle.zeros([1, 3, 4, 6])))
    excused = float(layers.edge_aware_smoothness(tensor(step), image))
    assert excused == pytest.approx(flat * math.exp(-1), rel=1e-5)


def test_upsample_nearest_repeats():
    x = tensor(np.arange(4).reshape(1, 1, 2, 2))
    expected = np.arange(4).reshape(2, 2).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(layers.upsample_nearest(x)[0, 0].numpy(), expected)


def test_reflection_pad_mirrors_without_repeating_the_border():
    x = np.random.default_rng(0).random((2, 3, 4, 5)).astype("float32")
    expected = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    np.testing.assert_array_equal(layers.reflection_pad(tensor(x)).numpy(), expected)


def test_average_halve_takes_block_means():
    x = random_images(1, 3, 4, 6)
    expected = x.numpy().reshape(1, 3, 2, 2, 3, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(layers.average_halve(x).numpy(), expected, atol=1e-6)


def value_and_gradient(form, x, *more):
    """Of a form at ``x``, by its own random weights; the other arguments take no gradient."""
    x = tensor(x)
    x.stop_gradient = False
    value = form(*more, x)
    weights = np.random.default_rng(1).random(value.shape)
    (value * tensor(weights)).sum().backward()
    return value.numpy(), x.grad.numpy()


def forms_of(operation):
    """The forms of an operation, as functions of what they are differentiated by."""
    forms = layers.ALTERNATIVES[operation]
    over = {"bias": [0, 2, 3], "rows": [0, 1, 2]}.get(operation)
    if over:  # of both: the bias follows from the maps
        return [partial(lambda form, maps: form(maps, maps.mean(axis=over)), f) for f in forms]
    return forms


@pytest.mark.parametrize("operation", layers.ALTERNATIVES)
def test_all_forms_of_an_operation_compute_the_same(operation):
    rng = np.random.default_rng(0)
    images, more = rng.random((2, 3, 6, 8)), ()
    if operation == "sample":  # beside, between, on the border and beyond it
        more, images = (tensor(images),), rng.uniform(-1.3, 1.3, (2, 5, 7, 2))
    (value, gradient), *others = (
        value_and_gradient(form, images, *more) for form in forms_of(operation)
    )
    assert others
    for other, its_gradient in others:
        np.testing.assert_allclose(other, value, atol=1e-6)
        np.testing.assert_allclose(its_gradient, gradient, atol=1e-5)
    assert getattr(layers.PORTABLE, operation) in layers.ALTERNATIVES[operation]


def test_each_device_has_its_forms_unless_what_is_computed_leaves_it(monkeypatch):
    x = tensor(np.random.default_rng(0).random((1, 2, 4, 6)))
    expected = layers.reflection_pad(x).numpy(), layers.upsample_nearest(x).numpy()
    assert layers.forms() == layers.FORMS[layers.device_kind()]
    assert layers.is_deterministic() in (True, False)  # also where Paddle has no such flag
    used = []

    def noted(name):
        form = getattr(layers.FORMS["gpu"], name)
        return lambda *args: used.append(name) or form(*args)

    noting = layers.Forms(*(noted(name) for name in layers.Forms._fields))
    monkeypatch.setattr(layers, "device_kind", lambda: "gpu")
    monkeypatch.setitem(layers.FORMS, "gpu", noting)
    for portable in (True, False):
        results = layers.reflection_pad(x, portable), layers.upsample_nearest(x, portable)
        for result, wanted in zip(results, expected):
            np.testing.assert_array_equal(result.numpy(), wanted)
    assert used == ["pad", "double"]
    layers.ssim_distance(x, x)
    assert used.count("mean") == 5
    monkeypatch.setattr(layers, "is_deterministic", lambda: True)
    assert layers.forms() == layers.FORMS["deterministic gpu"]


@pytest.mark.parametrize(("height", "width"), [(4, 6), (8, 12), (32, 48)])
def test_a_deterministic_enlargement_is_the_same_one(monkeypatch, height, width):
    x = paddle.to_tensor(np.random.default_rng(0).random((2, 2, 4, 3), np.float32))
    weight = paddle.to_tensor(np.random.default_rng(1).random((2, 2, height, width), np.float32))
    results = []
    for deterministic in (False, True):
        monkeypatch.setattr(layers, "device_kind", lambda: "gpu")
        monkeypatch.setattr(layers, "is_deterministic", lambda on=deterministic: on)
        if deterministic:  # whose gradient adds up in any order on GPUs
            monkeypatch.delattr(paddle.nn.functional, "interpolate")
        copy = x.clone().detach()
        copy.stop_gradient = False
        enlarged = layers.resize_bilinear(copy, height, width)
        (enlarged * weight).sum().backward()
        results.append((enlarged.numpy(), copy.grad.numpy()))
    for plain, ordered in zip(*results):
        np.testing.assert_allclose(ordered, plain, rtol=1e-5, atol=1e-6)


def test_windows_on_a_gpu_are_no_convolutions_which_tf32_would_round(monkeypatch):
    images = [paddle.rand([1, 3, 6, 8]) for _ in range(2)]
    expected = layers.ssim_distance(*images).numpy()
    FakeGpus(monkeypatch).device = "gpu:0"
    monkeypatch.delattr(paddle.nn.functional, "conv2d")
    np.testing.assert_allclose(layers.ssim_distance(*images).numpy(), expected, atol=1e-4)


def test_the_smallest_image_has_steps_too():
    x = tensor([[[[0.0, 3.0], [1.0, 1.0]]]])
    assert layers.step_sizes(x, 3).numpy().ravel().tolist() == [3, 0]
    assert layers.step_sizes(x, 2).numpy().ravel().tolist() == [1, 2]
