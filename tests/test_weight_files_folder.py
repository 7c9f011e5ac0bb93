"""Weights folders: what is saved comes back, and what does not fit is refused by name."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import time

import numpy as np
import paddle
import pytest
from paddle import nn
from safetensors.numpy import load_file, save_file

from datasets.conventions import STEREO
from networks.kinds import FOR_DEPTH
from networks.monodepth import Architecture, Monodepth
from networks.resnet_encoder import ResnetEncoder
from system import files
from system.errors import InputError
from system.files import SUMS_FILE
from system.folders import backup_of, recover_folder, replace_folder
from tests.blank import blank_networks
from tests.damage import damaged
from tests.replacing import replaced
from weight_files import folder as folder_module
from weight_files.folder import (
    load_into,
    open_model,
    read_info,
    save_weights,
)
from weight_files.model_info import ModelInfo

ARCHITECTURE = Architecture(source_ids=(-1, STEREO), pose_model_type="posecnn")
INFO = ModelInfo(
    ARCHITECTURE,
    height=64,
    width=96,
    min_depth=0.2,
    max_depth=80.0,
    name="träumt",
    step=7,
    baseline_metres=0.12,
)


def images(*shape):
    return paddle.to_tensor(np.random.default_rng(0).random(shape, np.float32))


@pytest.fixture(scope="module", autouse=True)
def _blank(model):
    """Networks that are to be loaded need no weights before."""
    with blank_networks():
        yield


@pytest.fixture(scope="module")
def model():
    paddle.seed(0)
    model = Monodepth(ARCHITECTURE)
    model(images(2, 3, 64, 96), images(2, 2, 3, 64, 96))  # moves the running statistics
    model.eval()
    return model


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "model"
    folder.mkdir()
    save_weights(folder, model, INFO)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the weights folder to change, without the checksums that would tell."""
    without_sums = shutil.ignore_patterns(SUMS_FILE)
    return shutil.copytree(saved, tmp_path / "model", ignore=without_sums)


@pytest.fixture
def described(tmp_path):
    """A folder with nothing but its model.json."""
    (tmp_path / "model.json").write_text(INFO.to_json())
    return tmp_path


def edit_json(folder, **changes):
    """Change values in model.json, of the architecture where it has the key."""
    path = folder / "model.json"
    fields = json.loads(path.read_text())
    for key, value in changes.items():
        (fields["architecture"] if key in fields["architecture"] else fields)[key] = value
    path.write_text(json.dumps(fields))


def edit_weights(path, change):
    arrays = load_file(path)
    change(arrays)
    save_file(arrays, path)


def refusal(call, *args):
    with pytest.raises(InputError) as error:
        call(*args)
    return str(error.value)


def predictions(model):
    with paddle.no_grad():
        prediction = model(images(1, 3, 64, 96), images(1, 2, 3, 64, 96))
    motions = [part for m in prediction.motions for part in (m.axisangle, m.translation)]
    return [output.numpy() for output in (*prediction.disps, *motions)]


def test_a_loaded_model_gives_identical_outputs(model, saved):
    opened = open_model(saved)
    assert opened.info == INFO
    loaded = opened.network()
    assert loaded.architecture == ARCHITECTURE
    assert not loaded.training
    expected = predictions(model)
    assert len(expected) == 4 + 2
    for got, wanted in zip(predictions(loaded), expected):
        np.testing.assert_array_equal(got, wanted)


def test_depth_needs_no_pose_file(model, folder):
    (folder / "pose.safetensors").unlink()
    opened = open_model(folder)
    assert opened.info == INFO  # with the sources, although the model has no pose network
    loaded = opened.depth_network()
    assert not loaded.training
    x = images(1, 3, 64, 96)
    with paddle.no_grad():
        for got, wanted in zip(loaded.predict_disparity(x), model.predict_disparity(x)):
            np.testing.assert_array_equal(got.numpy(), wanted.numpy())
    assert f"{folder / 'pose.safetensors'}: missing" in refusal(open_model(folder).network)


