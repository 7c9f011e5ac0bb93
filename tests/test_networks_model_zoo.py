"""Published weights by name, from a cache folder that is filled by hand or by a local server."""

from __future__ import annotations

import functools
import hashlib
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import paddle
import pytest
from PIL import Image
from safetensors.numpy import save_file

import demo
from errors import InputError
from networks import model_zoo
from networks.conversion import convert_folder
from networks.imagenet import find_weights_file, load_imagenet
from networks.model_info import ModelInfo
from networks.model_zoo import cache_folder, imagenet_file, named_model
from networks.monodepth import STEREO, Architecture, Monodepth
from networks.resnet_encoder import ResnetEncoder
from networks.weights import load_model, save_weights
from options import TrainOptions
from training.setup import initial_model
from weight_files.state_dicts import torch_name
from weight_files.torch_files import write_torch

NAME = "mono+stereo_640x192"
INFO = ModelInfo(Architecture(source_ids=(-1, 1, STEREO)), height=64, width=96)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MONODEPTH_MIRROR", "http://127.0.0.1:1/")
    return tmp_path / "home"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The archive of a model in the published layout."""
    folder = tmp_path_factory.mktemp("published")
    paddle.seed(1)
    (folder / "own").mkdir()
    save_weights(folder / "own", Monodepth(INFO.architecture), INFO)
    convert_folder(folder / "own", folder / NAME, "torch", {})
    path = folder / f"{NAME}.zip"
    with zipfile.ZipFile(path, "w") as content:
        for file in (folder / NAME).glob("*.pth"):
            content.write(file, f"{NAME}/{file.name}")
    return path


@pytest.fixture
def known(archive, monkeypatch):
    """Takes that archive for the published one."""
    monkeypatch.setitem(model_zoo.MODELS, NAME, hashlib.md5(archive.read_bytes()).hexdigest())
    return archive


@pytest.fixture
def mirror(known, home, monkeypatch):
    """A server of the archive's folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(known.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MONODEPTH_MIRROR", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    server.server_close()


def test_a_named_model_is_fetched_converted_and_then_there_without_network(mirror, archive):
    folder = named_model(NAME)
    mirror.shutdown()
    assert named_model(NAME) == folder
    assert folder == cache_folder() / "models" / NAME
    model, info = load_model(folder)
    assert (info.height, info.width, info.metric, info.name) == (64, 96, True, NAME)
    expected, _ = load_model(archive.parent / "own")
    for name, value in expected.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name].numpy(), value.numpy())


def test_the_demo_takes_a_named_model(mirror, tmp_path):
    Image.new("RGB", (96, 64)).save(tmp_path / "a.jpg")
    demo.main(["--image_path", str(tmp_path / "a.jpg"), "--model_name", NAME])
    assert (tmp_path / "a_disp.npy").is_file()


def test_without_network_it_says_which_file_to_put_where(known, home):
    with pytest.raises(InputError) as error:
        named_model(NAME)
    target = home / "downloads" / f"{NAME}.zip"
    assert f"put it at {target}" in str(error.value)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(known.read_bytes())
    assert named_model(NAME).is_dir()


def test_an_archive_without_a_model_leaves_nothing(home, tmp_path, monkeypatch):
    target = home / "downloads" / f"{NAME}.zip"
    target.parent.mkdir(parents=True)
    with zipfile.ZipFile(target, "w") as content:
        content.writestr("encoder.pth", b"")
    monkeypatch.setitem(model_zoo.MODELS, NAME, hashlib.md5(target.read_bytes()).hexdigest())
    with pytest.raises(InputError, match=r"encoder\.pth|not a weights folder"):
        named_model(NAME)
    assert list((home / "models").iterdir()) == []


def test_an_unknown_name_lists_the_known_ones(home):
    with pytest.raises(InputError, match=r"mono_640x192.*stereo_1024x320"):
        named_model("mono")


def test_the_names_of_the_urls_are_quoted(monkeypatch):
    monkeypatch.delenv("MONODEPTH_MIRROR", raising=False)
    url = model_zoo._url(model_zoo.MODELS_URL, f"{NAME}.zip")
    assert url.endswith("/monodepth2/mono%2Bstereo_640x192.zip")


def resnet_arrays(num_layers=18):
    paddle.seed(2)
    state = ResnetEncoder(num_layers).resnet.state_dict()
    arrays = {torch_name(name): value.numpy() for name, value in state.items()}
    return {**arrays, "fc.weight": np.ones((1000, 512), np.float32), "fc.bias": np.ones(1000)}


def test_both_encoders_start_from_imagenet(tmp_path):
    arrays = resnet_arrays()
    write_torch(tmp_path / "resnet18-pytorch.pth", arrays)
    options = TrainOptions(weights_init=str(tmp_path / "resnet18-pytorch"), height=64, width=64)
    model = initial_model(options)
    image = paddle.rand([1, 3, 64, 64])
    model.eval()
    first = arrays["conv1.weight"]
    np.testing.assert_array_equal(model.encoder.resnet.conv1.weight.numpy(), first)
    stacked = model.pose_encoder.resnet.conv1.weight.numpy()
    np.testing.assert_array_equal(stacked, np.concatenate([first, first], axis=1) / 2)
    # So that the same image twice gives what it gives once.
    with paddle.no_grad():
        one = model.encoder(image)
        two = model.pose_encoder(paddle.concat([image, image], axis=1))
    for a, b in zip(one, two):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-4)


def test_a_resnet_of_another_depth_is_refused(tmp_path):
    write_torch(tmp_path / "r.pth", resnet_arrays(34))
    with pytest.raises(InputError, match=r"r\.pth: weights of another architecture"):
        load_imagenet(Monodepth(Architecture()), tmp_path / "r.pth")


@pytest.mark.parametrize("name", ["w", "w.safetensors"])
def test_a_file_is_found_with_or_without_its_suffix(name, tmp_path):
    save_file({"a": np.ones(1, np.float32)}, tmp_path / "w.safetensors")
    assert find_weights_file(tmp_path / name) == tmp_path / "w.safetensors"
    with pytest.raises(InputError, match="--weights_init"):
        find_weights_file(tmp_path / "v")


def test_imagenet_weights_are_taken_from_the_cache(home, monkeypatch):
    with pytest.raises(InputError, match=r"resnet18-f37072fd\.pth"):
        imagenet_file(18)
    path = home / "downloads" / "resnet18-5c106cde.pth"
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="sha256 does not start with 5c106cde"):
        imagenet_file(18)
    content = b"a file"
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setitem(model_zoo.RESNETS, 18, (name,))
    (home / "downloads" / name).write_bytes(content)
    assert imagenet_file(18) == home / "downloads" / name
    with pytest.raises(InputError, match="--num_layers 18, 34, 50"):
        imagenet_file(101)
