"""What 8 bits need of a transformer: the same function, and no channel that stands out."""

from __future__ import annotations

import shutil

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F

from networks.architecture import Architecture
from networks.depth_anything import Block
from networks.kinds import DEPTH_ANYTHING
from prediction import graph
from prediction.engines import onnxruntime_engine
from prediction.paddle_graph import save_onnx
from prediction.smoothing import SplitAttention, smooth
from weight_files.model_info import ModelInfo

WIDTH, PATCH, SIDES = 24, 14, (5, 7)
SIZE = [PATCH * side for side in SIDES]
INFO = ModelInfo(Architecture(), *SIZE, kind=DEPTH_ANYTHING["small"])
OUTLIER = 300.0  # how much larger the values of one channel are


class Small(nn.Layer):
    """The parts of Depth Anything that smoothing knows, between a layer and a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2D(3, WIDTH, PATCH, stride=PATCH)
        self.pretrained = nn.Layer()
        self.pretrained.blocks = nn.LayerList([Block(WIDTH, 2) for _ in range(2)])
        self.last = nn.Conv2D(WIDTH, 1, 3, padding=1)

    def disparity_map(self, images):
        """[B, 3, h, w] to [B, h / 14, w / 14]."""
        maps = self.patches(images)
        tokens = maps.flatten(2).transpose([0, 2, 1])
        for block in self.pretrained.blocks:
            tokens = block(tokens)
        x = tokens.transpose([0, 2, 1]).reshape([0, WIDTH, *SIDES])
        return F.sigmoid(self.last(x))[:, 0]


@pytest.fixture
def model():
    """A network, in each layer of which one channel stands out."""
    paddle.seed(0)
    network = Small()
    network.eval()
    with paddle.no_grad():
        for block in network.pretrained.blocks:
            spread(block)
    return network


def spread(block) -> None:
    """Make channels of a block stand out, in what 8 bits give one range to."""
    for norm, reader in ((block.norm1, block.attn.qkv), (block.norm2, block.mlp.fc1)):
        for parameter in (norm.weight, norm.bias):
            parameter[3] *= OUTLIER
        reader.weight[:, 3] /= OUTLIER
    block.attn.qkv.weight[2 * WIDTH + 5] *= OUTLIER
    block.attn.proj.weight[:, 5] /= OUTLIER
    block.attn.qkv.bias[WIDTH : 2 * WIDTH] += OUTLIER


@pytest.fixture
def images():
    """Some as the network is given them."""
    rng = np.random.default_rng(0)
    return list(255 * rng.random((12, *SIZE, 3), np.float32))


def output_of(model, image):
    x = paddle.to_tensor(image.transpose(2, 0, 1)[None] / 255)
    with paddle.no_grad():
        return model.disparity_map(x).numpy()


def test_nothing_changes_but_the_ranges_of_channels(model, images):
    expected = output_of(model, images[0])
    wide = model.pretrained.blocks[1].norm1.weight.abs().numpy()
    smooth(model, images[:2])
    got = output_of(model, images[0])
    np.testing.assert_allclose(got, expected, atol=2e-4 * expected.max())
    block = model.pretrained.blocks[1]
    even = block.norm1.weight.abs().numpy()
    assert (wide.max() / np.median(wide), even.max() / np.median(even)) > (OUTLIER / 2, 0)
    assert even.max() / np.median(even) < 10
    assert isinstance(block.attn, SplitAttention)
    # Nothing is common to all keys any more.
    assert np.abs(block.attn.k.bias.numpy()).max() < 0.1 * OUTLIER


def in_8_bits(path) -> set[int]:
    """The numbers of dimensions that weights in 8 bits have: 2 of linear layers, 4 of others."""
    onnx = pytest.importorskip("onnx")
    whole = onnx.TensorProto.INT8
    return {
        len(each.dims)
        for each in onnx.load(path).graph.initializer
        if each.data_type == whole and len(each.dims) > 1
    }


def test_linear_layers_are_in_8_bits_where_smoothing_keeps_depth(
    model, images, tmp_path, monkeypatch
):
    pytest.importorskip("onnxruntime", reason="needs requirements-engines.txt")
    pytest.importorskip("paddle2onnx", reason="needs requirements-engines.txt")
    monkeypatch.setattr(graph, "calibration_images", lambda folder, info: images)
    source, target = tmp_path / "a.onnx", tmp_path / "b.onnx"
    save_onnx(model, INFO, source)

    def as_it_is(seen, path):
        shutil.copy(source, path)

    def smoothed(seen, path):
        smooth(model, seen)
        save_onnx(model, INFO, path)

    for save, dimensions in ((as_it_is, {4}), (smoothed, {2, 4})):
        graph.fit_int8(source, INFO, tmp_path, target, onnxruntime_engine, save)
        assert in_8_bits(target) == dimensions