def test_no_pose_network_is_built_for_depth(saved):
    loaded = open_model(saved, FOR_DEPTH).depth_network()
    assert {name for name, _ in loaded.named_children()} == {"encoder", "depth"}


@pytest.mark.parametrize(
    ("source_ids", "metric", "metres"), [((-1, 1), False, None), ((STEREO,), True, 1.2)]
)
def test_only_a_stereo_pair_gives_a_unit(source_ids, metric, metres, tmp_path):
    info = dataclasses.replace(INFO, architecture=Architecture(source_ids=source_ids))
    (tmp_path / "model.json").write_text(info.to_json())
    assert json.loads(info.to_json())["metric"] is metric
    assert read_info(tmp_path) == info
    # 0.12 m are 0.1 model units.
    assert info.metres_per_unit == (None if metres is None else pytest.approx(metres))


# ResNet-34 has 8 blocks more than ResNet-18, each with 2 convolutions and 2 batch normalisations.
DEEPER = 8 * (2 + 2 * 4)


def test_the_weights_of_a_deeper_encoder_are_refused(model, folder):
    path = folder / "encoder.safetensors"
    save_file({name: v.numpy() for name, v in ResnetEncoder(34).state_dict().items()}, path)
    message = refusal(load_into, model, folder, ("encoder", "depth"))
    assert message.startswith(f"{path}: weights of another architecture, {DEEPER} parameters")
    assert re.search(r"resnet\.layer\d\.\d\.\w+\.\w+ unknown", message)


@pytest.mark.parametrize(
    ("changes", "file", "problem"),
    [
        ({"num_layers": 34}, "encoder", f"{DEEPER} parameters differ: resnet.layer1.2.conv1"),
        ({"scales": [0, 1, 2]}, "depth", "2 parameters differ: output_3.conv"),
        ({"predictive_mask": True}, "predictive_mask", "missing from the weights folder"),
        ({"source_ids": [-2, -1, 1], "pose_model_input": "all"}, "pose", "3 parameters differ"),
    ],
)
def test_a_model_json_of_another_architecture_is_refused(changes, file, problem, folder):
    edit_json(folder, **changes)
    message = refusal(open_model(folder).network)
    assert str(folder / f"{file}.safetensors") in message
    assert problem in message


@pytest.fixture
def linear(tmp_path):
    """A module with parameters ``weight`` [2, 3] and ``bias`` [3], and its file."""
    layer, path = nn.Linear(2, 3), tmp_path / "depth.safetensors"
    save_file({name: value.numpy() for name, value in layer.state_dict().items()}, path)
    return layer, path


def load_module(layer, path):
    """Load a module from a folder, as a model's depth decoder."""
    model = nn.Layer()
    model.architecture, model.depth = ARCHITECTURE, layer
    return load_into(model, path.parent, ("depth",))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda a: a.pop("bias"), "1 parameter differs: bias missing"),
        (lambda a: a.update(extra=np.ones(1, np.float32)), "1 parameter differs: extra unknown"),
        (
            lambda a: a.update(weight=a["weight"].T.copy()),
            "weight is (3, 2), expected (2, 3)",
        ),
        (lambda a: a["weight"].__setitem__((1, 2), np.nan), "weight is not finite"),
        (lambda a: a["bias"].__setitem__(0, -np.inf), "bias is not finite"),
    ],
)
def test_what_differs_is_listed_and_nothing_is_loaded(change, problem, linear):
    layer, path = linear
    edit_weights(path, change)
    before = {name: value.numpy().copy() for name, value in layer.state_dict().items()}
    message = refusal(load_module, layer, path)
    assert message.startswith(f"{path}: ")
    assert problem in message
    for name, value in layer.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])


