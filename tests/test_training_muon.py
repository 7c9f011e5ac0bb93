"""Muon: what it makes of a matrix, which weights it moves and how far, and that it goes on."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn

from networks.monodepth import Architecture, Monodepth
from system.errors import InputError
from training.checkpoint import Progress, load_checkpoint, optimiser_arrays, save_checkpoint
from training.muon import COEFFICIENTS, MOMENTUM, STEP, TURNS, Muon, is_matrix, orthogonal
from weight_files.model_info import ModelInfo

RATE = 0.01


def with_singular_values(values, columns):
    """A matrix of these singular values, and its singular vectors on both sides."""
    rng = np.random.default_rng(0)
    left, _ = np.linalg.qr(rng.normal(size=(len(values), len(values))))
    right, _ = np.linalg.qr(rng.normal(size=(columns, len(values))))
    return (left * values) @ right.T, left, right


@pytest.mark.parametrize("turned", [False, True])
def test_a_matrix_keeps_its_directions_and_loses_their_lengths(turned):
    values = np.geomspace(1, 0.02, 8)
    matrix, left, right = with_singular_values(values, 40)
    given = paddle.to_tensor((matrix.T if turned else matrix).astype(np.float32))
    found = orthogonal(given).numpy()
    lengths = left.T @ (found.T if turned else found) @ right
    np.testing.assert_allclose(lengths, np.diag(np.diag(lengths)), atol=1e-4)
    assert 0.65 < np.diag(lengths).min() <= np.diag(lengths).max() < 1.21
    # As by the polynomial on each singular value, turn after turn.
    expected, (a, b, c) = values / np.linalg.norm(values), COEFFICIENTS
    for _ in range(TURNS):
        expected = a * expected + b * expected**3 + c * expected**5
    np.testing.assert_allclose(np.diag(lengths), expected, rtol=1e-3)


def test_the_size_of_a_gradient_does_not_matter_and_none_moves_nothing():
    matrix = paddle.to_tensor(np.random.default_rng(0).normal(size=(16, 30)).astype(np.float32))
    for factor in (1e-6, 1e6):
        np.testing.assert_allclose(orthogonal(factor * matrix), orthogonal(matrix), atol=1e-4)
    np.testing.assert_array_equal(orthogonal(paddle.zeros([16, 30])), 0)


def moved_by(optimiser, layers, inputs, steps):
    """The weights after steps of the mean square of the outputs."""
    for _ in range(steps):
        layers(inputs).square().mean().backward()
        optimiser.step()
        optimiser.clear_grad()
    return {name: value.numpy() for name, value in layers.named_parameters()}


def test_a_step_is_as_long_as_the_rate_says_and_along_the_momentum():
    paddle.seed(0)
    layer = nn.Conv2D(16, 20, 3, bias_attr=False)
    inputs = paddle.rand([2, 16, 5, 5])
    optimiser, momentum = Muon(RATE, parameters=layer.parameters()), 0
    for _ in range(3):
        before = layer.weight.numpy()
        layer(inputs).square().mean().backward()
        gradient = layer.weight.grad.numpy().reshape(20, -1)
        optimiser.step()
        optimiser.clear_grad()
        momentum = MOMENTUM * momentum + gradient
        ahead = paddle.to_tensor(gradient + MOMENTUM * momentum)
        step = (before - layer.weight.numpy()).reshape(20, -1)
        along = STEP * RATE * np.sqrt(16 * 9) * orthogonal(ahead).numpy()
        np.testing.assert_allclose(step, along, atol=1e-6)
        assert np.sqrt(np.mean(step**2)) == pytest.approx(STEP * RATE, rel=0.3)


def test_everything_else_moves_by_adam():
    ends = []
    for kind in (Muon, paddle.optimizer.Adam):
        paddle.seed(0)
        layers = nn.Sequential(nn.Conv2D(3, 16, 3), nn.BatchNorm2D(16), nn.Conv2D(16, 1, 1))
        inputs = paddle.rand([2, 3, 6, 6])
        optimiser = kind(RATE, parameters=layers.parameters())
        ends.append(moved_by(optimiser, layers, inputs, 3))
    for name, value in ends[0].items():
        np.testing.assert_array_equal(value, ends[1][name], name)


def test_modules_keep_the_rates_that_they_are_given():
    paddle.seed(0)
    layer = nn.Linear(16, 20)
    layer.weight.optimize_attr["learning_rate"] = 0.0
    before = layer.weight.numpy()
    after = moved_by(Muon(RATE, parameters=layer.parameters()), layer, paddle.rand([4, 16]), 2)
    np.testing.assert_array_equal(after["weight"], before)


def test_what_few_examples_say_is_learnt_as_soon_as_the_rest():
    """A regression where half of the inputs come a hundred times more rarely."""
    rng = np.random.default_rng(0)
    inputs, truth = (np.linalg.qr(rng.normal(size=(32, 32)))[0] for _ in range(2))
    inputs, truth = (paddle.to_tensor(array.astype(np.float32)) for array in (inputs, truth))
    often = paddle.to_tensor(np.where(np.arange(32) < 16, 1, 0.01).astype(np.float32))
    left = {}
    for kind in (Muon, paddle.optimizer.Adam):
        layer = nn.Linear(32, 32, bias_attr=False)
        layer.weight.set_value(paddle.zeros([32, 32]))
        optimiser = kind(RATE, parameters=layer.parameters())
        for _ in range(100):
            (often * (layer(inputs) - truth).square().mean(axis=1)).sum().backward()
            optimiser.step()
            optimiser.clear_grad()
        left[kind] = (layer(inputs) - truth).square().sum(axis=1).numpy()  # of 1
    assert left[Muon].max() < 0.1
    assert left[paddle.optimizer.Adam][16:].min() > 0.3


def test_of_a_resnet_it_moves_what_is_neither_first_nor_last_nor_very_wide():
    model = Monodepth(Architecture(source_ids=(-1, 1)))
    kernels = {name: value for name, value in model.named_parameters() if value.ndim == 4}
    left = sorted(name for name, value in kernels.items() if not is_matrix(value))
    resnet = ["conv1", *(f"layer4.{block}.conv{n}" for block in (0, 1) for n in (1, 2))]
    assert left == [
        *(f"depth.output_{scale}.conv.weight" for scale in range(4)),
        *(f"encoder.resnet.{name}.weight" for name in resnet),
        "pose.pose_2.weight",
        *(f"pose_encoder.resnet.{name}.weight" for name in resnet),
    ]
    assert len(kernels) == 58
    assert not any(is_matrix(value) for value in model.parameters() if value.ndim == 1)


class Small(nn.Layer):
    """Modules of a weights folder: a matrix, and what Adam moves."""

    def __init__(self):
        super().__init__()
        self.architecture = Architecture()
        self.encoder, self.depth = nn.Linear(16, 16), nn.Linear(16, 1)

    def forward(self, inputs):
        return self.depth(self.encoder(inputs))


def start(kind, seed):
    paddle.seed(seed)
    model = Small()
    return model, kind(RATE, parameters=model.parameters())


def test_a_resumed_run_equals_one_without_a_stop(tmp_path):
    inputs = paddle.rand([4, 16])
    model, optimiser = start(Muon, seed=0)
    moved_by(optimiser, model, inputs, 2)
    info = ModelInfo(model.architecture, 64, 64)
    save_checkpoint(tmp_path / "last", model, info, optimiser, Progress(step=2))
    other, resumed = start(Muon, seed=1)
    assert load_checkpoint(tmp_path / "last", other, resumed).step == 2
    ends = [moved_by(*pair, inputs, 3) for pair in ((optimiser, model), (resumed, other))]
    for name, value in ends[0].items():
        np.testing.assert_array_equal(value, ends[1][name], name)
    states = optimiser_arrays(model, optimiser), optimiser_arrays(other, resumed)
    assert states[0].keys() == states[1].keys()
    assert [name for name in states[0] if "encoder.weight" in name] == ["encoder.weight/moment1_0"]


@pytest.mark.parametrize(
    ("kind", "other", "name"),
    [(Muon, paddle.optimizer.Adam, "muon"), (paddle.optimizer.Adam, Muon, "adam")],
)
def test_the_state_of_the_other_optimiser_is_refused(kind, other, name, tmp_path):
    model, optimiser = start(kind, seed=0)
    moved_by(optimiser, model, paddle.rand([4, 16]), 1)
    info = ModelInfo(model.architecture, 64, 64)
    save_checkpoint(tmp_path / "last", model, info, optimiser, Progress(step=1))
    with pytest.raises(InputError, match=f"moved its weights by {name}: add --optimizer {name}"):
        load_checkpoint(tmp_path / "last", *start(other, seed=0))
