"""Training on known depth: its step, parts that learn otherwise, and what is said of the model."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import paddle
import pytest
from paddle import nn

from datasets.conventions import STEREO
from networks.kinds import MIDAS_SMALL
from networks.midas_small import MidasSmall
from networks.monodepth import Architecture, Monodepth
from options import TrainOptions, parse
from system.errors import InputError
from training.health import LOOKS, Health, signs_of_depth
from training.model_with_loss import ModelWithLoss
from training.optimisation import freeze, set_part_rates
from training.recompute import recompute_blocks
from training.supervised import (
    FINE_TUNING_RATE,
    SCRATCH_RATE,
    InverseDepths,
    MeanLoss,
    Supervised,
    SupervisedOutput,
    metric_loss,
    relative_loss,
)
from weight_files.folder import read_info
from weight_files.model_info import METRIC_DEPTH, RELATIVE_DEPTH, ModelInfo

COMMON = "--task supervised --dataset rgbd "
MONODEPTH = COMMON + "--network monodepth "


def options_of(line):
    return parse(TrainOptions, line.split())


def refusal(line):
    with pytest.raises(InputError) as caught:
        options_of(line)
    return str(caught.value)


@pytest.fixture
def batch():
    """Pictures and depth, a third of it unknown."""
    rng = np.random.default_rng(0)
    images = paddle.to_tensor(rng.random((2, 3, 64, 64), np.float32))
    depth = rng.uniform(1, 9, (2, 64, 64)).astype(np.float32)
    depth[:, :21] = 0
    return images, paddle.to_tensor(depth)


def evaluated(model, loss, batch):
    """What a network and its loss say of pictures and depth."""
    layers = ModelWithLoss(InverseDepths(model, 0.1, 100.0), MeanLoss(loss))
    return SupervisedOutput(**layers({"seen": batch[0], "known": batch[1]}))


class Fixed(nn.Layer):
    """Stands for Monodepth2's network: disparities that were thought of."""

    def __init__(self, disps):
        super().__init__()
        self.disps = [paddle.to_tensor(disp) for disp in disps]
        self.architecture = Architecture(scales=tuple(range(len(disps))), source_ids=())

    def predict_disparity(self, images):
        return self.disps


def sigmoid_of(depth, low=0.1, high=100.0):
    """The sigmoid disparity [B, 1, H, W] that means a depth [B, H, W]."""
    return ((1 / depth - 1 / high) / (1 / low - 1 / high))[:, None].astype(np.float32)


def test_the_right_depth_costs_nothing_and_a_metre_off_costs_a_metre(batch):
    depth = batch[1]
    truth = np.where(depth.numpy() > 0, depth.numpy(), 50)  # wrong where nothing is known
    right, off = (Fixed([sigmoid_of(truth + error)]) for error in (0, 1))
    for loss in (relative_loss(0.2, 0.5), metric_loss("l1"), metric_loss("silog")):
        output = evaluated(right, loss, batch)
        assert float(output.total) == pytest.approx(0, abs=2e-4)
    np.testing.assert_allclose(output.inverse_depth.numpy(), 1 / truth, rtol=1e-4)
    output = evaluated(off, metric_loss("l1"), batch)
    assert float(output.total) == pytest.approx(1, rel=1e-3)


def test_the_loss_is_the_mean_over_scales_at_full_size(batch):
    fine, coarse = np.full((2, 1, 64, 64), 0.02, np.float32), np.full((2, 1, 32, 32), 0.1)
    coarse = coarse.astype(np.float32)

    def total(*disps):
        return float(evaluated(Fixed(disps), metric_loss("l1"), batch).total)

    full = np.full((2, 1, 64, 64), 0.1, np.float32)
    assert total(fine, coarse) == pytest.approx((total(fine) + total(full)) / 2, rel=1e-5)


def test_an_image_without_known_depth_moves_nothing(batch):
    images, depth = batch
    model = MidasSmall()
    unknown = (images, paddle.zeros_like(depth))
    total = evaluated(model, relative_loss(0.2, 0.5), unknown).total
    total.backward()
    assert float(total) == 0
    for parameter in model.parameters():
        assert parameter.grad is None or not parameter.grad.numpy().any()


def state(layer):
    return {name: value.numpy().copy() for name, value in layer.state_dict().items()}


def changed(before, after):
    return {name for name, value in before.items() if not np.array_equal(value, after[name])}


def train(model, batch, steps=2, rate=1e-3, clip=None):
    optimiser = paddle.optimizer.Adam(rate, parameters=model.parameters(), grad_clip=clip)
    for _ in range(steps):
        evaluated(model, relative_loss(0.2, 0.5), batch).total.backward()
        optimiser.step()
        optimiser.clear_grad()


