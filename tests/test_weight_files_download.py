"""Published weights: by name from a cache folder, from a server that breaks off, lies, damages."""

from __future__ import annotations

import functools
import hashlib
import stat
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import paddle
import pytest
from PIL import Image
from safetensors.numpy import save_file

import demo
from datasets.conventions import STEREO
from networks.monodepth import Architecture, Monodepth
from networks.resnet_encoder import ResnetEncoder
from options import SelfSupervisedOptions, TrainOptions, parse
from system.errors import InputError
from tests.blank import blank_networks
from training.self_supervised import initial_model
from weight_files import download
from weight_files.conversion import convert_folder
from weight_files.download import (
    Checksum,
    cache_folder,
    fetch,
    find_model,
    find_weights_file,
    imagenet_file,
    named_model,
    unpack,
)
from weight_files.folder import open_model, save_weights
from weight_files.imagenet import load_imagenet
from weight_files.model_info import INFO_FILE, ModelInfo
from weight_files.names import torch_name
from weight_files.torch_files import write_torch

CONTENT = bytes(range(256)) * 5000
NEWER = '"newer"'  # name of another state of the file
CHECKSUM = Checksum("md5", hashlib.md5(CONTENT).hexdigest())


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT, as the server's ``behaviour`` says; notes the ranges that were asked for."""

    def do_GET(self):
        behaviour, ranges = self.server.behaviour, self.server.ranges
        asked = self.headers.get("Range")
        ranges.append(asked)
        same = self.headers.get("If-Range", self.server.tag) == self.server.tag
        start = int(asked[len("bytes=") : -1]) if asked and same and behaviour != "no ranges" else 0
        content = CONTENT if self.server.tag != NEWER else CONTENT[::-1]
        if behaviour == "corrupted":
            content = b"x" + content[1:]
        if behaviour == "missing":
            self.send_error(404)
            return
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if self.server.tag:
            self.send_header("ETag", self.server.tag)
        self.end_headers()
        body = content[start:]
        breaks = behaviour == "always breaks" or (
            behaviour in ("breaks once", "changes") and len(ranges) == 1
        )
        if behaviour == "changes":
            self.server.tag = NEWER
        self.wfile.write(body[: len(body) // 2] if breaks or behaviour == "truncated" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.01)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.behaviour, server.ranges, server.tag = "good", [], None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}/file.zip"
    yield server
    server.shutdown()
    server.server_close()


def refusal(call, *args):
    with pytest.raises(InputError) as error:
        call(*args)
    return str(error.value)


def test_a_file_is_fetched_once(server, tmp_path):
    target = tmp_path / "cache" / "file.zip"
    for _ in range(2):
        fetch(server.url, target, CHECKSUM)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None]
    assert list(target.parent.iterdir()) == [target]


def test_a_broken_connection_is_gone_on_with(server, tmp_path):
    server.behaviour = "breaks once"
    fetch(server.url, tmp_path / "file.zip", CHECKSUM)
    assert (tmp_path / "file.zip").read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-"]


def test_what_has_come_is_kept_for_the_next_try(server, tmp_path):
    target = tmp_path / "file.zip"
    server.behaviour = "always breaks"
    message = refusal(fetch, server.url, target, CHECKSUM)
    assert server.url in message
    assert f"put it at {target}" in message
    assert not target.exists()
    part = tmp_path / "file.zip.part"
    done = part.stat().st_size
    assert CONTENT.startswith(part.read_bytes())
    assert 0 < done < len(CONTENT)
    server.behaviour = "good"
    fetch(server.url, target, CHECKSUM)
    assert server.ranges[-1] == f"bytes={done}-"
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_all_again(server, tmp_path):
    (tmp_path / "file.zip.part").write_bytes(CONTENT[:1000])
    server.behaviour = "no ranges"
    fetch(server.url, tmp_path / "file.zip", CHECKSUM)
    assert (tmp_path / "file.zip").read_bytes() == CONTENT


def test_a_part_that_is_complete_needs_no_more(server, tmp_path):
    (tmp_path / "file.zip.part").write_bytes(CONTENT)
    fetch(server.url, tmp_path / "file.zip", CHECKSUM)
    assert (tmp_path / "file.zip").read_bytes() == CONTENT


def test_a_file_that_changes_meanwhile_is_fetched_from_its_start(server, tmp_path):
    server.behaviour, server.tag = "changes", '"older"'
    fetch(server.url, tmp_path / "file.zip", None)
    assert (tmp_path / "file.zip").read_bytes() == CONTENT[::-1]
    assert server.ranges == [None, f"bytes={len(CONTENT) // 2}-"]


def test_an_earlier_part_that_nothing_can_tell_to_be_of_this_file_is_not_gone_on_with(
    server, tmp_path
):
    (tmp_path / "file.zip.part").write_bytes(b"x" * 1000)
    fetch(server.url, tmp_path / "file.zip", None)
    assert (tmp_path / "file.zip").read_bytes() == CONTENT


def test_corrupted_content_is_refused_and_removed(server, tmp_path):
    server.behaviour = "corrupted"
    message = refusal(fetch, server.url, tmp_path / "file.zip", CHECKSUM)
    assert "its md5 does not start with" in message
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_part_is_removed_so_that_the_next_try_starts_anew(server, tmp_path):
    (tmp_path / "file.zip.part").write_bytes(b"x" * 1000)
    refusal(fetch, server.url, tmp_path / "file.zip", CHECKSUM)
    fetch(server.url, tmp_path / "file.zip", CHECKSUM)
    assert (tmp_path / "file.zip").read_bytes() == CONTENT


def test_a_missing_file_and_a_missing_network_say_what_to_do(server, tmp_path):
    target = tmp_path / "file.zip"
    server.behaviour = "missing"
    assert f"put it at {target}" in refusal(fetch, server.url, target, CHECKSUM)
    assert len(server.ranges) == 1  # not asked again
    nowhere = "http://127.0.0.1:1/file.zip"
    message = refusal(fetch, nowhere, target, CHECKSUM)
    assert nowhere in message
    assert f"put it at {target}" in message


def test_a_file_that_was_put_there_is_checked(server, tmp_path):
    (tmp_path / "file.zip").write_bytes(b"not it")
    assert "remove it" in refusal(fetch, server.url, tmp_path / "file.zip", CHECKSUM)
    assert (tmp_path / "file.zip").read_bytes() == b"not it"
    assert server.ranges == []


@pytest.fixture
def zipped(tmp_path):
    def make(*entries, method=zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
            for name, content in entries:
                archive.writestr(name, content)
        (tmp_path / "out").mkdir()
        return tmp_path / "a.zip", tmp_path / "out"

    return make


NAMES = ("encoder.pth", "depth.pth")


def test_the_files_asked_for_are_unpacked_without_folders(zipped):
    archive, out = zipped(("m/encoder.pth", b"e"), ("m/depth.pth", b"d"), ("m/readme.txt", b"r"))
    unpack(archive, out, NAMES)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        "encoder.pth": b"e",
        "depth.pth": b"d",
    }


@pytest.mark.parametrize(
    "name",
    ["../encoder.pth", "a/../../encoder.pth", "/etc/encoder.pth", "C:\\encoder.pth", "..\\x"],
)
def test_paths_outside_of_the_folder_are_refused(name, zipped):
    archive, out = zipped(("m/depth.pth", b"d"), (name, b"e"))
    assert "outside of its folder" in refusal(unpack, archive, out, NAMES)
    assert list(out.iterdir()) == []
    assert not (out.parent / "encoder.pth").exists()


def test_a_link_is_no_way_out(zipped, tmp_path):
    link = zipfile.ZipInfo("m/encoder.pth")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    archive, out = zipped((link, str(tmp_path / "secret")))
    unpack(archive, out, NAMES)
    assert not (out / "encoder.pth").is_symlink()


def test_one_name_twice_is_refused(zipped):
    archive, out = zipped(("a/encoder.pth", b"1"), ("b/encoder.pth", b"2"))
    assert "twice" in refusal(unpack, archive, out, NAMES)


def test_an_archive_that_is_too_large_is_refused_before_it_is_unpacked(zipped, monkeypatch):
    monkeypatch.setattr(download, "LARGEST", 10**6)
    archive, out = zipped(("m/encoder.pth", bytes(2 * 10**6)))
    assert "would unpack to more than" in refusal(unpack, archive, out, NAMES)
    assert list(out.iterdir()) == []


def test_an_archive_that_states_less_than_it_unpacks_to_is_refused(zipped):
    size = 5 * 10**6
    archive, out = zipped(("m/encoder.pth", bytes(size)))
    content = archive.read_bytes()
    assert content.count(size.to_bytes(4, "little")) == 2  # before the file, and in the directory
    archive.write_bytes(content.replace(size.to_bytes(4, "little"), (100).to_bytes(4, "little")))
    assert "damaged" in refusal(unpack, archive, out, NAMES)
    assert all(path.stat().st_size <= 100 for path in out.iterdir())


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"hello")
    assert "no zip archive" in refusal(unpack, tmp_path / "a.zip", tmp_path, NAMES)


