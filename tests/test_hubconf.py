"""The networks as paddle.hub serves them, and imports from any folder."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F

from datasets.conventions import STEREO
from networks.kinds import KINDS
from networks.monodepth import Architecture
from prediction import hub
from prediction.engines import paddle_engine
from prediction.predictor import DepthPredictor, Predictor
from tests.architecture import ROOT, import_graph, room
from tests.blank import blank_networks
from weight_files import download
from weight_files.model_info import ModelInfo
from weight_files.published import DEPTH_MODELS

PICTURE = np.random.default_rng(0).integers(0, 255, (60, 100, 3), np.uint8)


def load(name, **how):
    return paddle.hub.load(str(ROOT), name, source="local", **how)


def test_every_published_model_is_listed_with_its_transforms():
    listed = paddle.hub.list(str(ROOT), source="local")
    assert set(listed) == {*DEPTH_MODELS, "MiDaS_small", "transforms", "depth_predictor"}
    for name in listed:
        assert len(paddle.hub.help(str(ROOT), name, source="local")) > 40


@pytest.mark.parametrize(
    ("name", "transform", "size"),
    [
        ("mono+stereo_640x192", "monodepth_640x192_transform", (192, 640)),
        ("mono_1024x320", "monodepth_1024x320_transform", (320, 1024)),
        ("midas_v21_small", "small_transform", (160, 256)),
        ("depth_anything_v2_small", "depth_anything_transform", (518, 868)),
    ],
)
def test_transforms_make_what_the_models_take(name, transform, size):
    with blank_networks():
        model = load(name, pretrained=False)
    assert not model.training
    images = getattr(load("transforms"), transform)(PICTURE)
    assert images.shape == [1, 3, *size]
    assert float(images.mean()) == pytest.approx(PICTURE.mean() / 255, abs=0.01)
    np.testing.assert_array_equal(images.numpy(), model.transform(PICTURE).numpy())


class Brightness(nn.Layer):
    """Takes the place of a depth network."""

    def disparity_map(self, images):
        return images.mean(axis=1)


def test_the_lines_of_midas_users_give_the_depth_of_the_predictor(monkeypatch):
    """As with the networks of MiDaS: load, transform, predict, enlarge."""
    info = ModelInfo(Architecture(source_ids=(STEREO,)), 64, 96, name="mono_640x192")
    opened = SimpleNamespace(info=info, depth_network=Brightness)
    monkeypatch.setattr(hub, "named_model", lambda name: name)
    monkeypatch.setattr(hub, "open_model", lambda folder, modules: opened)
    model = load("mono_640x192")
    with paddle.no_grad():
        prediction = model(model.transform(PICTURE))
        prediction = F.interpolate(prediction.unsqueeze(1), size=PICTURE.shape[:2], mode="bilinear")
    whole = DepthPredictor(Predictor(paddle_engine(opened, "cpu"), info))
    near, far = 1 / info.min_depth, 1 / info.max_depth
    disparity = far + (near - far) * prediction[0, 0].numpy()
    np.testing.assert_allclose(disparity, whole(PICTURE).disparity, rtol=1e-4)


def test_a_predictor_is_of_a_published_name_or_a_folder(monkeypatch):
    monkeypatch.setattr(download, "named_model", lambda name: f"cache/{name}")
    monkeypatch.setattr(DepthPredictor, "from_folder", lambda folder, **how: (folder, how))
    cached = load("depth_predictor", weights="stereo_640x192", device="cpu")
    assert cached == ("cache/stereo_640x192", {"device": "cpu"})
    assert load("depth_predictor", weights="logs/drive/best") == ("logs/drive/best", {})


@pytest.mark.parametrize("name", DEPTH_MODELS)
def test_names_tell_kind_and_size(name):
    info = hub.info_of_name(name)
    assert info.kind in KINDS
    assert f"{info.width}x{info.height}" in name or info.width == KINDS[info.kind].side


def test_the_hub_finds_the_rooms_from_any_folder(tmp_path):
    code = f"import paddle; print(paddle.hub.load({str(ROOT)!r}, 'transforms', source='local'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "small_transform" in done.stdout


def test_installing_takes_every_room_and_what_running_needs():
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    needed = [line for line in lines if line and not line.startswith(("#", "paddlepaddle"))]
    assert project["project"]["dependencies"] == needed
    setuptools = project["tool"]["setuptools"]
    packages = {name.rstrip("*") for name in setuptools["packages"]["find"]["include"]}
    rooms = {room(module) for module in import_graph()}
    assert packages | set(setuptools["py-modules"]) == rooms - {"benchmarks"}
