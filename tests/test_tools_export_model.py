"""Exported models: what they take, what they say, that they agree, and the examples of the docs."""

import re
from pathlib import Path

import numpy as np
import paddle
import pytest
from PIL import Image

from datasets.conventions import STEREO
from networks.kinds import MIDAS_SMALL
from networks.midas_small import MidasSmall
from networks.monodepth import Architecture, Monodepth
from prediction import export
from prediction.engines import onnxruntime_engine, openvino_engine
from prediction.predictor import DepthPredictor
from system.errors import InputError
from tests.damage import files_no_larger_than
from tools import export_model
from weight_files.folder import save_weights
from weight_files.model_info import RELATIVE_DEPTH, ModelInfo

ROOT = Path(__file__).resolve().parents[1]
HEIGHT, WIDTH = 64, 96
MODEL = "runs/quickstart/model/last"

onnx = pytest.importorskip("onnx", reason="exports need requirements-engines.txt")
pytest.importorskip("paddle2onnx", reason="exports need requirements-engines.txt")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with random weights in ``runs/quickstart/model/last``, and a picture."""
    folder = tmp_path_factory.mktemp("deploy")
    paddle.seed(0)
    architecture = Architecture(source_ids=(STEREO,))
    model = Monodepth(architecture)
    model.eval()
    weights = folder / MODEL
    weights.mkdir(parents=True)
    save_weights(weights, model, ModelInfo(architecture, HEIGHT, WIDTH, name="street"))
    noise = np.random.default_rng(0).integers(0, 256, (12, 21, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((210, 120), Image.BICUBIC).save(folder / "street.jpg")
    return folder


def run(place, target, *more, weights=MODEL):
    export_model.main(
        [
            *("--load_weights_folder", str(place / weights)),
            *("--image_path", str(place / "street.jpg"), "--output", str(place / target)),
            *more,
        ]
    )
    return place / target


@pytest.fixture(scope="module")
def any_size(place):
    """An ONNX model for pictures of any size."""
    return run(place, "any.onnx", "--format", "onnx", "--any_size")


@pytest.fixture(scope="module")
def midas(place):
    """MiDaS of random weights as ONNX in half precision."""
    paddle.seed(0)
    model = MidasSmall()
    model.start_from_random()
    model.eval()
    (place / "midas").mkdir()
    about = {"name": "midas", "kind": MIDAS_SMALL, "supervision": RELATIVE_DEPTH}
    save_weights(place / "midas", model, ModelInfo(Architecture(source_ids=()), 96, 96, **about))
    words = ("--format", "onnx", "--precision", "fp16")
    return run(place, "midas.onnx", *words, weights="midas")


@pytest.fixture(scope="module")
def exports(place):
    """The three exports of the examples, by format."""
    return {
        "onnx": run(place, "street.onnx", "--format", "onnx"),
        "openvino": run(place, "street_openvino", "--format", "openvino", "--any_size"),
        "paddle": run(place, "street_paddle", "--format", "paddle"),
    }


@pytest.mark.parametrize("format", ["onnx", "openvino", "paddle"])
def test_a_full_disk_leaves_nothing_that_the_next_try_would_find(format, exports, place, tmp_path):
    target = tmp_path / "new" / f"street.{format}"
    with files_no_larger_than(1 << 20), pytest.raises(InputError, match="make room") as refused:
        run(place, target, "--format", format)
    assert str(target) in str(refused.value)
    assert list(target.parent.iterdir()) == []


def test_an_onnx_model_says_what_it_is(exports):
    content = onnx.load(exports["onnx"])
    about = {each.key: each.value for each in content.metadata_props}
    assert about["unit"] == "metres"
    assert about["depth"] == "5.4 / (0.01 + 9.99 * disparity)"
    assert (about["opset"], content.opset_import[0].version) == ("13", 13)
    (image,), (disparity,) = content.graph.input, content.graph.output
    assert (image.name, disparity.name) == ("images", "disparity")
    dims = image.type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [0, HEIGHT, WIDTH, 3]  # 0: any


def test_pictures_of_any_size_give_what_the_predictor_gives(place, exports, any_size):
    pictures = np.random.default_rng(1).integers(0, 256, (2, 150, 70, 3), dtype=np.uint8)
    pictures = np.stack(
        [np.asarray(Image.fromarray(p).resize((7, 15)).resize((70, 150))) for p in pictures]
    )
    assert onnx.load(any_size).opset_import[0].version == 18
    for kind, made in (("onnx", any_size), ("openvino", exports["openvino"])):
        engine = onnxruntime_engine(made) if kind == "onnx" else openvino_engine(made / "model.xml")
        got = engine.disparity(pictures)
        assert got.shape == (2, 150, 70)
        predictor = DepthPredictor.from_folder(place / MODEL, engine="paddle")
        for one, picture in zip(got, pictures):
            depth_map = predictor(picture)
            np.testing.assert_allclose(0.01 + 9.99 * one, depth_map.disparity, rtol=0.03)


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_half_precision_is_half_as_large(place, exports, kind):
    half = run(place, f"half_{kind}", "--format", kind, "--precision", "fp16")

    def size(path):
        files = [path] if path.is_file() else path.iterdir()
        return sum(file.stat().st_size for file in files)

    assert size(half) < 0.6 * size(exports[kind])


def test_disparity_in_half_precision_has_the_steps_of_float32(place, exports):
    half = onnxruntime_engine(run(place, "steps", "--format", "onnx", "--precision", "fp16"))
    picture = np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)
    got = half.disparity(picture)
    np.testing.assert_allclose(
        got, onnxruntime_engine(exports["onnx"]).disparity(picture), rtol=5e-3
    )
    assert np.mean(got.astype(np.float16) == got) < 0.1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--format paddle --precision fp16", "--precision fp16: is not for --format paddle"),
        ("--format paddle --any_size", "--any_size: .*use --format onnx"),
        ("--format onnx --precision int8", "--calibration"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(place, words, said):
    with pytest.raises(InputError, match=said):
        run(place, "refused", *words.split())
    assert not (place / "refused").exists()


def test_an_export_that_deviates_is_not_written(place, exports, monkeypatch):
    monkeypatch.setattr(export, "compare", lambda *args: (2e-3, 1e-4))
    with pytest.raises(
        InputError, match=r"not written; onnx in fp32 moves disparity by up to 0.002"
    ):
        run(place, "off.onnx", "--format", "onnx")
    assert not (place / "off.onnx").exists()


@pytest.mark.parametrize(
    ("precision", "disparity", "depth", "acceptable"),
    [
        ("fp32", 2e-3, 1e-4, False),
        ("fp32", 2e-4, 0.011, True),
        ("fp16", 2e-3, 1e-4, True),
        ("int8", 2e-4, 0.011, False),
    ],
)
def test_float32_is_held_to_disparity_and_less_to_depth(precision, disparity, depth, acceptable):
    assert export.acceptable(precision, disparity, depth) is acceptable


def test_nothing_is_overwritten(place, exports):
    with pytest.raises(InputError, match="is there already"):
        run(place, "street.onnx", "--format", "onnx")


def examples():
    text = (ROOT / "docs" / "deploy.md").read_text()
    return dict(re.findall(r"## ([^\n]+)\n\n```python\n(.*?)```", text, re.DOTALL))


@pytest.mark.parametrize("name", sorted(examples()))
def test_the_examples_of_the_docs_run(place, exports, name, monkeypatch, capsys):
    monkeypatch.chdir(place)
    exec(compile(examples()[name], f"deploy.md: {name}", "exec"), {})
    assert re.search(r"\((64, 96|120, 210)\)", capsys.readouterr().out)


@pytest.fixture(scope="module")
def midas_paddle(place, midas):
    """MiDaS as a program of Paddle."""
    return run(place, "midas_paddle", "--format", "paddle", weights="midas")


@pytest.mark.parametrize(
    ("name", "given", "model", "shape"),
    [
        ("ONNX Runtime", "street.onnx", "any_size", "(120, 210)"),
        ("ONNX Runtime", "street.onnx", "midas", "(64, 96)"),
        ("Paddle Inference", "street_paddle", "midas_paddle", "(64, 96)"),
    ],
)
def test_an_example_takes_every_model_of_its_format(
    place, name, given, model, shape, request, monkeypatch, capsys
):
    text = examples()[name].replace(given, request.getfixturevalue(model).name)
    monkeypatch.chdir(place)
    exec(compile(text, "deploy.md", "exec"), {})
    assert shape in capsys.readouterr().out  # of MiDaS 96 pixels wide, 54.9 high in multiples of 32


def test_half_precision_of_midas_gives_what_the_predictor_gives(place, midas):
    picture = np.asarray(Image.open(place / "street.jpg"))
    predictor = DepthPredictor.from_folder(place / "midas", engine="paddle")
    given = predictor.network_input(picture)[None]
    expected = predictor.network.disparity(given)
    got = onnxruntime_engine(midas).disparity(given)
    assert got.dtype == np.float32
    assert np.abs(got - expected).mean() < 0.01 * expected.max()
