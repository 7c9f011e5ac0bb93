"""The moving average of the weights."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle import nn

from training.averaging import WeightAverage, decay_at


def network():
    """With running statistics, and a part that does not learn."""
    paddle.seed(0)
    layer = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1D(4), nn.Linear(4, 1))
    layer[2].weight.stop_gradient = True
    return layer


def state(layer):
    return {name: value.numpy().copy() for name, value in layer.state_dict().items()}


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def train(layer, step):
    optimiser = paddle.optimizer.SGD(0.1, parameters=layer.parameters())
    data = np.random.default_rng(step).random((5, 3), np.float32)
    (layer(paddle.to_tensor(data)) ** 2).mean().backward()
    optimiser.step()
    optimiser.clear_grad()


def averaged(average):
    with average.in_model():
        return state(average.model)


def test_the_decay_rises_from_a_tenth_to_the_one_that_is_asked_for():
    assert [decay_at(step, 0.5) for step in (0, 2, 8, 9)] == [0.1, 0.25, 0.5, 0.5]
    assert decay_at(8989, 0.999) < 0.999
    assert decay_at(8991, 0.999) == 0.999


def test_the_average_is_that_of_the_formula_with_running_statistics():
    layer = network()
    average = WeightAverage(layer, 0.3)
    expected = {name: value.astype(np.float64) for name, value in state(layer).items()}
    for step in range(6):
        train(layer, step)
        average.update(step)
        decay = min(0.3, (1 + step) / (10 + step))
        for name, value in state(layer).items():
            expected[name] = decay * expected[name] + (1 - decay) * value
    got, raw = averaged(average), state(layer)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-7)
    differ = {name for name in raw if not np.array_equal(got[name], raw[name])}
    assert differ == raw.keys() - {"2.weight"}  # which did not change: not by a bit
    assert {"1._mean", "1._variance"} <= differ


def test_a_constant_stays_to_the_last_bit():
    layer = network()
    before = state(layer)
    average = WeightAverage(layer, 0.99)
    for step in range(100):
        average.update(step)
    assert_equal(averaged(average), before)


def test_training_goes_on_from_the_raw_weights():
    layer, alone = network(), network()
    average = WeightAverage(layer, 0.9)
    for step in range(3):
        for each in (layer, alone):
            train(each, step)
        average.update(step)
        with pytest.raises(ValueError, match="within"), average.in_model():
            with average.in_model():  # such as a checkpoint that is saved while validating
                inner = state(layer)
            assert_equal(state(layer), inner)
            assert_equal(average.raw_arrays(), state(alone))
            raise ValueError("within")
        assert_equal(average.raw_arrays(), state(alone))
        assert_equal(state(layer), state(alone))
        assert not np.array_equal(inner["0.weight"], state(layer)["0.weight"])
    assert [p.stop_gradient for p in layer.parameters()] == [
        p.stop_gradient for p in alone.parameters()
    ]


def test_it_may_begin_anew():
    layer = network()
    average = WeightAverage(layer, 0.9)
    train(layer, 0)
    average.restart()
    assert_equal(averaged(average), state(layer))


def test_without_a_decay_nothing_is_kept():
    layer = network()
    average = WeightAverage(layer, 0)
    train(layer, 0)
    average.update(0)
    assert_equal(averaged(average), state(layer))
    assert average.raw_arrays() == {}
    assert average._kept == {}
