"""Depthwise convolution as a product gives what the convolution gives, gradients too."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from networks.depthwise import MOST_PIXELS, depthwise_product, is_faster
from networks.midas_small import SameConv


@pytest.mark.parametrize("size", [(2, 2), (4, 6), (8, 8), (2, 8)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_outputs_and_gradients_are_those_of_the_convolution(size, kernel, stride):
    rng = np.random.default_rng(0)
    layer = SameConv(16, 16, kernel, stride, groups=16)
    arrays = rng.normal(size=(3, 16, *size)), rng.normal(size=(16, 1, kernel, kernel))
    stride, before, after = layer.strided
    results = []
    for product in (False, True):
        x, weight = (
            paddle.to_tensor(array.astype(np.float32), stop_gradient=False) for array in arrays
        )
        if product:
            y = depthwise_product(x, weight, stride, before, after)
        else:
            y = F.conv2d(x, weight, None, stride, [before, after, before, after], groups=16)
        (y * y).sum().backward()
        results.append([value.numpy() for value in (y, x.grad, weight.grad)])
    for ours, theirs in zip(*results):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_it_is_for_small_maps_on_cpus():
    side = int(MOST_PIXELS**0.5)
    on_cpu = paddle.device.get_device() == "cpu"
    assert is_faster(paddle.zeros([1, 1, side, side])) == on_cpu
    assert not is_faster(paddle.zeros([1, 1, side, side + 1]))
