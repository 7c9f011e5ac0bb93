"""A GPU that there is computes, by its number, or it is said why not."""

from __future__ import annotations

import sys
import types

import numpy as np
import paddle
import pytest

from datasets.conventions import STEREO
from networks.monodepth import Architecture, Monodepth
from options import AUTO
from prediction import engine_choice, engines
from prediction.engine_choice import CUDA
from prediction.engines import onnxruntime_engine, open_engine, paddle_inference_engine
from prediction.graph import PROGRAMS
from system import device as device_module
from system.errors import InputError
from tests.fake_gpu import FakeGpus
from weight_files.folder import open_model, save_weights
from weight_files.model_info import ModelInfo

HEIGHT, WIDTH = 64, 96


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    architecture = Architecture(source_ids=(STEREO,))
    save_weights(folder, Monodepth(architecture), ModelInfo(architecture, HEIGHT, WIDTH))
    return open_model(folder)


@pytest.mark.parametrize(("asked", "chosen"), [(None, "gpu:0"), ("gpu:1", "gpu:1"), ("cpu", "cpu")])
def test_the_automatic_engine_stays_on_the_gpu(monkeypatch, caplog, opened, asked, chosen):
    FakeGpus(monkeypatch)
    caplog.set_level("INFO")
    monkeypatch.setattr(engine_choice, "installed", lambda module: False)
    monkeypatch.setattr(
        engines, "paddle_inference_engine", lambda saved, device, kind: engines.Engine("p", None)
    )
    monkeypatch.setattr(engines, "exported", lambda *words, **more: opened.folder)
    engine = open_engine(opened, AUTO, "fp32", asked)
    assert engine.device == chosen
    assert engine.name == ("p" if chosen == "cpu" else "paddle")
    assert caplog.text.count("depth network: ") == 1
    assert f"{engine.name} in fp32 on {chosen}" in caplog.text


def test_bfloat16_stays_on_the_gpu(monkeypatch, opened):
    FakeGpus(monkeypatch)
    asked, plain = [], paddle.amp.auto_cast

    def auto_cast(**words):
        asked.append(words)
        return plain(**words)

    monkeypatch.setattr(paddle.amp, "auto_cast", auto_cast)
    monkeypatch.setattr(paddle.amp, "is_bfloat16_supported", lambda: True)
    engine = open_engine(opened, AUTO, "bf16", None)
    assert (engine.name, engine.device) == ("paddle", "gpu:0")
    assert engine.disparity(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)).dtype == np.float32
    assert asked[0] == {"dtype": "bfloat16"}
    monkeypatch.setattr(paddle.amp, "is_bfloat16_supported", lambda: False)
    with pytest.raises(InputError, match="bf16: this GPU does not compute in bfloat16"):
        open_engine(opened, AUTO, "bf16", None)


@pytest.mark.parametrize(
    ("engine", "precision", "device", "reason"),
    [
        (AUTO, "int8", None, "paddle computes on a GPU in fp32, bf16; use --device cpu"),
        ("onnxruntime", "int8", "gpu", "onnxruntime computes on a GPU in fp32; use --device cpu"),
        ("paddle-inference", "bf16", None, "computes on a GPU in fp32; use --device cpu"),
        ("openvino", "fp32", "gpu:1", "--engine openvino: runs on CPUs, not on gpu:1"),
        ("openvino", "bf16", "gpu", "--engine openvino: runs on CPUs, not on gpu"),
    ],
)
def test_what_would_leave_the_gpu_is_refused(
    monkeypatch, opened, engine, precision, device, reason
):
    FakeGpus(monkeypatch)
    monkeypatch.setattr(engine_choice, "installed", lambda module: True)
    with pytest.raises(InputError, match=reason):
        open_engine(opened, engine, precision, device)


class Session:
    """One of ONNX Runtime, which falls back to the CPU where CUDA cannot be started."""

    starts = True

    def __init__(self, path, options, providers):
        self.providers = providers if self.starts else ["CPUExecutionProvider"]

    def get_providers(self):
        return [each if isinstance(each, str) else each[0] for each in self.providers]

    def get_inputs(self):
        return [types.SimpleNamespace(type="tensor(uint8)")]

    def run(self, names, given):
        return [self.providers]


@pytest.fixture
def runtime(monkeypatch):
    """ONNX Runtime with CUDA, on a machine with two GPUs."""
    FakeGpus(monkeypatch)
    monkeypatch.setattr(engines, "has_nvidia_driver", lambda: True)
    module = types.SimpleNamespace(
        SessionOptions=types.SimpleNamespace,
        InferenceSession=type("Fresh", (Session,), {}),
        get_available_providers=lambda: [CUDA, "CPUExecutionProvider"],
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    return module


@pytest.mark.parametrize(("asked", "number"), [(None, 0), ("gpu", 0), ("gpu:1", 1), ("cpu", None)])
def test_onnx_runtime_computes_on_the_gpu_by_its_number(runtime, caplog, asked, number):
    engine = onnxruntime_engine("model.onnx", asked)
    assert engine.device == ("cpu" if number is None else f"gpu:{number}")
    first = engine.disparity(np.zeros((1, 2, 2, 3), np.uint8))[0]
    assert first == ("CPUExecutionProvider" if number is None else (CUDA, {"device_id": number}))
    assert not caplog.records


@pytest.mark.parametrize("made_for_it", [False, True])
def test_onnx_runtime_that_falls_back_is_said(runtime, caplog, monkeypatch, made_for_it):
    if made_for_it:
        runtime.InferenceSession.starts = False  # another version of CUDA
    else:
        runtime.get_available_providers = lambda: ["CPUExecutionProvider"]
    with pytest.raises(InputError, match="gpu:1: this ONNX Runtime does not run on the GPU; pip"):
        onnxruntime_engine("model.onnx", "gpu:1")
    assert onnxruntime_engine("model.onnx", None).device == "cpu"
    assert "predicting on the CPU: this ONNX Runtime does not run on the GPU" in caplog.text
    caplog.clear()
    assert onnxruntime_engine("model.onnx").device == "cpu"  # as the exports are compared
    assert not caplog.records


def test_paddle_inference_computes_on_the_gpu_by_its_number(monkeypatch, tmp_path):
    asked = []

    class Config:
        def __init__(self, *files):
            pass

        def __getattr__(self, name):
            return lambda *words: asked.append((name, *words))

    class Predictor:
        def __getattr__(self, name):
            return lambda *words: ["output"]

    monkeypatch.setattr(paddle.inference, "Config", Config)
    monkeypatch.setattr(paddle.inference, "create_predictor", lambda config: Predictor())
    (tmp_path / PROGRAMS[0]).touch()
    assert paddle_inference_engine(tmp_path, "gpu:1", "monodepth").device == "gpu:1"
    (words,) = (words for words in asked if words[0] == "enable_use_gpu")
    assert words[-1] == 1


def test_a_driver_is_found_by_its_command(monkeypatch):
    monkeypatch.setattr(device_module.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert device_module.has_nvidia_driver()
