import numpy as np
import paddle
import pytest
from paddle import nn

from networks.convolution import Conv2D


@pytest.mark.parametrize(
    "shape",
    [{"padding": 1}, {"stride": 2, "padding": [0, 1]}, {"groups": 2}, {"dilation": 2}],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_values_and_gradients_are_those_of_paddles_convolution(shape, compiled):
    ours, theirs = Conv2D(4, 6, 3, **shape), nn.Conv2D(4, 6, 3, **shape)
    theirs.set_state_dict(ours.state_dict())
    start = np.linspace(-1, 1, 6, dtype=np.float32)
    ours.bias.set_value(start)
    theirs.bias.set_value(start)
    x = np.random.default_rng(0).standard_normal((2, 4, 7, 9)).astype(np.float32)
    found = []
    for layer in (ours, theirs):
        images = paddle.to_tensor(x, stop_gradient=False)
        run = paddle.jit.to_static(layer, full_graph=True) if compiled else layer
        value = run(images)
        (value * value).sum().backward()
        gradients = [p.grad.numpy() for p in (images, layer.weight, layer.bias)]
        layer.eval()
        found.append([value.numpy(), *gradients, layer(images).numpy()])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())


def test_without_a_bias_nothing_is_added():
    layer = Conv2D(1, 1, 1, bias_attr=False)
    layer.weight.set_value(np.full((1, 1, 1, 1), 2, np.float32))
    assert layer(paddle.ones([1, 1, 2, 2])).numpy().tolist() == [[[[2, 2], [2, 2]]]]
