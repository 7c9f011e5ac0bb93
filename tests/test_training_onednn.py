"""Convolutions through oneDNN: the same gradients and statistics; and when it is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest

from networks.midas_small import MidasSmall
from networks.monodepth import Architecture, Monodepth
from training import onednn
from training.compile_step import compile_step
from training.parts import freeze
from training.step import Networks

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURE = Architecture(source_ids=(-1, 1))
ON_CPU = paddle.device.get_device().startswith("cpu")
needs_onednn = pytest.mark.skipif(
    not ON_CPU or not paddle.base.core.is_compiled_with_mkldnn(),
    reason="this Paddle computes on a GPU, or has no oneDNN",
)


def monodepth_and_inputs():
    rng = np.random.default_rng(0)
    inputs = [rng.random(shape, np.float32) for shape in ([2, 3, 64, 96], [2, 2, 3, 64, 96])]
    return Networks(Monodepth(ARCHITECTURE)), [paddle.to_tensor(array) for array in inputs]


class Midas(paddle.nn.Layer):
    def __init__(self):
        super().__init__()
        self.model = MidasSmall()

    def forward(self, images):
        return self._trace(images)

    @paddle.jit.not_to_static
    def _trace(self, images):
        return [self.model(images)]


def midas_and_inputs():
    images = np.random.default_rng(0).random([2, 3, 64, 96], np.float32)
    layer = Midas()
    # Statistics of two images amplify a change of the last bit to a hundredth of the gradients.
    for part in layer.sublayers():
        if isinstance(part, paddle.nn.BatchNorm2D):
            part._use_global_stats = True
    return layer, [paddle.to_tensor(images)]


def all_of_a_step(layer, inputs):
    """Predictions, then the gradients and the running statistics after one step."""
    predicted = layer(*inputs)
    sum(((index + 1) * part).mean() for index, part in enumerate(predicted)).backward()
    found = [part.numpy() for part in predicted]
    found += [p.grad.numpy() for p in layer.parameters() if not p.stop_gradient]
    found += [buffer.numpy() for buffer in layer.buffers()]
    layer.clear_gradients()
    return found


@needs_onednn
@pytest.mark.parametrize("make", [monodepth_and_inputs, midas_and_inputs])
def test_gradients_and_statistics_are_those_of_paddles_convolutions(make):
    results = []
    for compiled in (False, True):
        paddle.seed(1)
        layer, inputs = make()
        if compiled:
            assert onednn.works()
            onednn.compile_with_onednn(layer, threads=2)
        results.append([all_of_a_step(layer, inputs) for _ in range(2)])
    for plain, through_onednn in zip(*results):
        assert len(plain) == len(through_onednn) > 60
        for a, b in zip(plain, through_onednn):
            np.testing.assert_allclose(b, a, rtol=0, atol=2e-4 * np.abs(a).max() + 1e-7)


@needs_onednn
def test_frozen_parts_stay_frozen():
    results = []
    for compiled in (False, True):
        paddle.seed(1)
        layer, inputs = monodepth_and_inputs()
        freeze(layer.model.encoder)
        if compiled:
            assert onednn.works()
            onednn.compile_with_onednn(layer, threads=2)
        results.append(all_of_a_step(layer, inputs))
        assert all(p.grad is None for p in layer.model.encoder.parameters())
    for plain, through_onednn in zip(*results):
        np.testing.assert_allclose(
            through_onednn, plain, rtol=0, atol=2e-4 * np.abs(plain).max() + 1e-7
        )


@needs_onednn
def test_validation_is_computed_with_the_statistics_of_training():
    layer, inputs = monodepth_and_inputs()
    all_of_a_step(layer, inputs)
    layer.eval()
    with paddle.no_grad():
        plain = layer(*inputs)
        assert onednn.works()
        onednn.compile_with_onednn(layer, threads=2)
        found = layer(*inputs)
        for a, b in zip(plain, found):
            np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=0, atol=1e-5)
    layer.train()
    trained = layer(*inputs)
    assert not np.allclose(trained[0].numpy(), found[0].numpy(), atol=1e-4)


@needs_onednn
def test_all_convolutions_are_placed(monkeypatch):
    counts, place = [], onednn.place_convolutions

    def counted(program):
        names = [op.name() for op in program.global_block().ops]
        there = sum(name in onednn.PLACED for name in names)
        counts.append((there, place(program)))
        return counts[-1][1]

    monkeypatch.setattr(onednn, "place_convolutions", counted)
    layer, inputs = monodepth_and_inputs()
    assert onednn.works()
    counts.clear()
    onednn.compile_with_onednn(layer, threads=2)
    all_of_a_step(layer, inputs)
    all_of_a_step(layer, inputs)
    # 3 encoders of 20, the depth decoder's 14, the pose decoder's 4 for each of two sources.
    assert counts == [(82, 82), (82, 82)]


def broken(program):
    raise AttributeError("no such pass")


@pytest.mark.parametrize("failure", ["raises", "wrong gradients"])
def test_where_the_trial_fails_the_step_is_compiled_without(monkeypatch, failure):
    if failure == "raises":
        monkeypatch.setattr(onednn, "place_convolutions", broken)
    else:
        plain = onednn._gradients
        calls = []

        def drifting(layer, images):
            calls.append(layer)
            return [value * len(calls) for value in plain(layer, images)]

        monkeypatch.setattr(onednn, "_gradients", drifting)
    onednn.works.cache_clear()
    try:
        assert not onednn.works()

        class Loss(paddle.nn.Layer):
            compilable = True

        class Step(paddle.nn.Layer):
            def __init__(self):
                super().__init__()
                self.loss = Loss()

            def forward(self, x):
                return (x * 2).sum()

        step = Step()
        compile_step(step, processes=1)
        assert float(step(paddle.ones([1]))) == 2
    finally:
        onednn.works.cache_clear()


@needs_onednn
def test_the_trial_leaves_random_numbers_and_flags_alone():
    onednn.works.cache_clear()
    paddle.seed(3)
    expected = paddle.rand([3]).numpy()
    paddle.seed(3)
    before = paddle.get_flags(onednn.FLAG)
    assert onednn.works()
    assert paddle.get_flags(onednn.FLAG) == before
    np.testing.assert_array_equal(paddle.rand([3]).numpy(), expected)


STEPS_ON_OVERWRITTEN_MEMORY = """
from tests.test_training_onednn import all_of_a_step, monodepth_and_inputs
from training import onednn
assert onednn.works()
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


@needs_onednn
@pytest.mark.parametrize(("processes", "share"), [(1, 6), (2, 3), (4, 1), (9, 1)])
def test_processes_share_the_cores(monkeypatch, processes, share):
    monkeypatch.setattr(onednn.os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    assert onednn.share_of_cores(processes) == share
