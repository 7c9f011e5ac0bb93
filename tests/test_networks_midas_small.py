"""MiDaS v2.1 small: its figures, its official file, and the commands that take it."""

import json
import shutil

import cv2
import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from PIL import Image

import demo
from networks.input_sizes import midas_size
from networks.kinds import KINDS, MIDAS_SMALL
from networks.midas_small import SameConv, depthwise_product, is_faster
from networks.monodepth import Architecture
from prediction.depth_map import network_input
from prediction.engines import onnx_file, open_engine
from prediction.graph import calibration_images, change_of
from prediction.predictor import DepthPredictor
from system.errors import InputError
from tests.blank import blank_networks
from tests.parity import main as parity
from tests.parity_midas import derived_model
from tools import align, export_model
from weight_files.conversion import convert_official
from weight_files.download import named_model
from weight_files.folder import open_model, save_weights
from weight_files.model_info import ModelInfo
from weight_files.names import torch_name
from weight_files.published import MIDAS, OFFICIAL_FILES
from weight_files.torch_files import write_torch

PARAMETERS = 21_320_545
MIDAS_FILE = OFFICIAL_FILES[MIDAS].name


@pytest.fixture(scope="module", autouse=True)
def _blank():
    with blank_networks():
        yield


@pytest.fixture(scope="module")
def model():
    network = derived_model(seed=0)
    network.eval()
    return network


@pytest.fixture(scope="module")
def weights(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("midas") / "midas"
    folder.mkdir()
    info = ModelInfo(Architecture(), 256, 256, name="midas", kind=MIDAS_SMALL)
    save_weights(folder, model, info)
    return folder


@pytest.fixture
def photo(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((400, 300), Image.BICUBIC).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_outputs_and_sizes_are_the_published_ones(monkeypatch, request, capsys):
    path = request.path.parent / "data" / "midas_small_seed0_256x192.npz"
    monkeypatch.setattr("sys.argv", ["parity", str(path)])
    assert parity() == 0
    assert f"{8 + 2} figures, 0 off" in capsys.readouterr().out


def test_it_has_the_published_number_of_parameters(model):
    trained = [
        p for name, p in model.named_parameters() if not name.endswith(("_mean", "_variance"))
    ]
    assert sum(int(np.prod(p.shape)) for p in trained) == PARAMETERS


@pytest.mark.parametrize("kernel", [3, 5])
def test_strided_convolutions_are_padded_as_tensorflow_does(kernel):
    conv = SameConv(1, 1, kernel, stride=2)
    conv.weight.set_value(np.ones((1, 1, kernel, kernel), np.float32))
    x = np.zeros((1, 1, 8, 8), np.float32)
    x[0, 0, -1, -1] = 1
    seen = conv(paddle.to_tensor(x)).numpy()[0, 0]
    assert seen.shape == (4, 4)
    before = (kernel - 2) // 2  # SAME: the rest comes after
    reached = [i for i in range(4) if 2 * i - before <= 7 <= 2 * i - before + kernel - 1]
    assert np.argwhere(seen).tolist() == [[i, j] for i in reached for j in reached]


def test_sizes_keep_the_aspect_ratio_in_multiples_of_32():
    assert midas_size(640, 480) == (256, 192)
    assert midas_size(1, 5000) == (32, 256)
    assert midas_size(640, 480, side=512) == (512, 384)
    multiple = KINDS[MIDAS_SMALL].multiple
    for size in ((317, 211), (1000, 999), (90, 100)):
        assert all(side % multiple == 0 and side > 0 for side in midas_size(*size))


def test_the_official_file_becomes_a_weights_folder(model, tmp_path):
    state = {torch_name(name): value.numpy() for name, value in model.state_dict().items()}
    state["pretrained.layer1.1.num_batches_tracked"] = np.array(7)
    x = paddle.to_tensor(np.random.default_rng(0).random((1, 3, 64, 96), np.float32))
    with paddle.no_grad():
        expected = model(x).numpy()
        file = tmp_path / MIDAS_FILE
        write_torch(file, state)
        convert_official(file, tmp_path / "folder", "midas", MIDAS_SMALL)
        opened = open_model(tmp_path / "folder")
        loaded, info = opened.depth_network(), opened.info
        np.testing.assert_array_equal(loaded(x).numpy(), expected)
    assert (info.kind, info.metric, info.width) == (MIDAS_SMALL, False, 256)
    del state["scratch.output_conv.4.bias"]
    file.unlink()
    write_torch(file, state)
    with pytest.raises(InputError, match=r"scratch\.output_conv\.4\.bias missing"):
        convert_official(file, tmp_path / "other", "midas", MIDAS_SMALL)
    assert not (tmp_path / "other").exists()


def test_a_file_that_was_fetched_by_hand_is_taken_from_the_cache(model, tmp_path, monkeypatch):
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path))
    monkeypatch.setenv("MONODEPTH_MIRROR", "http://127.0.0.1:9/")
    with pytest.raises(InputError, match=rf"put it at .*{MIDAS_FILE}"):
        named_model(MIDAS)
    state = {torch_name(name): value.numpy() for name, value in model.state_dict().items()}
    write_torch(tmp_path / "downloads" / MIDAS_FILE, state)
    folder = named_model(MIDAS)
    assert open_model(folder).info.name == MIDAS
    assert named_model(MIDAS) == folder


