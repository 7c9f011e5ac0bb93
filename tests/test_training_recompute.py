"""Computing activations again changes what is kept, not what is learnt."""

import numpy as np
import paddle
import pytest

from datasets.conventions import STEREO
from networks.decoders import ConvBlock
from networks.monodepth import Architecture, Monodepth
from training.model_with_loss import ModelWithLoss
from training.objective import Objective
from training.recompute import recompute_blocks, recomputed
from training.self_supervised import Loss, Networks

ARCHITECTURE = Architecture(source_ids=(-1, STEREO), scales=(0, 2))
HEIGHT, WIDTH = 64, 64


def after_a_step(again):
    """Loss, gradients and state of a model of seed 0 after one pass over a fixed batch."""
    paddle.seed(0)
    model = Monodepth(ARCHITECTURE)
    if again:
        recompute_blocks(model)
    layers = ModelWithLoss(Networks(model), Loss(Objective(ARCHITECTURE, recompute=again)))
    rng = np.random.default_rng(0)
    target, sources, noise = (
        paddle.to_tensor(rng.random(shape, np.float32))
        for shape in ((2, 3, HEIGHT, WIDTH), (2, 2, 3, HEIGHT, WIDTH), (2, 2, HEIGHT, WIDTH))
    )
    K = np.array([[0.6 * WIDTH, 0, WIDTH / 2], [0, 2 * HEIGHT, HEIGHT / 2], [0, 0, 1]], np.float32)
    T = np.eye(4, dtype=np.float32)
    T[0, 3] = -0.1
    K, T = (paddle.to_tensor(np.stack([matrix, matrix])) for matrix in (K, T))
    frames = {"target": target, "sources": sources}
    known = {**frames, "K": K, "T_stereo": T, "tie_break": noise}
    loss = layers({"seen": frames, "known": known})["total"]
    loss.backward()
    gradients = {name: p.grad.numpy() for name, p in model.named_parameters() if p.trainable}
    return float(loss), gradients, {name: v.numpy() for name, v in model.state_dict().items()}


def test_loss_gradients_and_running_statistics_stay_the_same():
    loss, gradients, state = after_a_step(again=False)
    loss_again, gradients_again, state_again = after_a_step(again=True)
    assert loss_again == loss
    assert state_again.keys() == state.keys()
    moved = [name for name in state if name.endswith("_mean") and state[name].any()]
    assert len(moved) == 40  # two ResNet-18 of 20 normalisations
    for name, value in state.items():
        np.testing.assert_array_equal(state_again[name], value, err_msg=name)
    for name, value in gradients.items():
        scale = np.abs(value).max()
        np.testing.assert_allclose(gradients_again[name], value, atol=1e-4 * scale, err_msg=name)


class NormBlock(ConvBlock):
    """A block of a decoder, with a normalisation in the place of all else."""

    def __init__(self, norm):
        paddle.nn.Layer.__init__(self)
        self.norm = norm

    def forward(self, x):
        return self.norm(x)


def synchronised_over_one_device(norm, x):
    """What a joint normalisation computes and moves, which Paddle has for GPUs only."""
    return paddle.nn.functional.batch_norm(
        x, norm._mean, norm._variance, norm.weight, norm.bias, norm.training, norm._momentum
    )


@pytest.mark.parametrize("kind", ["BatchNorm2D", "SyncBatchNorm", "BatchNorm"])
def test_running_statistics_of_any_normalisation_move_once(monkeypatch, kind):
    monkeypatch.setattr(paddle.nn.SyncBatchNorm, "forward", synchronised_over_one_device)
    images = paddle.to_tensor(np.random.default_rng(0).random((2, 3, 4, 4), np.float32))
    images.stop_gradient = False
    means = []
    for again in (False, True):
        block = NormBlock(getattr(paddle.nn, kind)(3))
        if again:
            recompute_blocks(paddle.nn.LayerList([block]))
        block.forward(images).square().sum().backward()
        means.append(block.norm._mean.numpy())
    assert np.abs(means[0]).min() > 0.01
    np.testing.assert_array_equal(*means)


def test_a_function_is_computed_again_only_for_gradients():
    calls = []

    def square(x, factor):
        calls.append(paddle.is_grad_enabled())
        return factor * x * x

    x = paddle.to_tensor(3.0)
    assert float(recomputed(square)(x, 2)) == 18
    assert len(calls) == 1
    x.stop_gradient = False
    with paddle.no_grad():
        recomputed(square)(x, 2)
    assert len(calls) == 2
    recomputed(square)(x, 2).backward()
    assert len(calls) == 4
    assert float(x.grad) == pytest.approx(12)
