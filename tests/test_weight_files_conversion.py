"""Weights travel to the published layouts and back, and folders describe themselves."""

from __future__ import annotations

import functools
import json
import shutil

import numpy as np
import paddle
import pytest
from safetensors.numpy import load_file, save_file

from datasets.conventions import STEREO
from networks.kinds import MIDAS_SMALL, RESNET_LAYERS
from networks.monodepth import Architecture, Monodepth
from networks.resnet_encoder import ResnetEncoder
from system.errors import EXIT_BAD_INPUT, InputError, run_command
from system.files import SUMS_FILE
from tests.blank import blank_networks
from tests.damage import files_no_larger_than
from tools import convert_weights
from weight_files.conversion import SUFFIX_OF, convert_file, convert_folder
from weight_files.folder import open_model, read_info, save_weights
from weight_files.model_info import ModelInfo
from weight_files.reading import read_weights
from weight_files.torch_files import write_torch

ARCHITECTURES = {
    "MS": Architecture(source_ids=(-1, 1, STEREO)),
    "S": Architecture(source_ids=(STEREO,)),
    "all": Architecture(pose_model_input="all", scales=(0, 2)),
    "posecnn": Architecture(pose_model_type="posecnn", predictive_mask=True),
    "shared": Architecture(pose_model_type="shared", source_ids=(-1, 1, STEREO)),
}