def test_commands_that_need_motion_refuse_it(weights):
    with pytest.raises(InputError, match="is a midas_small"):
        open_model(weights).network()


def test_pictures_of_several_shapes_are_predicted_together(weights):
    predictor = DepthPredictor.from_folder(weights, engine="paddle")
    rng = np.random.default_rng(0)
    shapes = [(60, 90), (90, 60), (61, 91)]
    pictures = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
    maps = predictor.many(pictures)
    assert [each.disparity.shape for each in maps] == shapes
    for each, picture in zip(maps, pictures):
        assert each.unit == "relative inverse depth"
        alone = predictor(picture).disparity
        np.testing.assert_allclose(each.disparity, alone, atol=1e-4 * alone.max())
    depth = maps[0].depth
    assert depth.max() / depth.min() == pytest.approx(20, rel=0.3)  # assumed, for views
    near = maps[0].disparity.argmax()
    assert depth.argmin() == near


def test_demo_writes_relative_inverse_depth_and_metres_once_aligned(weights, photo, tmp_path):
    words = ["--load_weights_folder", str(weights), "--engine", "paddle"]
    out = tmp_path / "out"
    demo.main(
        [*words, "--image_path", str(photo), "--output", str(out), "--extras", "side", "cloud"]
    )
    assert sorted(path.name for path in out.iterdir()) == [
        "photo_cloud.ply",
        "photo_disp.jpeg",
        "photo_disp.json",
        "photo_disp.npy",
        "photo_disp.png",
        "photo_side.jpeg",
    ]
    description = json.loads((out / "photo_disp.json").read_text())
    assert description["unit"] == "relative inverse depth"
    with pytest.raises(InputError, match="no unit"):
        demo.main([*words, "--image_path", str(photo), "--pred_metric_depth"])

    disparity = np.load(out / "photo_disp.npy", allow_pickle=False)
    order = np.argsort(disparity, axis=None)
    points = []
    for place, metres in ((order[5000], 9.0), (order[-5000], 3.0)):
        y, x = np.unravel_index(place, disparity.shape)
        points.append(f"{x} {y} {metres}")
    alignment = tmp_path / "fit.json"
    align.main(
        [*words, "--image_path", str(photo), "--points", *points, "--output", str(alignment)]
    )
    demo.main(
        [
            *(*words, "--image_path", str(photo), "--output", str(out)),
            *("--alignment", str(alignment), "--pred_metric_depth"),
        ]
    )
    depth = np.load(out / "photo_depth.npy", allow_pickle=False)
    for point in points:
        x, y, metres = point.split()
        assert depth[int(y), int(x)] == pytest.approx(float(metres), rel=1e-3)


def test_pictures_are_resized_in_fractions_of_levels_as_published(model, weights, photo):
    info = open_model(weights).info
    ramp = np.arange(48, 240, dtype=np.uint8)  # 192 pixels become 256: centres at (i + 0.5) 0.75
    given = network_input(info, np.broadcast_to(ramp[None, :, None], (96, 192, 3)))
    assert given.shape == (128, 256, 3)
    between = 48 + (np.arange(256) + 0.5) * 0.75 - 0.5
    np.testing.assert_allclose(given[60, 8:-8, 0], between[8:-8], atol=0.05)
    edge = np.where(np.arange(512) < 200, 0, 255).astype(np.uint8)
    given = network_input(info, np.broadcast_to(edge[None, :, None], (512, 512, 3)))
    assert given.min() < -10  # the cubic overshoots, and nothing cuts that off
    assert given.max() > 265
    picture = np.asarray(Image.open(photo))
    published = cv2.resize(picture / 255.0, (256, 192), interpolation=cv2.INTER_CUBIC)
    with paddle.no_grad():
        planes = paddle.to_tensor(published.transpose(2, 0, 1)[None].astype(np.float32))
        expected = model(planes).numpy()[0]
    got = DepthPredictor.from_folder(weights, engine="paddle").network.disparity(
        network_input(info, picture)[None]
    )[0]
    np.testing.assert_allclose(got, expected, atol=1e-4 * expected.max())


def test_a_larger_side_gives_the_network_more_pixels(weights, photo):
    picture = np.asarray(Image.open(photo))
    predictor = DepthPredictor.from_folder(weights, engine="paddle", side=96)
    assert predictor.network_input(picture).shape == (64, 96, 3)
    assert predictor(picture).disparity.shape == picture.shape[:2]


