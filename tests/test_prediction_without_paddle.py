"""Where the model of an engine is there, prediction loads nothing that it does not need."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import paddle
import pytest
from PIL import Image
from safetensors.numpy import save_file

import demo
from networks.architecture import Architecture
from networks.kinds import DEPTH_ANYTHING, KINDS, MIDAS_SMALL, MONODEPTH
from prediction import compiled, engines, kept_exports
from prediction.depth_map import FAMILIES
from prediction.engine_choice import EXTRAS, installed
from prediction.graph import INPUT, OPSET, OUTPUT
from system import paddle_package
from system.device import device_to_be
from system.errors import InputError
from system.files import is_whole, write_sums
from tests.architecture import ROOT
from weight_files.folder import open_model
from weight_files.model_info import ModelInfo

onnx = pytest.importorskip("onnx", reason="requirements-engines.txt is not installed")

INFOS = {
    MONODEPTH: ModelInfo(Architecture(source_ids=("s",)), 32, 64, name="street"),
    **{
        kind: ModelInfo(Architecture(), KINDS[kind].side, KINDS[kind].side, name=kind, kind=kind)
        for kind in (MIDAS_SMALL, DEPTH_ANYTHING["small"])
    },
}
ENGINES = [name for name in EXTRAS if installed(name)]
HEAVY = ("paddle", "av", "scipy", "numba", "matplotlib", "skimage", "visualdl", "paddle2onnx")
# Runs demo.py's main for several command lines, and prints which of HEAVY were loaded.
CHILD = f"""
import json, sys
import demo
for words in json.loads(sys.argv[1]):
    demo.main(words)
