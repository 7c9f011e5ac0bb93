"""Files of weights of every format: the same arrays come out, and nothing else happens."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import paddle
import pytest
from safetensors.numpy import save_file

from system.errors import InputError
from tests.damage import damaged
from weight_files.reading import read_weights
from weight_files.torch_files import ARCHIVE, LEGACY_MAGIC, LEGACY_VERSION, write_torch

VALUES = {
    "encoder.conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) / 7,
    "encoder.bn1.running_mean": np.array([0.5, -1.0], np.float32),
    "encoder.bn1.num_batches_tracked": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
}
NUMBERS = {"height": 192, "use_stereo": True}


def write_legacy(path: Path, values: dict) -> None:
    """PyTorch's format of before 1.6, put together from the zip's pickle and storages."""
    whole = io.BytesIO()
    write_torch(whole, values)
    with zipfile.ZipFile(whole) as archive:
        content = archive.read(f"{ARCHIVE}/data.pkl")
        keys = [n.rsplit("/", 1)[1] for n in archive.namelist() if "/data/" in n]
        storages = [archive.read(f"{ARCHIVE}/data/{key}") for key in keys]
    arrays = [value for value in values.values() if isinstance(value, np.ndarray)]
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    with path.open("wb") as file:
        for head in (LEGACY_MAGIC, LEGACY_VERSION, system):
            pickle.dump(head, file, protocol=2)
        file.write(content)
        pickle.dump(keys, file, protocol=2)
        for array, storage in zip(arrays, storages):
            file.write(array.size.to_bytes(8, "little") + storage)


def write_paddle(path: Path, values: dict) -> None:
    tensors = {
        k: paddle.to_tensor(v) if isinstance(v, np.ndarray) else v for k, v in values.items()
    }
    paddle.save(tensors, str(path))


WRITERS = {"zip": write_torch, "legacy": write_legacy, "paddle": write_paddle}


def write(kind: str, path: Path) -> Path:
    if kind == "safetensors":
        save_file({**VALUES, **{k: np.asarray(v) for k, v in NUMBERS.items()}}, path)
    else:
        WRITERS[kind](path, {**VALUES, **NUMBERS})
    return path


KINDS = [*WRITERS, "safetensors"]


def same(got: dict, expected: dict) -> bool:
    return got.keys() == expected.keys() and all(
        np.shape(got[k]) == np.shape(v) and np.array_equal(got[k], v) for k, v in expected.items()
    )


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as error:
        read_weights(path)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".pth", ".pdparams"])
def test_every_format_is_known_by_its_content(kind, suffix, tmp_path):
    got = read_weights(write(kind, tmp_path / f"w{suffix}"))
    assert same(got, {**VALUES, **NUMBERS})
    assert got["encoder.conv1.weight"].dtype == np.float32


@pytest.mark.parametrize("name", ["tiny_zip.pth", "tiny_legacy.pth"])
def test_files_that_pytorch_wrote(name, shared):
    with np.load(shared / "torch_files" / "tiny_expected.npz") as expected:
        assert same(read_weights(shared / "torch_files" / name), dict(expected))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_pickled_arrays_of_either_numpy(protocol, module, tmp_path):
    arrays = {"a": np.arange(6, dtype=">f4").reshape(2, 3), "b": np.asfortranarray(np.eye(3))}
    content = pickle.dumps(arrays, protocol)
    for own in (b"numpy._core.multiarray", b"numpy.core.multiarray"):
        if protocol == 2:
            content = content.replace(own, module.encode())
    path = tmp_path / "w.pdparams"
    path.write_bytes(content)
    assert same(read_weights(path), arrays)


def test_hdf5_by_the_path_of_its_datasets(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the package h5py is an extra")
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        file["conv1.weight"] = VALUES["encoder.conv1.weight"]
        file["bn1/running_mean"] = VALUES["encoder.bn1.running_mean"]
    expected = {
        "conv1.weight": VALUES["encoder.conv1.weight"],
        "bn1.running_mean": VALUES["encoder.bn1.running_mean"],
    }
    assert same(read_weights(path), expected)
    with h5py.File(path, "a") as file:
        file["far"] = h5py.ExternalLink("other.h5", "/secret")
        file.create_dataset("outside", (2,), "f4", external=[(str(tmp_path / "x"), 0, 8)])
    assert "outside" in refusal(path)
    path.write_bytes(path.read_bytes()[:200])
    assert "damaged" in refusal(path)


def test_a_torch_file_without_its_end_is_said_to_be_damaged(tmp_path):
    path = tmp_path / "w.pth"
    write_torch(path, {"conv1.weight": np.zeros((9, 9), np.float32)})
    path.write_bytes(path.read_bytes()[:-30])
    assert "w.pth: damaged, its end is missing" in refusal(path)


class Calls:
    """Pickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Plain:
    """Pickles by its class and attributes, as most objects do."""


def attacks(trace: Path) -> dict[str, object]:
    """Objects whose unpickling leaves ``trace`` behind, or runs what weights do not need."""
    plain = Plain()
    plain.attribute = 1
    return {
        "system": Calls(os.system, f"touch {trace}"),
        "eval": Calls(eval, f"open({str(trace)!r}, 'w')"),
        "numpy": Calls(np.save, str(trace), [1]),
        "load": Calls(np.load, str(trace)),
        "getattr": Calls(getattr, "x", "upper"),
        "object": plain,
        "array of objects": np.array([Calls(os.system, f"touch {trace}")], dtype=object),
    }


