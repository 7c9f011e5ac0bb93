"""Weights travel to the published layouts and back, and folders describe themselves."""

from __future__ import annotations

import json

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file, save_file

import convert_weights
from errors import EXIT_BAD_INPUT, InputError, run_command
from files import SUMS_FILE
from networks.conversion import convert_file, convert_folder
from networks.model_info import ModelInfo
from networks.monodepth import STEREO, Architecture, Monodepth
from networks.resnet_encoder import DEPTHS, ResnetEncoder
from networks.weights import load_depth_model, load_model, read_info, save_weights
from weight_files.reading import read_weights
from weight_files.torch_files import write_torch

ARCHITECTURES = {
    "MS": Architecture(source_ids=(-1, 1, STEREO)),
    "S": Architecture(source_ids=(STEREO,)),
    "all": Architecture(pose_model_input="all", scales=(0, 2)),
    "posecnn": Architecture(pose_model_type="posecnn", predictive_mask=True),
    "shared": Architecture(pose_model_type="shared", source_ids=(-1, 1, STEREO)),
}


def make_folder(folder, architecture, seed=0):
    """A weights folder whose running statistics are not those that they start from."""
    paddle.seed(seed)
    model = Monodepth(architecture)
    for value in model.state_dict().values():
        value.set_value(value + 0.1 * paddle.rand(value.shape))
    folder.mkdir()
    save_weights(folder, model, ModelInfo(architecture, height=64, width=96, name=folder.name))
    return folder


def strip_description(folder):
    """Leave nothing but the files of the modules, as in the published folders."""
    for name in ("model.json", SUMS_FILE):
        (folder / name).unlink()
    return folder


def arrays(folder):
    files = sorted(folder.glob("*.safetensors"))
    return {f"{f.stem}.{k}": v for f in files for k, v in load_file(f).items()}


def assert_equal(got, expected):
    assert got.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)


@pytest.mark.parametrize(
    ("kind", "to"), [*((kind, "torch") for kind in ARCHITECTURES), ("MS", "paddle")]
)
def test_a_folder_comes_back_from_the_published_layout(kind, to, tmp_path):
    own = make_folder(tmp_path / "own", ARCHITECTURES[kind])
    convert_folder(own, tmp_path / "published", to, {})
    published = strip_description(tmp_path / "published")
    assert not list(published.glob("*.safetensors"))
    info = read_info(published)
    assert info.architecture == ARCHITECTURES[kind]
    assert (info.height, info.width, info.name) == (64, 96, "published")
    convert_folder(published, tmp_path / "back", "safetensors", {})
    assert_equal(arrays(tmp_path / "back"), arrays(own))


def test_a_published_folder_predicts_as_ours(tmp_path):
    own = make_folder(tmp_path / "own", ARCHITECTURES["MS"])
    convert_folder(own, tmp_path / "published", "torch", {})
    strip_description(tmp_path / "published")
    image = paddle.rand([1, 3, 64, 96])
    with paddle.no_grad():
        expected = load_depth_model(own)[0].predict_disparity(image)
        got = load_depth_model(tmp_path / "published")[0].predict_disparity(image)
    for a, b in zip(got, expected):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_published_files_hold_what_the_published_code_insists_on(tmp_path):
    own = make_folder(tmp_path / "own", ARCHITECTURES["MS"])
    convert_folder(own, tmp_path / "published", "torch", {})
    encoder = read_weights(tmp_path / "published" / "encoder.pth")
    assert (encoder["height"], encoder["width"], encoder["use_stereo"]) == (64, 96, True)
    assert encoder["encoder.fc.weight"].shape == (1000, 512)
    assert encoder["encoder.bn1.num_batches_tracked"].shape == ()
    # torchvision's ResNet-18: 122 entries, 2 of them of the classifier.
    assert len(encoder) == 122 + 3
    pose = read_weights(tmp_path / "published" / "pose.pth")
    assert sorted(pose) == [f"net.{i}.{leaf}" for i in range(4) for leaf in ("bias", "weight")]


@pytest.mark.parametrize("num_layers", DEPTHS)
def test_the_depth_of_the_resnet_is_told_from_its_parameters(num_layers, tmp_path):
    names = ResnetEncoder(num_layers).state_dict()
    encoder = {name.replace("resnet.", "encoder."): np.zeros(1) for name in names}
    facts = {"height": 64, "width": 64, "use_stereo": True}
    write_torch(tmp_path / "encoder.pth", {**encoder, **facts})
    write_torch(tmp_path / "depth.pth", {"decoder.10.conv.weight": np.zeros((1, 16, 3, 3))})
    architecture = read_info(tmp_path).architecture
    assert (architecture.num_layers, architecture.scales) == (num_layers, (0,))


