"""An optimiser step; of half precision, what can be seen without a GPU."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from networks.monodepth import Motion, Prediction
from system.errors import InputError
from tests.fake_gpu import FakeGpus
from training.optimisation import Update, check_precision, freeze, networks_in
from training.self_supervised import Networks

on_gpu = paddle.device.get_device().startswith("gpu")


@pytest.mark.skipif(on_gpu, reason="a GPU can")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_refused_on_a_cpu(precision):
    check_precision("fp32")
    with pytest.raises(InputError, match=f"--precision {precision}: Paddle trains in half"):
        check_precision(precision)


def test_a_card_without_bfloat16_is_told_from_one_with(monkeypatch):
    FakeGpus(monkeypatch).device = "gpu:1"
    monkeypatch.setattr(paddle.amp, "is_float16_supported", lambda: True)
    monkeypatch.setattr(paddle.amp, "is_bfloat16_supported", lambda: False)
    check_precision("fp16")
    with pytest.raises(InputError, match="bf16: gpu:1 does not compute in bfloat16; use fp16"):
        check_precision("bf16")


def test_half_precision_that_cannot_be_compiled_is_refused(monkeypatch):
    FakeGpus(monkeypatch).device = "gpu:0"
    monkeypatch.setattr(paddle.amp, "is_float16_supported", lambda: True)
    monkeypatch.setattr(paddle, "__version__", "2.6.2")
    check_precision("fp32", compiled=True)
    check_precision("fp16", compiled=False)
    with pytest.raises(InputError, match=r"fp16: Paddle 2\.6\.2 cannot compile half.*add --eager"):
        check_precision("fp16", compiled=True)
    monkeypatch.setattr(paddle, "__version__", "3.0.0")
    check_precision("fp16", compiled=True)


@pytest.mark.parametrize(
    "norm", [paddle.nn.BatchNorm2D, paddle.nn.BatchNorm1D, paddle.nn.BatchNorm]
)
def test_frozen_statistics_stay_whatever_the_normalisation(norm):
    layer = norm(3)
    freeze(layer)
    layer.train()
    layer(paddle.rand([4, 3, 2, 2] if norm is not paddle.nn.BatchNorm1D else [4, 3]))
    np.testing.assert_array_equal(layer._mean.numpy(), 0)
    assert layer.weight.stop_gradient


@pytest.mark.parametrize("mask", [False, True])
def test_predictions_come_back_in_float32_and_by_their_names(mask):
    half = [paddle.full([1, 3], value).astype("bfloat16") for value in range(8)]
    motions = [Motion(half[2], half[3], invert=True), Motion(half[4], half[5], invert=False)]

    class Model(paddle.nn.Layer):
        def forward(self, target, sources):
            return Prediction(half[:2], motions, half[6:] if mask else None)

    got = Prediction.from_dict(Networks(Model(), "bf16")({"target": None, "sources": None}))
    assert [float(disp[0, 0]) for disp in got.disps] == [0, 1]
    parts = [(float(m.axisangle[0, 0]), float(m.translation[0, 0]), m.invert) for m in got.motions]
    assert parts == [(2, 3, True), (4, 5, False)]
    assert [float(m[0, 0]) for m in got.masks] == [6, 7] if mask else got.masks is None
    tensors = [*got.disps, *(got.masks or []), *(m.axisangle for m in got.motions)]
    assert {tensor.dtype for tensor in tensors} == {paddle.float32}


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_networks_compute_in_the_precision_that_is_asked_for(monkeypatch, precision):
    asked = {}
    monkeypatch.setattr(paddle.amp, "auto_cast", lambda **words: asked.update(words))
    networks_in(precision)
    dtypes = {"bf16": "bfloat16", "fp16": "float16"}
    assert asked["enable"] == (precision in dtypes)
    assert asked["dtype"] == dtypes.get(precision, asked["dtype"])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_without_loss_scaling_a_step_is_the_optimisers_own(precision):
    """Which half precision of a small exponent needs only."""
    weights = []
    for through_update in (False, True):
        paddle.seed(0)
        layer = paddle.nn.Linear(2, 2)
        loss = (layer(paddle.ones([1, 2])) ** 2).mean()
        if through_update:
            update = Update(layer, precision)
            update.set_rates(0.1, 0.1, {})
            update.add(loss)
            update.apply()
            assert update.scaling == {}
        else:
            adam = paddle.optimizer.Adam(0.1, parameters=layer.parameters())
            loss.backward()
            adam.step()
        weights.append(layer.weight.numpy())
    np.testing.assert_array_equal(*weights)


def test_the_scaling_of_a_loss_goes_on_as_it_was(monkeypatch):
    class Scaler:
        """Paddle's, which does nothing without a GPU."""

        def __init__(self, enable, init_loss_scaling):
            self.state = {"scale": np.float32([init_loss_scaling]), "incr_count": 0}
            self.state["use_dynamic_loss_scaling"] = enable

        def is_enable(self):
            return True

        def state_dict(self):
            return self.state

        def load_state_dict(self, state):
            self.state = state

    monkeypatch.setattr(paddle.amp, "GradScaler", Scaler)
    update = Update(paddle.nn.Linear(2, 2), "fp16")
    saved = {**update.scaling, "scale": 1024.0, "incr_count": 7.0}
    update.restore_scaling(saved)
    assert update.scaling == saved
    assert [type(value) for value in update._scaler.state.values()] == [np.ndarray, int, bool]