@pytest.mark.parametrize(("part", "other"), [("pretrained", "scratch"), ("scratch", "pretrained")])
def test_a_frozen_part_stays_as_it_is_statistics_too(part, other, batch):
    paddle.seed(1)  # from which the output is not 0 everywhere
    model = MidasSmall()
    freeze(getattr(model, part))
    before = {name: state(getattr(model, name)) for name in (part, other)}
    train(model, batch)
    assert not changed(before[part], state(getattr(model, part)))
    assert changed(before[other], state(getattr(model, other)))


def test_a_part_learns_at_the_rate_that_it_is_given(batch):
    moved = {}
    for rate in (None, 1e-5):
        paddle.seed(0)
        model = MidasSmall()
        if rate is not None:
            set_part_rates(model, 1e-3, {"pretrained": rate})
        before = {name: p.numpy().copy() for name, p in model.named_parameters()}
        train(model, batch, steps=1)
        moved[rate] = {n: np.abs(p.numpy() - before[n]) for n, p in model.named_parameters()}
    # Adam's first step is the rate, wherever the gradient is not tiny.
    name = "pretrained.layer1.0.weight"
    assert moved[None][name].max() == pytest.approx(1e-3, rel=1e-2)
    assert moved[1e-5][name].max() == pytest.approx(1e-5, rel=1e-2)
    name = "scratch.output_conv.0.weight"
    np.testing.assert_array_equal(moved[None][name], moved[1e-5][name])


def test_clipping_bounds_the_norm_of_all_gradients_together():
    layer = nn.Linear(3, 2)
    # Plain descent at rate 1 moves weights by the clipped gradient itself.
    for clip, expected in ((0.5, 0.5), (100.0, np.sqrt(2) * 30)):
        before = layer.weight.numpy().copy()
        layer.bias.stop_gradient = True
        optimiser = paddle.optimizer.SGD(
            1.0, parameters=layer.parameters(), grad_clip=nn.ClipGradByGlobalNorm(clip)
        )
        layer(paddle.to_tensor([[10.0, 20.0, 20.0]])).sum().backward()
        optimiser.step()
        optimiser.clear_grad()
        assert np.linalg.norm(layer.weight.numpy() - before) == pytest.approx(expected, rel=1e-4)


def test_recomputing_changes_nothing_that_midas_learns(batch):
    results = []
    for again in (False, True):
        paddle.seed(0)
        model = MidasSmall()
        if again:
            recompute_blocks(model)
        total = evaluated(model, relative_loss(0.2, 0.5), batch).total
        total.backward()
        results.append((float(total), state(model)))
    assert results[0][0] == results[1][0]
    assert not changed(results[0][1], results[1][1])


@pytest.mark.parametrize(
    ("line", "kind", "supervision", "metric", "size"),
    [
        (COMMON + "--height 64 --width 96", MIDAS_SMALL, RELATIVE_DEPTH, False, (96, 96)),
        (MONODEPTH + "--height 64 --width 96", "monodepth", RELATIVE_DEPTH, False, (64, 96)),
        (MONODEPTH + "--loss silog", "monodepth", METRIC_DEPTH, True, (256, 256)),
    ],
)
def test_the_model_says_what_its_depth_means(tmp_path, line, kind, supervision, metric, size):
    info = Supervised(options_of(line)).info(None, 7)
    assert (info.kind, info.supervision, info.step) == (kind, supervision, 7)
    assert (info.metric, info.metres_per_unit) == (metric, 1.0 if metric else None)
    assert info.shift_known == metric
    assert (info.height, info.width) == size
    (tmp_path / "model.json").write_text(info.to_json())
    assert read_info(tmp_path) == info


def test_a_model_json_of_before_says_what_it_said(tmp_path):
    info = ModelInfo(Architecture(source_ids=(STEREO,)), 64, 96)
    fields = json.loads(info.to_json())
    del fields["supervision"]
    (tmp_path / "model.json").write_text(json.dumps(fields))
    read = read_info(tmp_path)
    assert read == info
    assert (read.metric, read.shift_known) == (True, True)
    assert read.metres_per_unit == pytest.approx(5.4)


@pytest.mark.parametrize(
    "change",
    [
        {"supervision": "guesses"},
        {"supervision": METRIC_DEPTH, "kind": MIDAS_SMALL},
        {"architecture": {**dataclasses.asdict(Architecture()), "source_ids": []}},
    ],
)
def test_a_model_json_that_cannot_be_is_refused(tmp_path, change):
    fields = {**json.loads(ModelInfo(Architecture(), 64, 96).to_json()), **change}
    (tmp_path / "model.json").write_text(json.dumps(fields))
    with pytest.raises(InputError, match="impossible value"):
        read_info(tmp_path)


