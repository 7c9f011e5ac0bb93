"""Half precision: what can be seen of it without a GPU."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from errors import InputError
from networks.monodepth import Architecture, Motion, Prediction
from training.precision import check_precision, loss_scaler, networks_in, scaler_state
from training.step import Networks

on_gpu = paddle.device.get_device().startswith("gpu")


@pytest.mark.skipif(on_gpu, reason="a GPU can")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_refused_on_a_cpu(precision):
    check_precision("fp32")
    with pytest.raises(InputError, match=f"--precision {precision}: Paddle trains in half"):
        check_precision(precision)


@pytest.mark.parametrize("mask", [False, True])
def test_predictions_come_back_in_float32_and_in_order(mask):
    architecture = Architecture(scales=(0, 1), source_ids=(-1, 1), predictive_mask=mask)
    half = [paddle.full([1, 3], value).astype("bfloat16") for value in range(8)]
    motions = [Motion(half[2], half[3], invert=True), Motion(half[4], half[5], invert=False)]

    class Model(paddle.nn.Layer):
        def forward(self, target, sources):
            return Prediction(half[:2], motions, half[6:] if mask else None)

    flat = Networks(Model(), "bf16")(None, None)
    assert {tensor.dtype for tensor in flat} == {paddle.float32}
    got = Prediction.from_flat(architecture, flat)
    assert [float(disp[0, 0]) for disp in got.disps] == [0, 1]
    parts = [(float(m.axisangle[0, 0]), float(m.translation[0, 0]), m.invert) for m in got.motions]
    assert parts == [(2, 3, True), (4, 5, False)]
    assert [float(m[0, 0]) for m in got.masks] == [6, 7] if mask else got.masks is None


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_without_loss_scaling_a_step_is_the_optimisers_own(precision):
    weights = []
    for scaled in (False, True):
        paddle.seed(0)
        layer = paddle.nn.Linear(2, 2)
        adam = paddle.optimizer.Adam(0.1, parameters=layer.parameters())
        with networks_in("fp32"):
            loss = (layer(paddle.ones([1, 2])) ** 2).mean()
        if scaled:
            scaler = loss_scaler(precision)
            scaler.scale(loss).backward()
            scaler.step(adam)
            scaler.update()
            assert scaler_state(scaler) == {}
        else:
            loss.backward()
            adam.step()
        weights.append(layer.weight.numpy())
    np.testing.assert_array_equal(*weights)