def test_what_the_files_do_not_say_can_be_given(tmp_path, capsys):
    own = make_folder(tmp_path / "own", ARCHITECTURES["MS"])
    convert_folder(own, tmp_path / "published", "paddle", {})
    published = strip_description(tmp_path / "published")
    encoder = paddle.load(str(published / "encoder.pdparams"))
    for name in ("height", "width", "use_stereo"):
        del encoder[name]
    paddle.save(encoder, str(published / "encoder.pdparams"))
    with pytest.raises(InputError, match=r"published: .*convert_weights\.py"):
        read_info(published)
    target = str(tmp_path / "told")
    line = [str(published), target, "--to", "safetensors", "--height", "64", "--width", "96"]
    with pytest.raises(InputError, match="trained_on is not said"):
        convert_weights.main(line)
    convert_weights.main([*line, "--trained_on", "MS"])
    assert load_model(tmp_path / "told")[1].architecture == ARCHITECTURES["MS"]
    assert target in capsys.readouterr().out


def test_depth_alone_is_converted_too(tmp_path):
    own = make_folder(tmp_path / "own", ARCHITECTURES["MS"])
    for name in ("pose", "pose_encoder"):
        (own / f"{name}.safetensors").unlink()
    convert_folder(own, tmp_path / "depth", "torch", {})
    files = ["SHA256SUMS", "depth.pth", "encoder.pth", "model.json"]
    assert sorted(path.name for path in (tmp_path / "depth").iterdir()) == files
    load_depth_model(tmp_path / "depth")
    with pytest.raises(InputError, match="pose"):
        load_model(tmp_path / "depth")


def test_an_unknown_parameter_is_listed(tmp_path):
    own = make_folder(tmp_path / "own", ARCHITECTURES["S"])
    convert_folder(own, tmp_path / "published", "torch", {})
    path = strip_description(tmp_path / "published") / "depth.pth"
    write_torch(path, {**read_weights(path), "extra": np.zeros(2, np.float32)})
    with pytest.raises(InputError, match=r"depth\.pth: .*1 parameters differ: extra unknown"):
        load_depth_model(tmp_path / "published")


def test_one_file_changes_names_and_layout_between_frameworks(tmp_path):
    torch_style = {
        "conv.weight": np.ones((2, 3, 1, 1), np.float32),
        "bn.running_mean": np.arange(2, dtype=np.float32),
        "fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    }
    write_torch(tmp_path / "a.pth", torch_style)
    convert_file(tmp_path / "a.pth", tmp_path / "b.pdparams", "paddle")
    in_paddle = paddle.load(str(tmp_path / "b.pdparams"))
    np.testing.assert_array_equal(in_paddle["fc.weight"], torch_style["fc.weight"].T)
    assert "bn._mean" in in_paddle
    convert_file(tmp_path / "b.pdparams", tmp_path / "c.safetensors", "safetensors")
    convert_file(tmp_path / "c.safetensors", tmp_path / "d.pth", "torch")
    for name in ("c.safetensors", "d.pth"):
        assert_equal(read_weights(tmp_path / name), torch_style)


def test_a_target_that_is_there_or_is_misnamed_is_refused(tmp_path, capsys):
    save_file({"a": np.ones(1, np.float32)}, tmp_path / "a.safetensors")
    source = str(tmp_path / "a.safetensors")
    for target, problem in (("a.safetensors", "there already"), ("b.pth", "--to paddle writes")):
        with pytest.raises(SystemExit) as end:
            line = [source, str(tmp_path / target), "--to", "paddle"]
            run_command(lambda line=line: convert_weights.main(line))
        assert end.value.code == EXIT_BAD_INPUT
        assert problem in capsys.readouterr().err
    assert not (tmp_path / "b.pth").exists()


def test_folders_that_are_no_models_are_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "empty").mkdir()
    for source in ("empty", "own"):
        if source == "own":
            own = make_folder(tmp_path / "own", ARCHITECTURES["S"])
            (own / "depth.safetensors").write_bytes(b"")
        with pytest.raises(InputError, match=source):
            convert_folder(tmp_path / source, tmp_path / "new", "torch", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "own"]


def test_the_description_of_a_converted_folder_keeps_the_depth_range(tmp_path):
    own = make_folder(tmp_path / "own", ARCHITECTURES["S"])
    fields = json.loads((own / "model.json").read_text())
    fields.update(min_depth=0.5, baseline_metres=0.2)
    (own / "model.json").write_text(json.dumps(fields))
    (own / SUMS_FILE).unlink()
    convert_folder(own, tmp_path / "published", "torch", {})
    info = read_info(tmp_path / "published")
    assert (info.min_depth, info.baseline_metres) == (0.5, 0.2)