@pytest.fixture(scope="module", autouse=True)
def _blank():
    with blank_networks():
        yield


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Weights folders by kind of model, not to be changed; no two of their numbers are alike."""

    @functools.cache
    def make(kind):
        rng, model = np.random.default_rng(0), Monodepth(ARCHITECTURES[kind])
        for value in model.state_dict().values():
            value.set_value(rng.random(value.shape, np.float32))
        folder = tmp_path_factory.mktemp(kind) / "own"
        folder.mkdir()
        info = ModelInfo(ARCHITECTURES[kind], height=64, width=96, name="own")
        save_weights(folder, model, info)
        return folder

    return make


@pytest.fixture(scope="module")
def published(own, tmp_path_factory):
    """The model of :func:`own` in the published layout, by kind; not to be changed either."""

    @functools.cache
    def make(kind):
        folder = tmp_path_factory.mktemp(kind) / "published"
        convert_folder(own(kind), folder, "torch", {})
        return strip_description(folder)

    return make


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


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_folder_comes_back_from_the_published_layout(kind, own, published, tmp_path):
    folder = published(kind)
    assert not list(folder.glob("*.safetensors"))
    info = read_info(folder)
    assert info.architecture == ARCHITECTURES[kind]
    assert (info.height, info.width, info.name) == (64, 96, "published")
    convert_folder(folder, tmp_path / "back", "safetensors", {})
    assert_equal(arrays(tmp_path / "back"), arrays(own(kind)))


def test_a_published_folder_predicts_as_ours(own, published):
    image = paddle.rand([1, 3, 64, 96])
    with paddle.no_grad():
        expected = open_model(own("S")).depth_network().predict_disparity(image)
        got = open_model(published("S")).depth_network().predict_disparity(image)
    for a, b in zip(got, expected):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_published_files_hold_what_the_published_code_insists_on(published):
    encoder = read_weights(published("MS") / "encoder.pth")
    assert (encoder["height"], encoder["width"], encoder["use_stereo"]) == (64, 96, True)
    assert encoder["encoder.fc.weight"].shape == (1000, 512)
    assert encoder["encoder.bn1.num_batches_tracked"].shape == ()
    # torchvision's ResNet-18: 122 entries, 2 of them of the classifier.
    assert len(encoder) == 122 + 3
    pose = read_weights(published("MS") / "pose.pth")
    assert sorted(pose) == [f"net.{i}.{leaf}" for i in range(4) for leaf in ("bias", "weight")]


@pytest.mark.parametrize("num_layers", RESNET_LAYERS)
def test_the_depth_of_the_resnet_is_told_from_its_parameters(num_layers, tmp_path):
    names = ResnetEncoder(num_layers).state_dict()
    encoder = {name.replace("resnet.", "encoder."): np.zeros(1) for name in names}
    facts = {"height": 64, "width": 64, "use_stereo": True}
    write_torch(tmp_path / "encoder.pth", {**encoder, **facts})
    write_torch(tmp_path / "depth.pth", {"decoder.10.conv.weight": np.zeros((1, 16, 3, 3))})
    architecture = read_info(tmp_path).architecture
    assert (architecture.num_layers, architecture.scales) == (num_layers, (0,))


def test_what_paddles_files_do_not_say_can_be_given(own, tmp_path, capsys):
    convert_folder(own("MS"), tmp_path / "published", "paddle", {})
    published = strip_description(tmp_path / "published")
    assert read_info(published).architecture == ARCHITECTURES["MS"]
    encoder = paddle.load(str(published / "encoder.pdparams"))
    for name in ("height", "width", "use_stereo"):
        del encoder[name]
    paddle.save(encoder, str(published / "encoder.pdparams"))
    with pytest.raises(InputError, match=r"published: .*tools\.convert_weights"):
        read_info(published)
    target = str(tmp_path / "told")
    line = [str(published), target, "--to", "safetensors", "--height", "64", "--width", "96"]
    with pytest.raises(InputError, match="trained_on is not said"):
        convert_weights.main(line)
    convert_weights.main([*line, "--trained_on", "MS"])
    assert read_info(tmp_path / "told").architecture == ARCHITECTURES["MS"]
    assert_equal(arrays(tmp_path / "told"), arrays(own("MS")))
    assert target in capsys.readouterr().out


def test_depth_alone_is_converted_too(own, tmp_path):
    source = shutil.copytree(own("posecnn"), tmp_path / "own")
    for name in ("pose", "predictive_mask"):
        (source / f"{name}.safetensors").unlink()
    convert_folder(source, tmp_path / "depth", "torch", {})
    files = ["SHA256SUMS", "depth.pth", "encoder.pth", "model.json"]
    assert sorted(path.name for path in (tmp_path / "depth").iterdir()) == files
    open_model(tmp_path / "depth").depth_network()
    with pytest.raises(InputError, match="pose"):
        open_model(tmp_path / "depth").network()


def test_an_unknown_parameter_is_listed(published, tmp_path):
    path = shutil.copytree(published("S"), tmp_path / "published") / "depth.pth"
    write_torch(path, {**read_weights(path), "extra": np.zeros(2, np.float32)})
    with pytest.raises(InputError, match=r"depth\.pth: .*1 parameter differs: extra unknown"):
        open_model(tmp_path / "published").depth_network()


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


def test_folders_that_are_no_models_are_refused_and_nothing_is_written(own, tmp_path):
    (tmp_path / "empty").mkdir()
    (shutil.copytree(own("S"), tmp_path / "damaged") / "depth.safetensors").write_bytes(b"")
    info = ModelInfo(Architecture(), 256, 256, kind=MIDAS_SMALL)
    (tmp_path / "midas").mkdir()
    (tmp_path / "midas" / "model.json").write_text(info.to_json())
    sources = ["damaged", "empty", "midas"]
    for source in sources:
        with pytest.raises(InputError, match=source):
            convert_folder(tmp_path / source, tmp_path / "new", "torch", {})
    assert sorted(path.name for path in tmp_path.iterdir()) == sources


def test_the_description_of_a_converted_folder_keeps_the_depth_range(own, tmp_path):
    source = shutil.copytree(own("S"), tmp_path / "own")
    fields = json.loads((source / "model.json").read_text())
    fields.update(min_depth=0.5, baseline_metres=0.2)
    (source / "model.json").write_text(json.dumps(fields))
    (source / SUMS_FILE).unlink()
    convert_folder(source, tmp_path / "published", "torch", {})
    info = read_info(tmp_path / "published")
    assert (info.min_depth, info.baseline_metres) == (0.5, 0.2)


@pytest.mark.parametrize("to", ["safetensors", "torch", "paddle"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_full_disk_is_told_and_leaves_nothing(to, whole, own, tmp_path):
    src = own("S") if whole else own("S") / "encoder.safetensors"
    dst = tmp_path / "new" / ("model" if whole else f"encoder{SUFFIX_OF[to]}")
    with files_no_larger_than(1 << 20), pytest.raises(InputError, match="make room") as refused:
        convert_weights.main([str(src), str(dst), "--to", to])
    assert str(refused.value).startswith(f"{dst}: cannot be written")
    assert list(dst.parent.iterdir()) == []