NAME = "mono+stereo_640x192"
INFO = ModelInfo(Architecture(source_ids=(-1, 1, STEREO)), height=64, width=96)


@pytest.fixture(scope="module", autouse=True)
def _blank():
    with blank_networks():
        yield


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("MONODEPTH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MONODEPTH_MIRROR", "http://127.0.0.1:1/")
    return tmp_path / "home"


def test_the_cache_may_be_named_from_home(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("MONODEPTH_HOME", "~/my models")
    assert cache_folder() == tmp_path / "my models"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The archive of a model in the published layout."""
    folder = tmp_path_factory.mktemp("published")
    rng, model = np.random.default_rng(0), Monodepth(INFO.architecture)
    for value in model.state_dict().values():
        value.set_value(rng.random(value.shape, np.float32))
    (folder / "own").mkdir()
    save_weights(folder / "own", model, INFO)
    convert_folder(folder / "own", folder / NAME, "torch", {})
    path = folder / f"{NAME}.zip"
    with zipfile.ZipFile(path, "w") as content:
        for file in (folder / NAME).glob("*.pth"):
            content.write(file, f"{NAME}/{file.name}")
    return path


@pytest.fixture
def known(archive, monkeypatch):
    """Takes that archive for the published one."""
    monkeypatch.setitem(download.MODELS, NAME, hashlib.md5(archive.read_bytes()).hexdigest())
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


def test_a_named_model_is_fetched_converted_and_then_there_without_network(
    mirror, archive, tmp_path
):
    folder = named_model(NAME)
    mirror.shutdown()
    assert named_model(NAME) == folder
    assert folder == cache_folder() / "models" / NAME
    opened = open_model(folder)
    model, info = opened.network(), opened.info
    assert (info.height, info.width, info.metric, info.name) == (64, 96, True, NAME)
    expected = open_model(archive.parent / "own").network()
    for name, value in expected.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name].numpy(), value.numpy())
    # The demo takes it by its name, too.
    Image.new("RGB", (96, 64)).save(tmp_path / "a.jpg")
    words = ["--image_path", str(tmp_path / "a.jpg"), "--model_name", NAME, "--engine", "paddle"]
    demo.main(words)
    assert (tmp_path / "a_disp.npy").is_file()
    assert find_model(None, NAME) == folder
    assert find_model(tmp_path, NAME) == tmp_path


def test_two_that_want_a_model_at_once_make_it_once(home, monkeypatch):
    made = []

    def make(name, folder):
        made.append(name)
        time.sleep(0.05)
        folder.mkdir(parents=True)
        (folder / INFO_FILE).touch()

    monkeypatch.setattr(download, "_make_model", make)
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(named_model, [NAME, NAME])
    assert first == second
    assert made == [NAME]


def test_without_network_it_says_which_file_to_put_where(known, home, monkeypatch):
    with pytest.raises(InputError) as error:
        named_model(NAME)
    target = home / "downloads" / f"{NAME}.zip"
    assert f"put it at {target}" in str(error.value)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(known.read_bytes())
    converted, place = [], "weight_files.conversion.convert_folder"
    monkeypatch.setattr(place, lambda *words: converted.append(words))
    folder = named_model(NAME)
    assert [words[1] for words in converted] == [folder]


def test_an_archive_without_a_model_leaves_nothing(home, tmp_path, monkeypatch):
    target = home / "downloads" / f"{NAME}.zip"
    target.parent.mkdir(parents=True)
    with zipfile.ZipFile(target, "w") as content:
        content.writestr("encoder.pth", b"")
    monkeypatch.setitem(download.MODELS, NAME, hashlib.md5(target.read_bytes()).hexdigest())
    with pytest.raises(InputError, match=r"encoder\.pth|not a weights folder"):
        named_model(NAME)
    assert list((home / "models").iterdir()) == []


def test_an_unknown_name_lists_the_known_ones(home):
    with pytest.raises(InputError, match=r"mono_640x192.*stereo_1024x320"):
        named_model("mono")


def test_the_names_of_the_urls_are_quoted(monkeypatch):
    monkeypatch.delenv("MONODEPTH_MIRROR", raising=False)
    url = download._url(download.MODELS_URL, f"{NAME}.zip")
    assert url.endswith("/monodepth2/mono%2Bstereo_640x192.zip")


def resnet_arrays(num_layers=18):
    rng, state = np.random.default_rng(0), ResnetEncoder(num_layers).resnet.state_dict()
    arrays = {torch_name(n): rng.normal(0, 0.02, v.shape).astype("f4") for n, v in state.items()}
    arrays.update({n: 1 + a for n, a in arrays.items() if n.endswith("running_var")})
    return {**arrays, "fc.weight": np.ones((1000, 512), np.float32), "fc.bias": np.ones(1000)}


def test_both_encoders_start_from_imagenet(tmp_path):
    arrays = resnet_arrays()
    write_torch(tmp_path / "resnet18-pytorch.pth", arrays)
    options = SelfSupervisedOptions(
        weights_init=str(tmp_path / "resnet18-pytorch"), height=64, width=64
    )
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
        imagenet_file("resnet18")
    path = home / "downloads" / "resnet18-5c106cde.pth"
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="sha256 does not start with 5c106cde"):
        imagenet_file("resnet18")
    content = b"a file"
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setitem(download.IMAGENET, "resnet18", (name,))
    (home / "downloads" / name).write_bytes(content)
    assert imagenet_file("resnet18") == home / "downloads" / name
    with pytest.raises(InputError, match=r"known for resnet18, resnet34, .*, convnext_tiny"):
        imagenet_file("resnet200")


def start(line, **values):
    """The model that training starts from."""
    return initial_model(parse(TrainOptions, f"--height 64 --width 64 {line}".split()))


def test_without_a_network_training_names_both_remedies(home):
    with pytest.raises(InputError) as caught:
        start("--num_layers 18")
    assert str(home / "downloads" / "resnet18-f37072fd.pth") in str(caught.value)
    assert "--weights_init scratch" in str(caught.value)
    start("--weights_init scratch")


def test_imagenet_is_looked_for_only_where_an_encoder_is_not_loaded(home, tmp_path):
    model = Monodepth(Architecture())
    save_weights(tmp_path, model, ModelInfo(Architecture(), 64, 64))
    start(f"--load_weights_folder {tmp_path}")
    start("--resume")
    stereo = "--frame_ids 0 --use_stereo"
    start(f"{stereo} --load_weights_folder {tmp_path} --models_to_load encoder depth")
    with pytest.raises(InputError, match="resnet18-f37072fd"):  # for the pose encoder
        start(f"--load_weights_folder {tmp_path} --models_to_load encoder depth")
