"""Every engine predicts what Paddle predicts, from models made anew when the weights change."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import paddle
import pytest
from PIL import Image

from datasets.conventions import STEREO
from datasets.pictures import read_picture
from networks.monodepth import Architecture, Monodepth
from options import AUTO, ENGINES
from prediction import engine_choice, graph, kept_exports
from prediction.engine_choice import automatic_engine, installed
from prediction.engines import Engine
from prediction.kept_exports import FOLDER, INT8, exported, while_there
from prediction.predictor import DepthPredictor
from system.errors import InputError
from system.files import write_sums
from tests.replacing import replaced
from weight_files.folder import open_model, save_weights
from weight_files.model_info import ModelInfo

HEIGHT, WIDTH = 64, 96
INFO = ModelInfo(Architecture(source_ids=(STEREO,)), HEIGHT, WIDTH, name="tiny")
EXTRAS = {"onnxruntime": ("onnxruntime", "paddle2onnx"), "openvino": ("openvino", "paddle2onnx")}


def write_weights(folder, seed):
    paddle.seed(seed)
    folder.mkdir(exist_ok=True)
    model = Monodepth(INFO.architecture)
    for _, buffer in model.named_buffers():  # as after training
        buffer.set_value(paddle.rand(buffer.shape) + 0.5)
    save_weights(folder, model, INFO)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    write_weights(folder, 0)
    return folder


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def eager(weights):
    return open_network(weights, "cpu", "paddle")


@pytest.fixture(scope="module")
def expected(eager, images):
    return eager.disparity(images)


def open_network(*given):
    return DepthPredictor.from_folder(*given).network


def need(engine):
    missing = [module for module in EXTRAS.get(engine, ()) if not installed(module)]
    if missing:
        pytest.skip(f"{', '.join(missing)} of requirements-engines.txt not installed")


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_predicts_what_paddle_predicts(engine, weights, images, expected):
    need(engine)
    predictor = open_network(weights, "cpu", engine)
    assert predictor.engine.name == engine
    whole = predictor.disparity(images)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, expected, atol=1e-4)
    np.testing.assert_allclose(predictor.disparity(images[:1]), expected[:1], atol=1e-4)
    np.testing.assert_allclose(whole, predictor.disparity(images), atol=1e-6)
    assert np.abs(expected - expected[::-1]).max() > 0.01  # the pictures differ


def test_bfloat16_is_near(weights, images, expected):
    need("openvino")
    try:
        predictor = open_network(weights, "cpu", AUTO, "bf16")
    except InputError as error:
        assert "does not compute in bfloat16" in str(error)
        pytest.skip("this CPU does not compute in bfloat16")
    got = predictor.disparity(images)
    assert 1e-6 < np.abs(got - expected).max() < 0.05


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of pictures to calibrate with."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(1)
    for index in range(12):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 12, 3), np.uint8))
        coarse.resize((2 * WIDTH, 2 * HEIGHT)).save(folder / f"{index}.png")
    return folder


def test_8_bits_are_fitted_once_and_near(weights, pictures, tmp_path, images, expected):
    need("onnxruntime")
    folder = shutil.copytree(weights, tmp_path / "copy")
    with pytest.raises(InputError, match="name a folder of some that are like yours"):
        open_network(folder, "cpu", "onnxruntime", "int8")
    open_network(folder, "cpu", "onnxruntime", "int8", pictures)
    for engine in ("onnxruntime", *(["openvino"] if installed("openvino") else [])):
        got = open_network(folder, "cpu", engine, "int8").disparity(images)
        assert 1e-5 < np.abs(got - expected).max() < 0.1


def test_8_bits_that_move_depth_too_far_are_refused(weights, pictures, tmp_path, monkeypatch):
    need("onnxruntime")
    folder = shutil.copytree(weights, tmp_path / "copy")
    monkeypatch.setattr(graph, "LARGEST_INT8_CHANGE", 1e-6)
    with pytest.raises(InputError, match=r"int8: moves depth by .* more than"):
        open_network(folder, "cpu", "onnxruntime", "int8", pictures)
    assert not list((folder / FOLDER).glob("int8*"))
    few = tmp_path / "few"
    few.mkdir()
    for path in list(pictures.iterdir())[:6]:
        shutil.copy(path, few)
    with pytest.raises(InputError, match="holds 6 pictures"):
        open_network(folder, "cpu", "onnxruntime", "int8", few)


def test_8_bits_are_fitted_to_what_the_network_is_given(tmp_path, eager):
    values = np.random.default_rng(3).integers(0, 65536, (90, 70), np.uint16)
    turned = Image.Exif()
    turned[0x0112] = 6
    for index in range(8):
        Image.fromarray(values).save(tmp_path / f"{index}.png", exif=turned)
    predictor = DepthPredictor(eager)
    expected = predictor.network_input(read_picture(tmp_path / "0.png"))
    assert expected.shape == (HEIGHT, WIDTH, 3)
    assert expected.std() > 20
    for image in graph.calibration_images(tmp_path, INFO):
        np.testing.assert_array_equal(image, expected)


def test_a_stream_gives_every_batch_in_order(eager, images, expected):
    taken = []

    def batches():
        for index in range(3):
            taken.append(index)
            yield images[index : index + 1]

    stream = eager.stream(batches())
    np.testing.assert_allclose(next(stream), expected[:1], atol=1e-6)
    assert taken == [0, 1]
    np.testing.assert_allclose(np.concatenate(list(stream)), expected[1:], atol=1e-6)
    assert list(eager.stream([])) == []


def test_a_stream_keeps_all_threads_of_an_engine_at_work(eager):
    begun, taken = [], []

    def disparity(images):
        begun.append(images.flat[0])
        return images[..., 0].astype(np.float32)

    def batches():
        for index in range(9):
            taken.append(index)
            yield np.full((1, HEIGHT, WIDTH, 3), index, np.uint8)

    two = dataclasses.replace(eager, engine=Engine("stub", disparity, at_once=2))
    stream = two.stream(batches())
    levels = [next(stream).flat[0]]
    assert taken == [0, 1, 2, 3]  # however long the first one is used
    deadline = time.monotonic() + 10
    while len(begun) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(begun) == [0, 1, 2, 3]
    levels += [each.flat[0] for each in stream]
    assert levels == list(range(9))


def test_many_images_are_predicted_as_one_is(weights, images, eager, monkeypatch):
    need("openvino")
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    one = open_network(weights, "cpu", "openvino")
    many, given = one.of_many(), [images[index % 3][None] for index in range(8)]
    assert (one.engine.at_once, many.engine.at_once) == (1, 2)
    expected = [one.disparity(each) for each in given]
    with ThreadPoolExecutor(3) as threads:
        for got in (threads.map(many.disparity, given), many.stream(given)):
            np.testing.assert_allclose(list(got), expected, atol=1e-6)
    assert eager.of_many() is eager


def test_other_weights_are_exported_anew(tmp_path):
    folder = tmp_path / "changing"
    made = []
    for seed in (1, 2):
        write_weights(folder, seed)
        made.append(exported(open_model(folder), "kind", lambda new: None))
    assert made[0] != made[1]
    assert list((folder / FOLDER).iterdir()) == made[1:]


def test_an_export_is_made_once(weights, tmp_path):
    folder = shutil.copytree(weights, tmp_path / "copy", ignore=shutil.ignore_patterns(FOLDER))
    made = []

    def build(new):
        made.append(new)
        (new / "a").write_text("b")

    first = exported(open_model(folder), "kind", build)
    assert (first / "a").read_text() == "b"
    assert exported(open_model(folder), "kind", build) == first
    assert len(made) == 1
    assert exported(open_model(weights), "kind", build).name == first.name


def test_an_export_that_fails_leaves_nothing(weights, tmp_path):
    folder = shutil.copytree(weights, tmp_path / "copy", ignore=shutil.ignore_patterns(FOLDER))

    def fail(new):
        (new / "half").write_text("")
        raise InputError("no")

    with pytest.raises(InputError):
        exported(open_model(folder), "kind", fail)
    assert list((folder / FOLDER).iterdir()) == []


def write_small(folder, step=0):
    """A folder that says that it is a model, which is enough to export nothing of it."""
    folder.mkdir()
    (folder / "model.json").write_text(dataclasses.replace(INFO, step=step).to_json())
    for module in ("encoder", "depth"):
        (folder / f"{module}.safetensors").write_text(f"{module} {step}")
    write_sums(folder)
    return folder


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda made: flip(made / "a"),
        lambda made: (made / "a").write_bytes(b""),
        lambda made: (made / "a").unlink(),
        lambda made: (made / "SHA256SUMS").write_bytes(b""),
        lambda made: (shutil.rmtree(made), made.mkdir()),
    ],
)
def test_a_damaged_export_is_made_anew(damage, tmp_path):
    folder = write_small(tmp_path / "copy")

    def build(new):
        (new / "a").write_text("content")

    made = exported(open_model(folder), "kind", build)
    damage(made)
    assert exported(open_model(folder), "kind", build) == made
    assert (made / "a").read_text() == "content"
    assert list(made.parent.iterdir()) == [made]


def test_what_decides_an_export_is_in_its_name(tmp_path, monkeypatch):
    folder = write_small(tmp_path / "copy")

    def name(kind, **changes):
        opened = open_model(folder)
        opened.__dict__["info"] = dataclasses.replace(opened.info, **changes)
        return exported(opened, kind, lambda new: (new / "a").touch()).name

    names = [name(INT8), name("onnx"), name("onnx", height=128), name("onnx", max_depth=80.0)]
    monkeypatch.setattr(kept_exports, "READING_VERSION", kept_exports.READING_VERSION + 1)
    names.append(name(INT8))
    assert name("onnx") == names[1]  # no picture was read for it
    monkeypatch.setattr(kept_exports, "installed_paddle", lambda: "4")
    names += [name(INT8), name("onnx")]
    assert len(set(names)) == len(names)


def test_an_export_does_not_get_into_the_way_of_training(tmp_path, monkeypatch):
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path / "home"))
    folder = write_small(tmp_path / "last")
    opened = open_model(folder)

    def build(new):  # a new checkpoint is about to take the place of this one
        if folder.exists():
            shutil.rmtree(folder)
        (new / "a").write_text("content")

    assert (exported(opened, "kind", build) / "a").read_text() == "content"
    assert not folder.exists()


def test_an_export_that_was_taken_away_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path / "home"))
    folder = write_small(tmp_path / "copy")
    used = []

    def use(made):
        used.append(made)
        if len(used) == 1:
            shutil.rmtree(made)
        return (made / "a").read_text()

    def build(new):
        (new / "a").write_text("content")

    def find(lasting):
        return exported(open_model(folder), "kind", build, lasting=lasting)

    assert while_there(find, use) == "content"
    assert [made.parent for made in used] == [folder / FOLDER, tmp_path / "home" / FOLDER]
    with pytest.raises(ZeroDivisionError):
        while_there(find, lambda made: 1 / 0)


def export_of(opened):
    """The name of a model's export, and the step that was put into it."""

    def build(new):
        (new / "step").write_text(str(opened.info.step))

    name, step = while_there(
        lambda lasting: exported(opened, "kind", build, lasting=lasting),
        lambda made: (made.name, (made / "step").read_text()),
    )
    assert step == str(opened.info.step)
    return name, step