@pytest.mark.parametrize("name", ["paddle-inference", "onnxruntime", "openvino"])
def test_engines_agree_for_every_shape(weights, model, name):
    if name != "paddle-inference":
        pytest.importorskip(name, reason="needs requirements-engines.txt")
        pytest.importorskip("paddle2onnx", reason="needs requirements-engines.txt")
    engine = open_engine(open_model(weights), name, "fp32", "cpu")
    for height, width in ((64, 96), (96, 64)):
        image = np.random.default_rng(1).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
        x = paddle.to_tensor(image.transpose(0, 3, 1, 2)).astype("float32") / 255
        with paddle.no_grad():
            expected = model(x).numpy()
        got = engine.disparity(image)
        np.testing.assert_allclose(got, expected, atol=2e-4 * expected.max())


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures of two shapes to calibrate with."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for index in range(8):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 12, 3), np.uint8))
        coarse.resize((96, 64) if index % 2 else (64, 96)).save(folder / f"{index}.png")
    return folder


def test_8_bits_keep_the_trunk_in_float_and_its_depth(model, pictures, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime", reason="needs requirements-engines.txt")
    pytest.importorskip("paddle2onnx", reason="needs requirements-engines.txt")
    info = ModelInfo(Architecture(), 96, 96, name="midas", kind=MIDAS_SMALL)
    save_weights(tmp_path, model, info)
    assert {each.shape for each in calibration_images(pictures, info)} == {(64, 96, 3), (96, 64, 3)}
    monkeypatch.setattr("prediction.graph.LARGEST_INT8_CHANGE", 0.1)  # random weights
    engine = open_engine(open_model(tmp_path), "onnxruntime", "int8", "cpu", pictures)
    exact = open_engine(open_model(tmp_path), "onnxruntime", "fp32", "cpu")
    image = calibration_images(pictures, info)[0][None]
    change = change_of(exact.disparity(image), engine.disparity(image), info)
    assert 1e-4 < change < 0.1
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(onnx_file(open_model(tmp_path), "int8")).graph
    whole = [each for each in graph.initializer if each.data_type == onnx.TensorProto.INT8]
    assert sum(len(each.dims) == 4 for each in whole) == 20  # 4 reduce, 14 fuse, 2 end


def test_a_change_that_scale_and_shift_explain_is_none():
    info = ModelInfo(Architecture(), 96, 96, kind=MIDAS_SMALL)
    exact = np.random.default_rng(0).random((1, 8, 8), np.float32)
    assert change_of(exact, 3 * exact + 2, info) < 1e-6
    assert change_of(exact, exact[:, ::-1], info) > 0.1


def test_it_is_exported(weights, photo, tmp_path):
    pytest.importorskip("paddle2onnx", reason="needs requirements-engines.txt")
    words = ["--load_weights_folder", str(weights), "--image_path", str(photo)]
    target = tmp_path / "midas.onnx"
    export_model.main([*words, "--format", "onnx", "--output", str(target)])
    onnx = pytest.importorskip("onnx")
    content = onnx.load(target)
    assert content.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    about = {entry.key: entry.value for entry in content.metadata_props}
    assert about["input"].startswith("images: RGB float32 0 to 255, [batch")
    with pytest.raises(InputError, match="--any_size: a midas_small"):
        export_model.main([*words, "--format", "onnx", "--any_size"])


def test_damage_is_noticed(weights, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(weights, copy, ignore=shutil.ignore_patterns("exported"))
    (copy / "scratch.safetensors").unlink()
    with pytest.raises(InputError, match=r"scratch.*missing"):
        open_model(copy).depth_network()


@pytest.mark.parametrize("size", [(2, 2), (4, 6), (8, 8), (2, 8)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_a_depthwise_product_has_the_outputs_and_gradients_of_the_convolution(size, kernel, stride):
    rng = np.random.default_rng(0)
    layer = SameConv(16, 16, kernel, stride, groups=16)
    arrays = rng.normal(size=(3, 16, *size)), rng.normal(size=(16, 1, kernel, kernel))
    stride, before, after = layer.strided
    results = []
    for product in (False, True):
        x, weight = (
            paddle.to_tensor(array.astype(np.float32), stop_gradient=False) for array in arrays
        )
        if product:
            y = depthwise_product(x, weight, stride, before, after)
        else:
            y = F.conv2d(x, weight, None, stride, [before, after, before, after], groups=16)
        (y * y).sum().backward()
        results.append([value.numpy() for value in (y, x.grad, weight.grad)])
    for ours, theirs in zip(*results):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_products_are_for_small_maps_on_cpus(monkeypatch):
    monkeypatch.setattr(paddle.device, "get_device", lambda: "cpu")
    assert is_faster(paddle.zeros([1, 1, 2, 6]))
    assert not is_faster(paddle.zeros([1, 1, 48, 160]))
    monkeypatch.setattr(paddle.device, "get_device", lambda: "gpu:0")
    assert not is_faster(paddle.zeros([1, 1, 2, 6]))
