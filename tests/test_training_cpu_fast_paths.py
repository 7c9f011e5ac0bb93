"""What may be used on this machine; whatever fails, training goes on without it."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from tests.fake_gpu import FakeGpus
from training.cpu import arrays, onednn, process
from training.cpu import fast_paths as module
from training.cpu.fast_paths import FastPaths, compile_layers, fast_paths
from training.model_with_loss import ModelWithLoss, TracedLayer

needs_cpu = pytest.mark.skipif(
    not paddle.device.get_device().startswith("cpu"), reason="for CPUs only"
)


@pytest.fixture
def asked_again():
    """What was found out before and within the test is forgotten."""
    found = (module._onednn_works, module._kernels_that_work)
    for each in found:
        each.cache_clear()
    yield
    for each in found:
        each.cache_clear()


class Convolution(TracedLayer):
    def __init__(self):
        super().__init__()
        self.convolution = paddle.nn.Conv2D(3, 4, 3)

    def compute(self, inputs):
        return {"maps": self.convolution(inputs), "nothing": None}


class Sum(TracedLayer):
    compilable = True

    def compute(self, inputs):
        total = (inputs["predicted"]["maps"] * inputs["known"]).sum()
        return {"total": total, "nested": [inputs["predicted"]]}


def check_that_it_computes(layers):
    """Forward, and backward in training, as without compiling."""
    images, known = paddle.rand([2, 3, 8, 8]), paddle.to_tensor(2.0)
    compile_layers(layers, processes=1)
    weight = layers.networks.convolution.weight
    for phase in ("train", "eval", "train"):
        getattr(layers, phase)()
        output = layers({"seen": images, "known": known})
        expected = layers.networks.convolution(images)
        assert float(output["total"]) == pytest.approx(float(2 * expected.sum()), rel=1e-4)
        (nested,) = output["nested"]
        assert nested["maps"].shape == [2, 4, 6, 6]
        assert nested["nothing"] is None
        if phase == "eval":
            continue
        output["total"].backward()
        ours = weight.grad.numpy().copy()
        weight.clear_gradient()
        (2 * expected.sum()).backward()
        assert ours == pytest.approx(weight.grad.numpy(), rel=1e-4)
        weight.clear_gradient()


@pytest.mark.parametrize("through_onednn", [False, True])
@pytest.mark.parametrize("compilable", [False, True])
def test_whole_or_apart_dictionaries_and_lists_go_in_and_out(
    monkeypatch, through_onednn, compilable
):
    if through_onednn and not fast_paths().onednn:
        pytest.skip("this Paddle computes on a GPU, or has no oneDNN")
    monkeypatch.setattr(module, "fast_paths", lambda: FastPaths(onednn=through_onednn))
    loss = Sum()
    loss.compilable = compilable
    check_that_it_computes(ModelWithLoss(Convolution(), loss))


@needs_cpu
@pytest.mark.parametrize("failure", ["raises", "wrong gradients"])
def test_where_the_trial_of_onednn_fails_layers_are_compiled_without(
    monkeypatch, caplog, asked_again, failure
):
    caplog.set_level("INFO")

    def broken(program):
        raise AttributeError("no such pass")

    plain, calls = onednn._gradients, []

    def drifting(layer, images):
        calls.append(layer)
        return [value * len(calls) for value in plain(layer, images)]

    name, fails = {
        "raises": ("place_operations", broken),
        "wrong gradients": ("_gradients", drifting),
    }[failure]
    monkeypatch.setattr(onednn, name, fails)
    assert not fast_paths().onednn
    assert not fast_paths().onednn
    assert caplog.text.count("oneDNN's failed") == 1
    check_that_it_computes(ModelWithLoss(Convolution(), Sum()))


@needs_cpu
def test_where_onednn_fails_later_training_goes_on_without(monkeypatch, caplog):
    def broken(layer, threads):
        raise AttributeError("no such part of Paddle")

    monkeypatch.setattr(module, "fast_paths", lambda: FastPaths(onednn=True))
    monkeypatch.setattr(onednn, "compile_with_onednn", broken)
    check_that_it_computes(ModelWithLoss(Convolution(), Sum()))
    assert caplog.text.count("no such part of Paddle") == 1


@needs_cpu
def test_the_kernels_are_used_where_numba_is(monkeypatch, asked_again):
    fused = pytest.importorskip("training.cpu.fused", reason="the kernels need Numba, an extra")
    assert fast_paths().kernels is fused.KERNELS
    module._kernels_that_work.cache_clear()
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert fast_paths().kernels is None
    monkeypatch.setattr(paddle.device, "get_device", lambda: "gpu:0")
    assert fast_paths() == FastPaths()


def test_nothing_of_it_acts_on_a_gpu(monkeypatch):
    def acts(*words):
        raise AssertionError("this is for CPUs")

    for owner, name in (
        (module, "_onednn_works"),
        (module, "_kernels_that_work"),
        (arrays, "empty"),
        (process.memory, "keep_freed_memory"),
        (paddle.base.core, "set_num_threads"),
    ):
        monkeypatch.setattr(owner, name, acts, raising=False)
    FakeGpus(monkeypatch).device = "gpu:0"
    compiled = []
    monkeypatch.setattr(paddle.jit, "to_static", lambda layer, full_graph: compiled.append(layer))
    layers = ModelWithLoss(Convolution(), Sum())
    compile_layers(layers, processes=1)
    assert compiled == [layers]  # networks and loss as one
    assert fast_paths() == FastPaths()
    assert arrays.to_tensor(np.float32([1, 2])).tolist() == [1, 2]
    process.use_threads(1)
    assert not process.keep_freed_memory()


@needs_cpu
@pytest.mark.parametrize("failure", [ImportError("Numba needs NumPy 2.4 or less"), None])
def test_training_goes_on_without_kernels_that_fail(monkeypatch, caplog, asked_again, failure):
    fused = pytest.importorskip("training.cpu.fused", reason="the kernels need Numba, an extra")

    def fail(name):
        raise failure

    def off_by_a_tenth(*images, ssim):
        return 1.1 * fused.PLAIN.photometric_error(*images, ssim)

    if failure is not None:
        monkeypatch.setattr(module, "import_module", fail)
        assert module._kernels_that_work() is None
        assert "NumPy 2.4" in caplog.text
    else:
        wrong = module.Kernels(fused.warp_sources, off_by_a_tenth)
        monkeypatch.setattr(fused, "KERNELS", wrong)
        assert module._kernels_that_work() is None
        assert "without Numba" in caplog.text
