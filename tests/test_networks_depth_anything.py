"""Depth Anything V2: its figures, its official file, and the commands that take it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest
from PIL import Image

import demo
import train
from networks.depth_anything import (
    GRID,
    NEAREST,
    VARIANTS,
    DepthAnything,
    Variant,
    resizing_weights,
)
from networks.input_sizes import bounded_size, depth_anything_size
from networks.kinds import DEPTH_ANYTHING
from networks.monodepth import Architecture
from options import SupervisedOptions, TrainOptions, parse
from prediction.depth_map import FAMILIES, network_input
from prediction.engines import open_engine
from prediction.export import Export, metadata
from prediction.predictor import DepthPredictor
from system.errors import InputError
from tests.blank import blank_networks
from tests.parity import main as parity
from tools.convert_weights import main as convert_weights
from training.supervised import Supervised, initial_model
from weight_files import published
from weight_files.conversion import convert_official
from weight_files.download import named_model
from weight_files.folder import open_model, save_weights
from weight_files.model_info import ModelInfo
from weight_files.torch_files import write_torch

KIND = DEPTH_ANYTHING["small"]
GOLDEN = Path(__file__).parent / "data" / "depth_anything_v2_small_seed0_98x70.npz"
TINY = Variant(24, 4, 2, (0, 1, 2, 3), 8, (6, 8, 10, 12))
INFO = ModelInfo(Architecture(), 518, 518, name="anything", kind=KIND)


@pytest.fixture
def model(monkeypatch):
    """A network of the same form with 1 % of the channels."""
    monkeypatch.setitem(VARIANTS, "small", TINY)
    paddle.seed(0)
    network = DepthAnything()
    network.start_from_random()
    network.eval()
    return network


@pytest.fixture
def weights(model, tmp_path):
    folder = tmp_path / "anything"
    folder.mkdir()
    save_weights(folder, model, INFO)
    return folder


@pytest.fixture
def photo(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((80, 60), Image.BICUBIC).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_outputs_tokens_gradients_and_sizes_are_the_published_ones(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["parity", str(GOLDEN)])
    assert parity() == 0
    assert "25 figures, 0 off" in capsys.readouterr().out


@pytest.mark.parametrize(("size", "width", "blocks"), [("small", 384, 12), ("base", 768, 12)])
def test_every_size_has_the_channels_and_blocks_of_its_row(size, width, blocks):
    with blank_networks():
        network = DepthAnything(size)
    assert network.pretrained.pos_embed.shape == [1, 1 + GRID**2, width]
    assert len(network.pretrained.blocks) == blocks
    assert network.depth_head.projects[3].weight.shape[:2] == [VARIANTS[size].levels[3], width]


def test_positions_of_the_learnt_grid_stay_and_others_are_resized_as_opencv_does():
    with paddle.no_grad():
        same = resizing_weights(GRID, 1.0).numpy()
    np.testing.assert_allclose(same, np.eye(GRID), atol=1e-6)
    # Without the published offset, steps and samples are those of any bicubic resizing.
    values = np.random.default_rng(0).random((GRID, 1), np.float32)
    weights = resizing_weights(50, GRID / 50).numpy()
    expected = cv2.resize(values, (1, 50), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(weights @ values, expected, atol=1e-5)


def test_long_pictures_are_bounded_and_sizes_stay_as_they_are():
    assert bounded_size(1242, 375, 2072) == depth_anything_size(1242, 375) == (1722, 518)
    assert bounded_size(33, 2000, 2072) == (28, 2072)
    assert bounded_size(640, 480, 406) == (406, 308)
    for size in ((1722, 518), (28, 2072), (406, 308), (518, 518)):
        assert bounded_size(*size, max(size)) == size


def test_the_network_is_given_what_the_rule_says_and_less_where_asked(model, weights):
    picture = np.zeros((60, 80, 3), np.uint8)
    assert network_input(INFO, picture).shape == (518, 686, 3)
    predictor = DepthPredictor.from_folder(weights, engine="paddle", side=112)
    assert predictor.network_input(picture).shape == (84, 112, 3)
    assert predictor(picture).disparity.shape == (60, 80)


def test_the_output_is_enlarged_with_the_corners_in_the_corners():
    output = np.array([[0, 1], [2, 3]], np.float32)
    enlarged = FAMILIES[KIND].enlarge(output, (5, 3))
    across, down = np.linspace(0, 1, 5), np.linspace(0, 2, 3)
    np.testing.assert_allclose(enlarged, down[:, None] + across[None, :], atol=1e-6)
    assert FAMILIES[KIND].enlarge(np.ones((1, 1), np.float32), (3, 2)).tolist() == [[1] * 3] * 2


def official_file(model, path: Path) -> dict[str, np.ndarray]:
    """Write a file as the official one; its parameters."""
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    path.parent.mkdir(exist_ok=True)
    write_torch(path, state)
    return state


def test_the_official_file_is_checked_and_becomes_a_weights_folder(model, tmp_path, monkeypatch):
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path))
    official = published.OFFICIAL_FILES["depth_anything_v2_small"]
    file = tmp_path / "downloads" / official.name
    state = official_file(model, file)
    with pytest.raises(InputError, match="sha256 does not start with 715fade13be8f229"):
        named_model("depth_anything_v2_small")
    known = replace(official, sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    monkeypatch.setitem(published.OFFICIAL_FILES, "depth_anything_v2_small", known)
    opened = open_model(named_model("depth_anything_v2_small"))
    assert (opened.info.kind, opened.info.width, opened.info.metric) == (KIND, 518, False)
    for name, value in opened.depth_network().state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name])


def test_a_file_that_a_user_brings_becomes_a_weights_folder(model, tmp_path):
    state = official_file(model, tmp_path / "vits.pth")
    words = [str(tmp_path / "vits.pth"), str(tmp_path / "mine"), "--kind", KIND]
    with pytest.raises(InputError, match="makes a weights folder"):
        convert_weights([*words, "--to", "torch"])
    convert_weights([*words, "--to", "safetensors"])
    opened = open_model(tmp_path / "mine")
    assert (opened.info.kind, opened.info.name) == (KIND, "mine")
    for name, value in opened.depth_network().state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name])


def test_another_size_or_a_part_of_a_file_is_refused(model, tmp_path):
    state = official_file(model, tmp_path / "whole.pth")
    missing = "depth_head.scratch.output_conv2.2.bias"
    write_torch(tmp_path / "part.pth", {n: a for n, a in state.items() if n != missing})
    with pytest.raises(InputError, match=rf"part\.pth: .*{missing} missing"):
        convert_official(tmp_path / "part.pth", tmp_path / "folder", "part", KIND)
    with blank_networks(), pytest.raises(InputError, match="another architecture"):
        convert_official(tmp_path / "whole.pth", tmp_path / "f", "base", DEPTH_ANYTHING["base"])
    assert not (tmp_path / "folder").exists()


def test_demo_writes_relative_inverse_depth(weights, photo, tmp_path):
    out = tmp_path / "out"
    words = ["--load_weights_folder", str(weights), "--engine", "paddle", "--max_side", "112"]
    demo.main([*words, "--image_path", str(photo), "--output", str(out)])
    description = json.loads((out / "photo_disp.json").read_text())
    assert description["unit"] == "relative inverse depth"
    assert np.load(out / "photo_disp.npy", allow_pickle=False).shape == (60, 80)


@pytest.mark.parametrize("name", ["paddle-inference", "onnxruntime", "openvino"])
def test_engines_agree_for_every_shape(weights, model, name):
    if name != "paddle-inference":
        pytest.importorskip(name, reason="needs requirements-engines.txt")
        pytest.importorskip("paddle2onnx", reason="needs requirements-engines.txt")
    engine = open_engine(open_model(weights), name, "fp32", "cpu")
    for height, width in ((70, 98), (126, 84), (518, 518)):
        image = np.random.default_rng(1).random((1, height, width, 3), np.float32) * 255
        with paddle.no_grad():
            expected = model(paddle.to_tensor(image.transpose(0, 3, 1, 2) / 255)).numpy()
        got = engine.disparity(image)
        np.testing.assert_allclose(got, expected, atol=2e-4 * expected.max())


def test_a_transformer_is_fine_tuned_at_a_tenth_of_the_rate():
    words = ["--task", "supervised", "--dataset", "rgbd", "--data_path", "d", "--network", KIND]
    size = ["--height", "224", "--width", "308"]
    options = parse(SupervisedOptions, [*words, *size, "--weights_init", KIND])
    assert Supervised(options).part_rates(3e-5) == {"pretrained": pytest.approx(3e-6)}
    resumed = parse(SupervisedOptions, [*words, *size, "--resume"])  # of that run, its rate kept
    assert Supervised(resumed).part_rates(3e-5) == Supervised(options).part_rates(3e-5)
    given = parse(SupervisedOptions, [*words, *size, "--trunk_learning_rate", "1e-5"])
    assert Supervised(given).part_rates(3e-5) == {"pretrained": 1e-5}
    with pytest.raises(InputError, match="--height 256: must be a multiple of 14; try 252"):
        parse(SupervisedOptions, words)
    with pytest.raises(InputError, match=r"--weights_init midas_v21_small: .*depth_anything_v2"):
        parse(SupervisedOptions, [*words, *size, "--weights_init", "midas_v21_small"])


def rgbd_pairs(tmp_path: Path) -> Path:
    """Eight small pictures whose brightness is their depth."""
    rng = np.random.default_rng(0)
    for folder in ("images", "depth"):
        (tmp_path / "pairs" / folder).mkdir(parents=True)
    for index in range(8):
        level = cv2.resize(rng.random((3, 4), np.float32), (98, 70))
        Image.fromarray((255 * level).astype(np.uint8)).save(
            tmp_path / "pairs" / "images" / f"{index}.png"
        )
        np.save(tmp_path / "pairs" / "depth" / f"{index}.npy", 1 + 3 * level)
    return tmp_path / "pairs"


def training_words(pairs: Path, weights: Path) -> list[str]:
    words = ["--task", "supervised", "--dataset", "rgbd", "--data_path", str(pairs)]
    words += ["--network", KIND, "--height", "70", "--width", "98", "--batch_size", "2"]
    return [
        *(*words, "--load_weights_folder", str(weights)),
        *("--num_workers", "0", "--max_steps", "2"),
    ]


@pytest.mark.parametrize("how", [["--eager"], []], ids=["eager", "compiled"])
def test_it_learns_relative_depth(model, weights, tmp_path, how):
    words = training_words(rgbd_pairs(tmp_path), weights)
    train.main([*words, "--log_dir", str(tmp_path), "--model_name", "run", *how])
    opened = open_model(tmp_path / "run" / "last")
    trained = opened.depth_network().state_dict()
    assert (opened.info.kind, opened.info.step) == (KIND, 2)
    moved = [n for n, v in model.state_dict().items() if (v.numpy() != trained[n].numpy()).any()]
    assert "pretrained.blocks.0.attn.qkv.weight" in moved


def test_depth_in_metres_is_a_share_of_the_farthest_and_is_learnt_by_the_same_command(
    model, weights, tmp_path
):
    pairs = rgbd_pairs(tmp_path)
    words = [*training_words(pairs, weights), "--loss", "silog", "--max_depth", "20"]
    train.main([*words, "--log_dir", str(tmp_path), "--model_name", "run", "--eager"])
    opened = open_model(tmp_path / "run" / "last")
    assert (opened.info.metric, opened.info.metres_per_unit, opened.info.max_depth) == (True, 1, 20)
    network = opened.depth_network()
    image = paddle.rand([1, 3, 70, 98])
    with paddle.no_grad():
        depth, share = 1 / network.disparity_map(image).numpy(), network(image).numpy()
    np.testing.assert_allclose(depth, np.maximum(20 * share, 20 * NEAREST), rtol=1e-5)
    predictor = DepthPredictor.from_folder(tmp_path / "run" / "last", engine="paddle")
    depth_map = predictor(np.zeros((70, 98, 3), np.uint8))
    assert depth_map.unit == "m"
    assert 0 < depth_map.depth.min() <= depth_map.depth.max() < 20
    assert metadata(opened.info, Export("onnx"))["depth"] == "1 / disparity"
    back = training_words(pairs, tmp_path / "run" / "last")
    relative = initial_model(parse(TrainOptions, back))
    assert relative.max_depth is None
    kept = "pretrained.blocks.0.attn.qkv.weight"
    np.testing.assert_array_equal(relative.state_dict()[kept], network.state_dict()[kept])
    with pytest.raises(InputError, match="--models_to_load pretrained"):
        initial_model(parse(TrainOptions, [*back, "--models_to_load", "depth_head"]))