@pytest.mark.parametrize("kind", ["float16", "float64", "int32"])
def test_weights_of_another_precision_are_loaded_or_refused(kind, linear):
    layer, path = linear
    expected = layer.weight.numpy().astype(kind)
    edit_weights(path, lambda arrays: arrays.update(weight=expected))
    try:
        load_module(layer, path)
    except InputError as error:
        assert str(path) in str(error)
    else:
        np.testing.assert_array_equal(layer.weight.numpy(), expected)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-4],
        lambda content: content[:20],
        lambda content: b"version https://git-lfs.github.com/spec/v1\n",
    ],
    ids=["empty", "truncated", "header only", "text"],
)
def test_a_damaged_file_is_named(damage, linear):
    layer, path = linear
    path.write_bytes(damage(path.read_bytes()))
    assert refusal(load_module, layer, path).startswith(f"{path}: damaged")


def test_every_damage_is_noticed_where_there_are_checksums(linear):
    layer, path = linear
    files.write_sums(path.parent)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    load_module(layer, path)
    for _ in range(200):
        path.write_bytes(damaged(whole, rng))
        if path.read_bytes() != whole:
            assert refusal(load_module, layer, path).startswith(f"{path}: damaged")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_others_may_read_a_weights_folder(saved):
    modes = {path.stat().st_mode for path in saved.iterdir()}
    assert len(modes) == 1


def test_a_missing_file_is_named(linear):
    layer, path = linear
    path.rename(path.with_stem("pose"))  # another module's
    assert refusal(load_module, layer, path).startswith(f"{path}: missing")


def test_only_the_modules_asked_for_are_loaded(tmp_path):
    model = nn.Layer()
    model.architecture = ARCHITECTURE
    model.encoder, model.depth = nn.Linear(2, 2), nn.Linear(2, 2)
    save_weights(tmp_path, model, INFO)
    weights_before = [layer.weight.numpy().copy() for layer in (model.encoder, model.depth)]
    for layer in (model.encoder, model.depth):
        layer.weight.set_value(paddle.zeros([2, 2]))
    assert load_into(model, tmp_path, ("pose", "depth")) == ["depth"]
    np.testing.assert_array_equal(model.encoder.weight.numpy(), np.zeros((2, 2)))
    np.testing.assert_array_equal(model.depth.weight.numpy(), weights_before[1])


def test_no_folder_and_no_weights_are_told_apart(tmp_path):
    said = refusal(read_info, tmp_path / "gone")
    assert said.startswith(f"{tmp_path / 'gone'}: no such weights folder; ")
    assert refusal(read_info, tmp_path).startswith(f"{tmp_path}: holds no weights; ")


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "{}", '{"format_version": 1}', '{"format_version": 1, "height": 64}'],
)
def test_a_garbled_model_json_is_named(text, described):
    path = described / "model.json"
    path.write_text(text)
    assert refusal(read_info, described).startswith(f"{path}: damaged")


def test_a_model_json_that_is_no_text_is_named(described):
    path = described / "model.json"
    path.write_bytes(b"\xff\xfe\x00\x80")
    assert refusal(read_info, described).startswith(f"{path}: damaged")