def test_monodepth_without_sources_has_its_depth_network_alone():
    model = Monodepth(Architecture(source_ids=()))
    assert [name for name, _ in model.named_children()] == ["encoder", "depth"]


@pytest.mark.parametrize(
    ("line", "rate", "reason"),
    [
        (COMMON, SCRATCH_RATE, "random weights"),
        (COMMON + "--load_weights_folder w", FINE_TUNING_RATE, "fine-tuning"),
        (COMMON + "--weights_init midas_v21_small", FINE_TUNING_RATE, "fine-tuning"),
        (MONODEPTH + "--weights_init mono_640x192", FINE_TUNING_RATE, "fine-tuning"),
        (MONODEPTH + "--weights_init pretrained", 1e-4, "ImageNet"),
    ],
)
def test_the_learning_rate_follows_from_the_start(line, rate, reason):
    assert 1e-5 <= FINE_TUNING_RATE <= 5e-5 < SCRATCH_RATE
    chosen, why = Supervised(options_of(line)).learning_rate()
    assert chosen == rate
    assert reason in why


def test_defaults_of_the_task():
    options = options_of(COMMON)
    assert (options.height, options.width, options.clip_norm) == (256, 256, 1)
    assert (options.network, options.loss, options.learning_rate) == (MIDAS_SMALL, "ssi", None)
    assert parse(TrainOptions, []).clip_norm == 0


@pytest.mark.parametrize(
    ("line", "named", "remedy"),
    [
        ("--task supervised", "--dataset kitti:", "--dataset rgbd"),
        ("--dataset rgbd", "--dataset rgbd:", "--task supervised"),
        (COMMON + "--use_stereo", "--use_stereo:", "leave it out"),
        (COMMON + "--frame_ids 0 1", "--frame_ids 0 1:", "leave it out"),
        (COMMON + "--cache_dir c", "--cache_dir c:", "leave it out"),
        (COMMON + "--no_ssim", "--no_ssim:", "leave it out"),
        ("--loss l1", "--loss l1: is for --task supervised", "leave it out"),
        ("--freeze trunk", "--freeze trunk: is for --task supervised", "leave it out"),
        (COMMON + "--loss l1", "--loss l1:", "--network monodepth"),
        (COMMON + "--max_depth 10", "--max_depth 10.0:", "leave it out"),
        (MONODEPTH + "--loss l1 --trim 0.1", "--trim 0.1:", "leave it out"),
        (COMMON + "--weights_init pretrained", "--weights_init pretrained:", "midas_v21_small"),
        (MONODEPTH + "--weights_init midas_v21_small", "another network", "--network midas_small"),
        (
            COMMON + "--weights_init midas_v21_small --load_weights_folder w",
            "--weights_init midas_v21_small:",
            "drop one",
        ),
        (COMMON + "--mix_shares 1 2", "--mix_shares 1.0 2.0:", "--mix_data_path"),
        (COMMON + "--mix_data_path a --mix_shares 1", "--mix_shares 1.0:", "2 numbers"),
        (COMMON + "--mix_data_path a --mix_shares 1 0", "--mix_shares 1.0 0.0:", "positive"),
        (COMMON + "--freeze trunk decoder", "--freeze trunk decoder:", "freeze one"),
        (COMMON + "--freeze trunk --trunk_learning_rate 1e-5", "--trunk_learning_rate", "drop one"),
        (COMMON + "--freeze trunk --sync_batch_norm", "--freeze trunk:", "drop one"),
        (COMMON + "--recompute", "--recompute:", "--eager"),
        (COMMON + "--height 70", "--height 70:", "try 64"),
        ("--weights_init midas_v21_small", "--weights_init midas_v21_small:", "folder"),
    ],
)
def test_contradicting_options_are_refused_by_name_with_a_remedy(line, named, remedy):
    message = refusal(line)
    assert named in message
    assert remedy in message


def test_signs_of_trouble_are_said_once_when_they_last():
    rng = np.random.default_rng(0)
    good, depth = rng.random((2, 8, 8)), rng.uniform(1, 5, (2, 8, 8))
    cases = {
        "nearly the same everywhere": (np.zeros((2, 8, 8)), depth),
        "known at 0.00%": (good, np.zeros((2, 8, 8))),
        "outside of 0.1 to 3 m": (good, depth),
    }
    for words, pair in cases.items():
        health = Health()
        signs = signs_of_depth(*pair, (0.1, 3.0 if "outside" in words else 10.0))
        said = [message for _ in range(3 * LOOKS) for message in health.look(signs)]
        assert len(said) == 1
        assert words in said[0]
    assert not any(signs_of_depth(good, depth, None).values())
