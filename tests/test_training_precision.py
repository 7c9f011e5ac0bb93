"""Half precision: what can be seen of it without a GPU."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from errors import InputError
from networks.monodepth import Motion, Prediction
from training.precision import check_precision, loss_scaler, networks_in, scaler_state

on_gpu = paddle.device.get_device().startswith("gpu")


@pytest.mark.skipif(on_gpu, reason="a GPU can")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_is_refused_on_a_cpu(precision):
    check_precision("fp32")
    with pytest.raises(InputError, match=f"--precision {precision}: Paddle trains in half"):
        check_precision(precision)


def test_predictions_come_back_in_float32():
    half = paddle.ones([1, 3]).astype("bfloat16")
    got = Prediction([half], [Motion(half, half, invert=True)], [half]).as_float32()
    tensors = [*got.disps, got.motions[0].axisangle, got.motions[0].translation, *got.masks]
    assert {tensor.dtype for tensor in tensors} == {paddle.float32}
    assert got.motions[0].invert
    assert Prediction([half], [], None).as_float32().masks is None


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