def test_a_missing_or_unknown_key_is_refused(described):
    edit_json(described, colour="red")
    assert "colour" in refusal(read_info, described)
    fields = json.loads(INFO.to_json())
    del fields["height"]
    (described / "model.json").write_text(json.dumps(fields))
    assert "height" in refusal(read_info, described)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_version_is_refused(version, described):
    edit_json(described, format_version=version)
    message = refusal(read_info, described)
    assert str(described / "model.json") in message
    assert re.search(f"format version {version}; this version reads 1", message)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_layers", 20),
        ("num_layers", "18"),
        ("scales", [1, 2, 3]),
        ("scales", [0, 4]),
        ("scales", []),
        ("height", 100),
        ("height", 0),
        ("height", -64),
        ("height", "64"),
        ("width", 96.0),
        ("width", True),
        ("height", 3_000_000_000),
        ("height", 1 << 20),
        ("kind", ["monodepth"]),
        ("kind", {}),
        ("supervision", ["frames"]),
        ("name", ["a"]),
        ("step", "many"),
        ("step", 2**62),
        ("predictive_mask", 1),
        ("num_layers", [18]),
        ("scales", [0, 0]),
        ("scales", [0, True]),
        ("scales", [0] * 100_000),
        ("source_ids", [-1, -1]),
        ("source_ids", [*range(1, 100)]),
        ("source_ids", [[1]]),
        ("max_depth", 1e300),
        ("pose_model_type", ["shared"]),
        ("min_depth", 0),
        ("min_depth", 80),
        ("max_depth", -1),
        ("max_depth", float("nan")),
        ("baseline_metres", 0),
        ("source_ids", []),
        ("pose_model_type", "resnet"),
        ("pose_model_input", "none"),
    ],
)
def test_an_impossible_value_is_named_by_file_and_key(key, value, described):
    edit_json(described, **{key: value})
    message = refusal(read_info, described)
    assert message.startswith(f"{described / 'model.json'}: impossible value of")
    assert key in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("min_depth", "0.1"),
        ("max_depth", None),
        ("baseline_metres", "0.54"),
        ("scales", [0, [1]]),
        ("source_ids", ["left"]),
        ("source_ids", [0]),
    ],
)
def test_a_value_of_another_type_is_named_by_file_and_key(key, value, described):
    edit_json(described, **{key: value})
    message = refusal(read_info, described)
    assert str(described / "model.json") in message
    assert key in message


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": []},
        {"min_depth": 10**400},
        {"height": 10**400 * 32},
        {"width": 1 << 40},
        {"scales": {}},
        {"num_layers": {"a": 1}},
        {"pose_model_type": [[]]},
        {"step": None, "name": None, "source_ids": None},
    ],
)
def test_a_value_that_python_cannot_take_is_refused_by_file(changes, described):
    edit_json(described, **changes)
    assert refusal(read_info, described).startswith(f"{described / 'model.json'}: ")


