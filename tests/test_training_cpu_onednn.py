"""Convolutions through oneDNN: the same gradients and statistics."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

from networks.convnext_encoder import Block
from networks.linear import Linear
from networks.midas_small import MidasSmall
from networks.monodepth import Architecture, Monodepth
from system.paddle_versions import is_paddle_3
from training.cpu import onednn
from training.cpu.fast_paths import fast_paths
from training.model_with_loss import TracedLayer
from training.optimisation import freeze
from training.self_supervised import Networks

ROOT = Path(__file__).resolve().parents[1]
# The pose network runs twice in a step, the others once.
ARCHITECTURE = Architecture(source_ids=(-1, 1), scales=(0,), pose_model_type="posecnn")
ON_CPU = paddle.device.get_device().startswith("cpu")
needs_onednn = pytest.mark.skipif(
    not ON_CPU or not paddle.base.core.is_compiled_with_mkldnn() or not is_paddle_3(),
    reason="this Paddle computes on a GPU, or has no oneDNN for training",
)


def monodepth_and_inputs():
    rng = np.random.default_rng(0)
    inputs = [rng.random(shape, np.float32) for shape in ([2, 3, 64, 64], [2, 2, 3, 64, 64])]
    target, sources = (paddle.to_tensor(array) for array in inputs)
    return Networks(Monodepth(ARCHITECTURE)), {"target": target, "sources": sources}


class Midas(TracedLayer):
    def __init__(self):
        super().__init__()
        self.model = MidasSmall()

    def compute(self, inputs):
        return [self.model(inputs)]


def midas_and_inputs():
    images = np.random.default_rng(0).random([2, 3, 64, 64], np.float32)
    layer = Midas()
    for part in layer.sublayers():
        if isinstance(part, paddle.nn.BatchNorm2D):
            part._use_global_stats = True
    return layer, paddle.to_tensor(images)


def tensors(outputs):
    """All tensors of nested outputs."""
    return [part for part in paddle.utils.flatten(outputs) if isinstance(part, paddle.Tensor)]


def all_of_a_step(layer, inputs):
    """Predictions, then the gradients and the running statistics after one step."""
    predicted = tensors(layer(inputs))
    sum(((index + 1) * part).mean() for index, part in enumerate(predicted)).backward()
    found = [part.numpy() for part in predicted]
    found += [p.grad.numpy() for p in layer.parameters() if not p.stop_gradient]
    found += [buffer.numpy() for buffer in layer.buffers()]
    layer.clear_gradients()
    return found


@pytest.fixture
def smooth(monkeypatch):
    """Networks whose gradients have no steps.

    Rounding of the last bit decides on which side of a ReLU's corner a value is, and which pixel is
    a window's largest: with these, gradients of deep networks move by a hundredth.
    """

    def smooth_relu(x, name=None):
        return F.softplus(x)

    def of_layer(self, x):
        return F.softplus(x)

    def mean_of_window(self, x):
        return F.avg_pool2d(x, 3, 2, 1)

    monkeypatch.setattr(F, "relu", smooth_relu)
    monkeypatch.setattr(F, "relu6", smooth_relu)
    monkeypatch.setattr(paddle.nn.ReLU, "forward", of_layer)
    monkeypatch.setattr(paddle.nn.MaxPool2D, "forward", mean_of_window)


def assert_close(plain, through_onednn, tolerance=2e-4):
    atol = tolerance * np.abs(plain).max() + 1e-7
    np.testing.assert_allclose(through_onednn, plain, rtol=0, atol=atol)


@needs_onednn
@pytest.mark.parametrize(
    # Measured on five kinds of rounding: 1.1e-5 and 1.5e-4.
    ("make", "tolerance"),
    [(monodepth_and_inputs, 2e-4), (midas_and_inputs, 1e-3)],
)
def test_gradients_and_statistics_are_those_of_paddles_convolutions(make, tolerance, smooth):
    results = []
    for compiled in (False, True):
        paddle.seed(1)
        layer, inputs = make()
        if compiled:
            assert fast_paths().onednn
            onednn.compile_with_onednn(layer, threads=2)
        results.append([all_of_a_step(layer, inputs) for _ in range(2)])
    for plain, through_onednn in zip(*results):
        assert len(plain) == len(through_onednn) > 60
        for a, b in zip(plain, through_onednn):
            assert_close(a, b, tolerance)


class ConvNextBlocks(TracedLayer):
    def __init__(self):
        super().__init__()
        self.blocks = paddle.nn.Sequential(Block(8), Block(8))
        for block in self.blocks:
            block.layer_scale.set_value(paddle.ones([8, 1, 1]))

    def compute(self, inputs):
        return [self.blocks(inputs)]


@needs_onednn
def test_gradients_of_convnext_blocks_are_those_of_paddles_operations():
    layer, plain = ConvNextBlocks(), ConvNextBlocks()
    plain.set_state_dict(layer.state_dict())
    maps = paddle.to_tensor(np.random.default_rng(0).standard_normal([2, 8, 6, 10]), "float32")
    onednn.compile_with_onednn(layer, threads=2)
    found, expected = all_of_a_step(layer, maps), all_of_a_step(plain, maps)
    assert len(found) == len(expected) == 19
    for a, b in zip(expected, found):
        assert_close(a, b, 1e-5)


class Depthwise(TracedLayer):
    """A wide depthwise convolution of which the maps, the weights or both need a gradient."""

    def __init__(self, kernel, learns):
        super().__init__()
        shape = {"padding": tuple(side // 2 for side in kernel), "groups": 4, "bias_attr": False}
        self.conv = paddle.nn.Conv2D(4, 4, kernel, **shape)
        self.conv.weight.stop_gradient = not learns

    def compute(self, inputs):
        return [self.conv(inputs)]


@needs_onednn
@pytest.mark.parametrize(
    ("kernel", "height", "width"), [((7, 7), 3, 10), ((7, 7), 9, 2), ((5, 4), 6, 8), ((3, 9), 4, 4)]
)
@pytest.mark.parametrize("learns", [(True, True), (True, False), (False, True)])
def test_wide_depthwise_gradients_in_parts_are_those_of_the_whole(
    kernel, height, width, learns, monkeypatch
):
    assert fast_paths().onednn  # whose trial is counted no more
    of_maps, of_weights = learns
    narrowed, narrow = [], onednn.narrow_weight_gradients
    monkeypatch.setattr(
        onednn, "narrow_weight_gradients", lambda program: narrowed.append(narrow(program))
    )
    layer, plain = Depthwise(kernel, of_weights), Depthwise(kernel, of_weights)
    plain.set_state_dict(layer.state_dict())
    onednn.compile_with_onednn(layer, threads=2)
    values = np.random.default_rng(0).standard_normal([2, 4, height, width]).astype("float32")
    found = []
    for one in (layer, plain):
        maps = paddle.to_tensor(values, stop_gradient=not of_maps)
        (output,) = one(maps)
        (output * output).sum().backward()
        found.append((output, maps.grad, one.conv.weight.grad))
    assert narrowed == [1 if of_weights else 0]
    for a, b in zip(*found):
        assert (a is None) == (b is None)
        if b is not None:
            assert_close(b.numpy(), a.numpy(), 1e-5)


class Rows(TracedLayer):
    """A convolution, layer normalisation and a linear layer; the first two may be frozen."""

    def __init__(self, maps_learn, scale_learns):
        super().__init__()
        self.conv = paddle.nn.Conv2D(4, 6, 3, bias_attr=False)
        self.conv.weight.stop_gradient = not maps_learn
        self.norm, self.linear = paddle.nn.LayerNorm(6, epsilon=1e-3), Linear(6, 10)
        for parameter in (self.norm.weight, self.norm.bias, self.linear.bias):
            parameter.set_value(paddle.randn(parameter.shape))
        self.norm.weight.stop_gradient = not scale_learns

    def compute(self, inputs):
        return [self.linear(self.norm(self.conv(inputs).transpose([0, 2, 3, 1])))]


@needs_onednn
@pytest.mark.parametrize("learns", [(True, True), (True, False), (False, True)])
def test_shorter_gradients_of_rows_are_those_of_layer_normalisation_and_sums(learns, monkeypatch):
    assert fast_paths().onednn  # whose trial is counted no more
    counts = []
    for name in ("normalise_rows_as_batches", "share_gradients_of_sums"):
        shorten = getattr(onednn, name)
        monkeypatch.setattr(onednn, name, lambda program, f=shorten: counts.append(f(program)))
    layer, plain = Rows(*learns), Rows(*learns)
    plain.set_state_dict(layer.state_dict())
    onednn.compile_with_onednn(layer, threads=2)
    maps = paddle.to_tensor(np.random.default_rng(0).random([2, 4, 5, 6], np.float32))
    found = []
    for one in (layer, plain):
        (output,) = one(maps)
        (output * output).sum().backward()
        found.append([output, *(parameter.grad for parameter in one.parameters())])
    assert counts == [1, 1 if all(learns) else 0]
    for a, b in zip(*found):
        assert (a is None) == (b is None)
        if b is not None:
            assert_close(b.numpy(), a.numpy(), 1e-5)


@needs_onednn
def test_frozen_parts_stay_frozen(smooth):
    results = []
    for compiled in (False, True):
        paddle.seed(1)
        layer, inputs = monodepth_and_inputs()
        freeze(layer.model.encoder)
        if compiled:
            assert fast_paths().onednn
            onednn.compile_with_onednn(layer, threads=2)
        results.append(all_of_a_step(layer, inputs))
        assert all(p.grad is None for p in layer.model.encoder.parameters())
    for plain, through_onednn in zip(*results):
        assert_close(plain, through_onednn)


@needs_onednn
def test_validation_is_computed_with_the_statistics_of_training():
    layer, inputs = monodepth_and_inputs()
    all_of_a_step(layer, inputs)
    layer.eval()
    with paddle.no_grad():
        plain = tensors(layer(inputs))
        assert fast_paths().onednn
        onednn.compile_with_onednn(layer, threads=2)
        found = tensors(layer(inputs))
        for a, b in zip(plain, found):
            np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=0, atol=1e-5)
    layer.train()
    trained = tensors(layer(inputs))
    assert not np.allclose(trained[0].numpy(), found[0].numpy(), atol=1e-4)


@needs_onednn
def test_all_that_can_be_is_placed(monkeypatch):
    counts, place = [], onednn.place_operations

    def counted(program):
        names = [op.name() for op in program.global_block().ops]
        wanted = [name for name in names if name in onednn.PLACED]
        placed = place(program)
        counts.append((sum("conv2d" in name for name in wanted), len(wanted) - placed))
        return placed

    monkeypatch.setattr(onednn, "place_operations", counted)
    layer, inputs = monodepth_and_inputs()
    assert fast_paths().onednn
    counts.clear()
    onednn.compile_with_onednn(layer, threads=2)
    all_of_a_step(layer, inputs)
    all_of_a_step(layer, inputs)
    # The encoder's 20, the decoder's 11 of one scale, PoseCNN's 8 for each of two sources.
    assert counts == [(47, 0), (47, 0)]


@needs_onednn
def test_the_trial_leaves_random_numbers_and_flags_alone():
    paddle.seed(3)
    expected = paddle.rand([3]).numpy()
    paddle.seed(3)
    before = paddle.get_flags(onednn.FLAG)
    onednn.check()
    assert paddle.get_flags(onednn.FLAG) == before
    np.testing.assert_array_equal(paddle.rand([3]).numpy(), expected)


STEPS_ON_OVERWRITTEN_MEMORY = """
from tests.test_training_cpu_onednn import all_of_a_step, monodepth_and_inputs
from training.cpu import onednn
from training.cpu.fast_paths import fast_paths
assert fast_paths().onednn
layer, inputs = monodepth_and_inputs()
onednn.compile_with_onednn(layer, threads=2)
for _ in range(2):
    all_of_a_step(layer, inputs)
print("done")
"""


@needs_onednn
@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux has these settings")
def test_nothing_that_was_freed_is_read():
    """Where freed memory is overwritten at once, reading it ends in a crash or a wrong result."""
    overwriting = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=0", "MALLOC_PERTURB_": "170"}
    done = subprocess.run(
        [sys.executable, "-c", STEPS_ON_OVERWRITTEN_MEMORY],
        cwd=ROOT,
        env={**os.environ, **overwriting},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")