@pytest.mark.parametrize("kind", ["zip", "legacy", "bare"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("attack", attacks(Path()))
def test_a_pickle_that_asks_for_more_is_refused_and_leaves_no_trace(
    attack, protocol, kind, tmp_path
):
    trace = tmp_path / "trace.npy"
    content = pickle.dumps(OrderedDict(weight=attacks(trace)[attack]), protocol)
    path = tmp_path / "w.pth"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", content)
    else:
        heads = (LEGACY_MAGIC, LEGACY_VERSION, {"little_endian": True}) if kind == "legacy" else ()
        path.write_bytes(b"".join(pickle.dumps(head, 2) for head in heads) + content)
    message = refusal(path)
    assert not trace.exists()
    if protocol > 0 or kind != "bare":  # a bare pickle of protocol 0 does not even look like one
        assert "refused, its pickle" in message
    names = {"system": "system", "eval": "eval", "object": "Plain"}
    if protocol > 0 and attack in names:
        assert names[attack] in message


def state_setting(target: bytes, state: object) -> bytes:
    """A pickle that gives the object that ``target`` leaves on the stack a state of its own."""
    content = pickle.dumps(state, 2)[2:-1]
    return pickle.PROTO + b"\x02" + target + content + pickle.BUILD + pickle.STOP


@pytest.mark.parametrize(
    "target",
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ctorch\nFloatStorage\n",
        b"cnumpy\ndtype\n",
        b"ccollections\nOrderedDict\n",
    ],
)
@pytest.mark.parametrize("state", [{"dtype": "O"}, (None, {"__call__": 1, "_function": 1})])
def test_a_pickle_cannot_change_what_the_next_one_gets(target, state, tmp_path):
    path = tmp_path / "w.pdparams"
    path.write_bytes(state_setting(target, state))
    refusal(path)
    assert same(read_weights(write("zip", tmp_path / "good.pth")), {**VALUES, **NUMBERS})


def test_a_tensor_outside_of_its_storage_is_refused(tmp_path):
    path = write("zip", tmp_path / "w.pth")
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    # The first tensor's shape starts with 2: BININT 2.
    pickled = entries[f"{ARCHIVE}/data.pkl"]
    place = pickled.index(pickle.BININT + (2).to_bytes(4, "little"))
    for size in (3, 2**30):
        changed = pickled[: place + 1] + size.to_bytes(4, "little") + pickled[place + 5 :]
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {**entries, f"{ARCHIVE}/data.pkl": changed}.items():
                archive.writestr(name, content)
        assert "does not fit" in refusal(path)


def test_a_compressed_zip_is_refused(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(10**7))
    assert "compressed" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"])
def test_what_is_no_file_of_weights_is_refused(content, tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    refusal(path)


def test_a_pickle_of_something_else_is_refused(tmp_path):
    path = tmp_path / "w.pdparams"
    for value in ([1, 2], 3, {"a": "text"}, {1: 2}, {"a": [np.ones(2)]}):
        path.write_bytes(pickle.dumps(value, 4))
        refusal(path)
    assert refusal(tmp_path / "gone.pth").endswith("no such file of weights")


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_gives_a_clear_error_or_is_in_the_numbers_alone(kind, tmp_path):
    """Formats without checksums cannot tell of a changed number; all else has to be told."""
    path = write(kind, tmp_path / "w.pth")
    whole = path.read_bytes()
    expected = read_weights(path)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        path.write_bytes(damaged(whole, rng))
        try:
            got = read_weights(path)
        except InputError as error:
            assert str(path) in str(error)
            refused += 1
            continue
        shapes = sorted(np.shape(value) for value in expected.values())
        assert sorted(np.shape(value) for value in got.values()) == shapes
        if kind == "zip":  # has checksums
            assert same(got, expected)
    assert refused >= 40


def test_written_files_are_plain_state_dicts(tmp_path):
    path = write("zip", tmp_path / "w.pth")
    with zipfile.ZipFile(path) as archive:
        assert archive.read(f"{ARCHIVE}/version") == b"3\n"
        operations = pickletools.genops(archive.read(f"{ARCHIVE}/data.pkl"))
        names = {argument for op, argument, _ in operations if op.name == "GLOBAL"}
    assert names == {
        "collections OrderedDict",
        "torch LongStorage",
        "torch FloatStorage",
        "torch._utils _rebuild_tensor_v2",
    }


def test_a_header_whose_length_begins_like_a_pickle_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    arrays = {"x": np.arange(3, dtype=np.float32)}
    for padding in range(0, 512, 8):
        save_file(arrays, path, {"note": "-" * padding})
        if path.read_bytes()[:1] == b"\x80":
            break
    assert path.read_bytes()[:1] == b"\x80"
    np.testing.assert_array_equal(read_weights(path)["x"], arrays["x"])


@pytest.mark.parametrize("kind", WRITERS)
def test_names_lose_what_data_parallel_puts_before_them(kind, tmp_path):
    """From all parameters, or from none: a layer may be called module."""
    path, wrapped = tmp_path / "weights", {f"module.{name}": v for name, v in VALUES.items()}
    WRITERS[kind](path, {**wrapped, **NUMBERS})
    assert list(read_weights(path)) == [*VALUES, *NUMBERS]
    WRITERS[kind](path, {**wrapped, "other": VALUES["empty"]})
    assert list(read_weights(path)) == [*wrapped, "other"]