@pytest.mark.skipif(os.name == "nt", reason="Windows replaces no folder of which a file is open")
def test_an_export_is_of_the_checkpoint_that_it_is_named_after(tmp_path, monkeypatch):
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path / "home"))
    sources = [write_small(tmp_path / str(step), step) for step in (1, 2)]
    folder = shutil.copytree(sources[0], tmp_path / "last")
    seen = {}
    with replaced(folder, sources, seconds=0.02):
        for _ in range(15):
            made, step = export_of(open_model(folder))
            seen.setdefault(made, set()).add(step)
            time.sleep(0.01)
    assert [len(steps) for steps in seen.values()] == [1, 1]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path / "home"))
    folder = shutil.copytree(weights, tmp_path / "copy", ignore=shutil.ignore_patterns(FOLDER))
    folder.chmod(0o555)
    made = exported(open_model(folder), "kind", lambda new: None)
    assert made.parent == tmp_path / "home" / FOLDER


def test_a_place_that_is_a_file_gives_way_to_the_cache(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path / "home"))
    folder = shutil.copytree(weights, tmp_path / "copy", ignore=shutil.ignore_patterns(FOLDER))
    (folder / FOLDER).write_text("")
    assert (
        exported(open_model(folder), "kind", lambda new: None).parent == tmp_path / "home" / FOLDER
    )


def test_the_automatic_engine_is_the_fastest_installed(monkeypatch):
    have = {"openvino", "onnxruntime"}
    monkeypatch.setattr(engine_choice, "installed", lambda module: module in have)
    monkeypatch.setattr(engine_choice, "why_no_onnx", lambda: "")
    assert automatic_engine("gpu:0") == "paddle"
    assert automatic_engine("cpu") == "openvino"
    have.remove("openvino")
    assert automatic_engine("cpu") == "onnxruntime"
    monkeypatch.setattr(engine_choice, "why_no_onnx", lambda: "it is of another version")
    assert automatic_engine("cpu") == "paddle-inference"


def test_what_is_not_there_is_said(weights, monkeypatch):
    with pytest.raises(InputError, match="computes in fp32; use --engine openvino"):
        open_network(weights, "cpu", "paddle", "bf16")
    monkeypatch.setattr(engine_choice, "installed", lambda module: False)
    with pytest.raises(InputError, match="--engine openvino: is not installed; pip install"):
        open_network(weights, "cpu", "openvino")
