"""ConvNeXt as the encoder of depth: its figures, its files, and training with it."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import paddle
import pytest

from networks.convnext_encoder import VARIANTS, ConvNextEncoder
from networks.kinds import CONVNEXTS
from networks.monodepth import Architecture, Monodepth
from options import SelfSupervisedOptions, parse
from system.errors import InputError
from tests.blank import blank_networks
from tests.parity import main as parity
from training.self_supervised import architecture_of, initial_model
from weight_files.folder import open_model, save_weights
from weight_files.imagenet import load_imagenet
from weight_files.model_info import ModelInfo
from weight_files.torch_files import write_torch

GOLDEN = Path(__file__).parent / "data" / "convnext_tiny_seed0_96x64.npz"
TINY = Architecture(encoder="convnext_tiny")


@lru_cache(maxsize=1)
def tiny_arrays() -> dict[str, np.ndarray]:
    """Other values for every parameter of a ConvNeXt-Tiny."""
    with blank_networks():
        shapes = {n: v.shape for n, v in ConvNextEncoder("convnext_tiny").state_dict().items()}
    numbers = iter(range(len(shapes)))
    return {n: np.full(shape, 1e-3 * next(numbers), "f4") for n, shape in shapes.items()}


def tiny_file(path: Path) -> dict[str, np.ndarray]:
    """Write a file as torchvision's, classifier and all; its arrays."""
    arrays = tiny_arrays()
    head = {"classifier.0.weight": np.ones(768, "f4"), "classifier.0.bias": np.ones(768, "f4")}
    head |= {"classifier.2.weight": np.ones((9, 768), "f4"), "classifier.2.bias": np.ones(9, "f4")}
    write_torch(path, {**arrays, **head})
    return arrays


def test_every_published_figure_is_reproduced(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["parity", str(GOLDEN)])
    assert parity() == 0
    assert capsys.readouterr().out.splitlines()[-1] == "4 figures, 0 off"


def test_features_are_at_strides_4_to_32():
    with blank_networks(), paddle.no_grad():
        maps = ConvNextEncoder("convnext_tiny")(paddle.zeros([1, 3, 64, 96]))
    assert [m.shape for m in maps] == [
        [1, 96, 16, 24],
        [1, 192, 8, 12],
        [1, 384, 4, 6],
        [1, 768, 2, 3],
    ]


@pytest.mark.parametrize("variant", CONVNEXTS)
def test_every_variant_has_the_blocks_and_channels_of_its_row(variant):
    with blank_networks():
        encoder = ConvNextEncoder(variant)
    depths, channels = VARIANTS[variant]
    assert tuple(len(stage) for stage in encoder.features[1::2]) == depths
    assert tuple(stage[0].block[5].weight.shape[0] for stage in encoder.features[1::2]) == channels


def test_the_decoder_goes_without_a_skip_at_stride_2_and_motion_is_a_resnets():
    with blank_networks(), paddle.no_grad():
        model = Monodepth(TINY)
        disps = model.predict_disparity(paddle.zeros([1, 3, 64, 96]))
        axisangle, _ = model.predict_motion(*(paddle.zeros([1, 3, 64, 96]) for _ in range(2)))
    assert model.depth.upconv_1_1.conv.weight.shape == [32, 32, 3, 3]
    assert model.depth.upconv_2_1.conv.weight.shape == [64, 64 + 96, 3, 3]
    assert [disp.shape[2:] for disp in disps] == [[64, 96], [32, 48], [16, 24], [8, 12]]
    assert model.pose_encoder.variant == "resnet18"
    assert axisangle.shape == [1, 3]


def test_a_shared_encoder_gives_motion_too():
    architecture = Architecture(encoder="convnext_tiny", pose_model_type="shared")
    with blank_networks(), paddle.no_grad():
        model = Monodepth(architecture)
        prediction = model(paddle.zeros([1, 3, 64, 64]), paddle.zeros([1, 2, 3, 64, 64]))
    assert [motion.axisangle.shape for motion in prediction.motions] == [[1, 3], [1, 3]]


def test_torchvisions_file_starts_the_depth_encoder(tmp_path):
    arrays = tiny_file(tmp_path / "convnext.pth")
    options = SelfSupervisedOptions(
        encoder="convnext_tiny", weights_init=str(tmp_path / "convnext.pth"), height=64, width=64
    )
    with blank_networks():
        model = initial_model(options)
    for name, value in model.encoder.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), arrays[name])


def test_a_file_of_another_network_is_refused(tmp_path):
    tiny_file(tmp_path / "convnext.pth")
    write_torch(tmp_path / "resnet.pth", {"conv1.weight": np.ones((64, 3, 7, 7), "f4")})
    with blank_networks():
        with pytest.raises(InputError, match=r"convnext\.pth: weights of another architecture"):
            load_imagenet(
                Monodepth(Architecture(encoder="convnext_small")), tmp_path / "convnext.pth"
            )
        with pytest.raises(InputError, match=r"convnext\.pth: .*--encoder"):
            load_imagenet(Monodepth(Architecture()), tmp_path / "convnext.pth")
        stereo = Architecture(encoder="convnext_tiny", source_ids=("s",))
        with pytest.raises(InputError, match=r"resnet\.pth: .*ConvNeXt"):
            load_imagenet(Monodepth(stereo), tmp_path / "resnet.pth")


def test_a_weights_folder_says_its_encoder_and_gives_it_back(tmp_path):
    with blank_networks():
        model = Monodepth(TINY)
        image = paddle.rand([1, 3, 64, 64])
        model.encoder.set_state_dict(tiny_arrays())
        save_weights(tmp_path, model, ModelInfo(TINY, 64, 64))
        again = open_model(tmp_path).depth_network()
    model.eval()
    with paddle.no_grad():
        expected, got = model.disparity_map(image), again.disparity_map(image)
    assert again.architecture.encoder == "convnext_tiny"
    np.testing.assert_array_equal(got.numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("words", "layers", "encoder"),
    [
        ("--encoder resnet50", 50, "resnet"),
        ("--num_layers 34", 34, "resnet"),
        ("--encoder convnext_small", 18, "convnext_small"),
    ],
)
def test_encoder_and_num_layers_name_the_networks(words, layers, encoder):
    options = parse(SelfSupervisedOptions, ["--data_path", "data", *words.split()])
    architecture = architecture_of(options)
    assert (architecture.num_layers, architecture.encoder) == (layers, encoder)


def test_two_encoders_are_refused():
    words = ["--data_path", "data", "--encoder", "convnext_tiny", "--num_layers", "34"]
    with pytest.raises(InputError, match="--num_layers 34: is another one than --encoder"):
        parse(SelfSupervisedOptions, words)