print(*set({HEAVY}) & sys.modules.keys())
"""


def write_mean(path, info):
    """An ONNX model that takes the mean of the colours for disparity."""
    make = onnx.helper
    of = {np.uint8: onnx.TensorProto.UINT8, np.float32: onnx.TensorProto.FLOAT}
    pixels = of[FAMILIES[info.kind].pixels]
    size = (info.height, info.width) if info.kind == MONODEPTH else ("height", "width")
    levels = onnx.numpy_helper.from_array(np.float32(255), "levels")
    graph = make.make_graph(
        [
            make.make_node("Cast", [INPUT], ["pixels"], to=onnx.TensorProto.FLOAT),
            make.make_node("ReduceMean", ["pixels"], ["mean"], axes=[3], keepdims=0),
            make.make_node("Div", ["mean", "levels"], [OUTPUT]),
        ],
        "mean",
        [make.make_tensor_value_info(INPUT, pixels, ["batch", *size, 3])],
        [make.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["batch", *size])],
        [levels],
    )
    opset = [make.make_opsetid("", OPSET)]
    onnx.save(make.make_model(graph, opset_imports=opset, ir_version=8), path)


@pytest.fixture
def folders(tmp_path):
    """A weights folder of every family, with the model for other engines."""
    made = {}
    for kind, info in INFOS.items():
        folder = made[kind] = tmp_path / kind
        folder.mkdir()
        for module in KINDS[kind].modules:
            save_file({"weight": np.ones(3, np.float32)}, folder / f"{module}.safetensors")
        (folder / "model.json").write_text(info.to_json())
        opened = open_model(folder)
        kept_exports.exported(opened, "onnx", lambda new: write_mean(new / engines.ONNX_FILE, info))  # noqa: B023
    return made


@pytest.fixture
def photo(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((100, 60)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_predictions_are_the_same_without_loading_paddle(folders, photo, tmp_path):
    if not ENGINES:
        pytest.skip("neither OpenVINO nor ONNX Runtime is installed")
    for where in ("alone", "beside"):
        lines = [
            [
                *("--image_path", str(photo), "--load_weights_folder", str(weights)),
                *("--engine", engine, "--output", str(tmp_path / where / f"{kind} {engine}")),
            ]
            for kind, weights in folders.items()
            for engine in (*ENGINES, "auto")
        ]
        if where == "alone":
            command = [sys.executable, "-c", CHILD, json.dumps(lines)]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout) == (0, "\n"), done.stderr
        else:
            for words in lines:
                demo.main(words)
    places = sorted((tmp_path / "beside").iterdir())
    assert len(places) == len(lines)
    for place in places:
        expected = contents(place)
        assert {"photo_disp.jpeg", "photo_disp.json", "photo_disp.npy"} <= expected.keys()
        assert contents(tmp_path / "alone" / place.name) == expected


def open_compiled(path):
    """The output of OpenVINO for grey images of 100 levels, and what its cache folder holds."""
    engine = engines.openvino_engine(path, size=(32, 64))
    output = engine.disparity(np.full((1, 32, 64, 3), 100, np.uint8))
    return output, sorted((compiled.cache_folder() / compiled.FOLDER).glob("*"))


@pytest.mark.skipif("openvino" not in ENGINES, reason="OpenVINO is not installed")
def test_a_compiled_model_is_kept_for_the_next_command(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(compiled, "MOST_BYTES", 1 << 20)
    path = engines.onnx_file(open_model(folders[MONODEPTH]))
    expected, [kept] = open_compiled(path)
    np.testing.assert_allclose(expected, 100 / 255, rtol=1e-6)

    whole = (kept / compiled.FILE).read_bytes()
    content = path.read_bytes()
    path.write_bytes(b"is not read while what was compiled of it is there")
    got, again = open_compiled(path)
    np.testing.assert_array_equal(got, expected)
    assert again == [kept]

    path.write_bytes(content)
    (kept / compiled.FILE).write_bytes(whole[:-1])  # damaged: made anew
    assert not is_whole(kept)
    np.testing.assert_array_equal(open_compiled(path)[0], expected)
    assert is_whole(kept)


@pytest.mark.skipif("openvino" not in ENGINES, reason="OpenVINO is not installed")
def test_the_compiled_models_that_were_used_last_are_kept(folders, tmp_path, monkeypatch):
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(compiled, "MOST_BYTES", 1 << 20)
    monkeypatch.setattr(compiled, "MOST_KEPT", 2)
    path, kept = engines.onnx_file(open_model(folders[MONODEPTH])), []
    for number in range(3):
        write_sums_of(path, number)
        _, there = open_compiled(path)
        kept += [place for place in there if place not in kept]
        os.utime(kept[-1], (number, number))
    assert there == sorted(kept[1:])


def write_sums_of(path, number):
    """Make the folder of a model another one."""
    (path.parent / "more").write_text(str(number))
    write_sums(path.parent)


@pytest.fixture
def no_paddle(monkeypatch):
    monkeypatch.setattr(kept_exports, "installed_paddle", lambda: None)


def test_without_paddle_the_model_of_any_version_is_taken(folders, photo, no_paddle):
    [made] = (folders[MONODEPTH] / kept_exports.FOLDER).iterdir()
    made.rename(made.with_name(f"{made.name}9"))
    assert engines.onnx_file(open_model(folders[MONODEPTH])).parent.name == f"{made.name}9"


def test_without_paddle_and_a_model_it_is_said_where_to_take_one_from(
    folders, no_paddle, tmp_path, monkeypatch
):
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path / "home"))
    shutil.rmtree(folders[MONODEPTH] / kept_exports.FOLDER)
    with pytest.raises(InputError, match="Paddle, which makes it, is not installed"):
        engines.onnx_file(open_model(folders[MONODEPTH]))


@pytest.mark.parametrize(
    ("packages", "version", "no_gpu"),
    [
        ({"paddlepaddle": "3.1"}, "3.1", True),
        ({"paddlepaddle-gpu": "3.2"}, "3.2", False),
        ({"paddlepaddle": "3.1", "paddlepaddle-gpu": "3.2"}, "3.2", False),
    ],
)
def test_the_package_says_its_version_and_whether_it_knows_gpus(
    packages, version, no_gpu, monkeypatch
):
    monkeypatch.setattr(paddle_package, "_version", packages.get)
    assert paddle_package.installed_paddle.__wrapped__() == version  # what is cached stays
    assert paddle_package.has_no_gpu() is no_gpu


def test_a_paddle_of_an_unknown_package_is_asked_itself(monkeypatch):
    monkeypatch.setattr(paddle_package, "_version", lambda _: None)
    assert paddle_package.installed_paddle.__wrapped__() == paddle.__version__
    assert not paddle_package.has_no_gpu()


def test_what_cannot_be_a_gpu_is_the_cpu():
    assert device_to_be("cpu") == "cpu"
    if paddle_package.has_no_gpu():
        assert device_to_be(None) == "cpu"
        with pytest.raises(InputError, match=r"--device gpu: .*use --device cpu"):
            device_to_be("gpu")