def test_a_model_json_that_is_nested_deeply_is_refused(described):
    (described / "model.json").write_text('{"a":' * 10**5)
    assert "nested too deeply" in refusal(read_info, described)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("name", ["model.json", "SHA256SUMS", "depth.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "device", "large"])
def test_a_file_that_reading_does_not_come_to_the_end_of_is_refused(name, kind, described):
    path = described / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    problem = "at most" if kind == "large" else "no regular file"
    assert re.match(rf"{path}: cannot be read \(.*{problem}", refusal(open_model, described))


class Killed(BaseException):
    """Stands for the end of the process."""


def make_folder(path, text):
    path.mkdir()
    (path / "content").write_text(text)
    return path


@pytest.mark.parametrize(("renames_done", "survivor"), [(0, "old"), (1, "old"), (2, "new")])
def test_a_killed_replacement_is_recovered(renames_done, survivor, tmp_path, monkeypatch):
    folder = make_folder(tmp_path / "model", "old")
    new = make_folder(tmp_path / ".model.new", "new")
    rename, calls = type(folder).rename, []

    def rename_or_die(path, target):
        if len(calls) == renames_done:
            raise Killed
        calls.append(path)
        return rename(path, target)

    def die(*args, **kwargs):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(type(folder), "rename", rename_or_die)
        patch.setattr(files.shutil, "rmtree", die)
        replace_folder(new, folder)
    assert len(calls) == renames_done
    assert folder.exists() == (renames_done != 1)

    recover_folder(folder)
    assert (folder / "content").read_text() == survivor
    shutil.rmtree(new, ignore_errors=True)
    replace_folder(make_folder(new, "newest"), folder)
    assert (folder / "content").read_text() == "newest"
    assert list(tmp_path.iterdir()) == [folder]


def test_reading_recovers_a_folder_that_a_kill_left_aside(described, tmp_path):
    folder = tmp_path / "inner"
    make_folder(backup_of(folder), "")
    shutil.copy(described / "model.json", backup_of(folder))
    assert read_info(folder) == INFO
    assert folder.is_dir()
    assert not backup_of(folder).exists()


def test_a_first_folder_needs_no_earlier_one(tmp_path):
    replace_folder(make_folder(tmp_path / "new", "first"), tmp_path / "model")
    assert (tmp_path / "model" / "content").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.fixture(scope="module")
def generations(tmp_path_factory):
    """Two checkpoints of small layers, all of whose numbers are 1 and 2, as is their step."""
    sources = []
    for value in (1, 2):
        model = nn.Layer()
        model.architecture = ARCHITECTURE
        for module in ("encoder", "depth", "pose"):
            layer = nn.Linear(200, 200)
            for parameter in layer.parameters():
                parameter.set_value(paddle.full_like(parameter, value))
            setattr(model, module, layer)
        sources.append(tmp_path_factory.mktemp("generation"))
        save_weights(sources[-1], model, dataclasses.replace(INFO, step=value))
    return sources


def generation(opened):
    """The number of the checkpoint that all of an opened model is of."""
    arrays = [a for m in ("encoder", "depth", "pose") for a in opened.read(m).values()]
    values = {float(value) for array in arrays for value in np.unique(array)}
    assert values == {opened.info.step}
    return opened.info.step


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no folder of which a file is open")
def test_what_is_read_while_training_replaces_a_folder_is_of_one_checkpoint(generations, tmp_path):
    folder = shutil.copytree(generations[0], tmp_path / "last")
    seen = []
    with replaced(folder, generations, seconds=0.02):
        for _ in range(40):
            seen.append(generation(open_model(folder)))
            time.sleep(0.01)
    assert len(seen) == 40
    assert set(seen) == {1, 2}


def test_a_checkpoint_that_is_away_for_a_moment_is_read_under_its_other_name(
    generations, tmp_path, monkeypatch
):
    shutil.copytree(generations[1], backup_of(tmp_path / "last"))
    monkeypatch.setattr(folder_module, "recover_folder", refuse_to_write)
    assert generation(open_model(tmp_path / "last")) == 2
    assert not (tmp_path / "last").exists()


def refuse_to_write(folder, patience):
    raise PermissionError


def test_a_copy_into_the_folder_while_it_is_read_makes_it_read_again(
    generations, tmp_path, monkeypatch
):
    folder = shutil.copytree(generations[0], tmp_path / "last")
    state, calls = folder_module._state, []

    def copying_state(facts):
        calls.append(facts)
        # One when the folder and its five files have been looked at, all when they have been read.
        names = {7: ["depth.safetensors"], 8: [path.name for path in generations[1].iterdir()]}
        for name in names.get(len(calls), ()):
            (folder / name).write_bytes((generations[1] / name).read_bytes())
        return state(facts)

    monkeypatch.setattr(folder_module, "_state", copying_state)
    assert generation(open_model(folder)) == 2


@pytest.mark.parametrize(
    "sums",
    [
        "",
        "0" * 64 + "  depth.safetensors\n",
        "\0" * 70,
        "{depth}  depth.safetensors\n",  # cut between two lines
        "{depth} *elsewhere/depth.safetensors\n",
    ],
)
def test_checksums_that_check_nothing_are_refused(sums, generations, tmp_path):
    folder = shutil.copytree(generations[0], tmp_path / "last")
    path = folder / SUMS_FILE
    path.write_text(sums.format(depth=files.sha256(folder / "depth.safetensors")))
    message = refusal(open_model, folder)
    assert re.match(rf"{path}: damaged|{folder / 'depth.safetensors'}: damaged", message)
    assert SUMS_FILE in message


@pytest.mark.parametrize("change", [str.upper, lambda text: text.replace("  ", " *")])
def test_checksums_of_other_hands_are_checked(change, generations, tmp_path):
    folder = shutil.copytree(generations[0], tmp_path / "last")
    path = folder / SUMS_FILE
    lines = [line.partition("  ") for line in path.read_text().splitlines()]
    path.write_text("".join(change(value + gap) + name + "\n" for value, gap, name in lines))
    assert generation(open_model(folder)) == 1
    shutil.copy(generations[1] / "depth.safetensors", folder)
    assert refusal(open_model, folder).startswith(f"{folder / 'depth.safetensors'}: damaged")
