"""Small files of weights that would take much memory or time: each ends at once, in a refusal."""

from __future__ import annotations

import io
import json
import pickle
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from system.errors import InputError
from weight_files.reading import MOST_BYTES, parse_weights, read_weights
from weight_files.restricted_pickle import MOST_STEPS
from weight_files.torch_files import LEGACY_MAGIC, LEGACY_VERSION

MOST_SECONDS = 8  # of processor time
MOST_MEMORY = 400 << 20  # bytes
PATH = Path("w.pth")
START, STOP = pickle.PROTO + b"\x02", pickle.STOP
ENCODE = b"c_codecs\nencode\n"
LATIN = b"X\x06\x00\x00\x00latin1"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


def text(value: str) -> bytes:
    content = value.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(content)) + content


def nested(levels: int, last: bytes = b"]") -> bytes:
    """A tuple of a tuple twice, and so on: 2 ** levels things in a few bytes."""
    return last + (pickle.DUP + pickle.TUPLE2) * levels


def storage(key: str, count: int) -> bytes:
    words = text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu")
    return b"(" + words + b"J" + struct.pack("<i", count) + b"t" + pickle.BINPERSID


def tensor(place: bytes, count: int) -> bytes:
    """A tensor of one dimension, of a storage that has been made."""
    number = b"J" + struct.pack("<i", count)
    return TENSOR + b"(" + place + b"K\x00" + number + b"\x85" + b"K\x01\x85\x89}tR"


def in_dict(*items: bytes) -> bytes:
    """A pickle of a dictionary with these values."""
    named = b"".join(text(f"weight{number}") + item for number, item in enumerate(items))
    return START + b"}(" + named + b"u" + STOP


def as_zip(content: bytes, storages: dict[str, bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        for key, numbers in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", numbers)
    return buffer.getvalue()


def as_legacy(content: bytes) -> bytes:
    heads = (LEGACY_MAGIC, LEGACY_VERSION, {"little_endian": True})
    return b"".join(pickle.dumps(head, 2) for head in heads) + content + pickle.dumps([], 2)


def shared_views(count: int, numbers: int = 1 << 18) -> bytes:
    """Tensors of the one storage of a file, all of it each."""
    first = storage("0", numbers) + b"q\x01"
    tensors = [tensor(first, numbers), *[tensor(b"h\x01", numbers)] * count]
    return as_zip(in_dict(*tensors), {"0": bytes(4 * numbers)})


def encoded_over_and_over(count: int) -> bytes:
    """An array for each of many results of one call, which is given the same long text."""
    call = ENCODE + b"h\x02" + LATIN + b"\x86R"
    kept = text("a" * (1 << 20)) + b"q\x020"
    return START + kept + in_dict(*[call] * count)[2:]


COLLIDING = 2**61 - 1
SMALL = {
    "nested tuples": START + nested(60) + STOP,
    "nested tuples as a weight": in_dict(nested(60)),
    "nested tuples as a key": START + b"}" + nested(60, b"K\x01") + b"K\x01s" + STOP,
    "nested tuples as keys": START + b"}(" + nested(60, b"K\x01") + b"K\x01u" + STOP,
    "nested tuples in a dict": START + b"(" + nested(60, b"K\x01") + b"K\x01d" + STOP,
    "nested tuples in a set": START + b"\x8f(" + nested(60, b"K\x01") + b"\x90" + STOP,
    "nested tuples of an ordered dict": START
    + b"ccollections\nOrderedDict\n]("
    + nested(60, b"K\x01")
    + b"K\x01\x86e\x85R"
    + STOP,
    "nested tuples as a storage": in_dict(nested(60) + pickle.BINPERSID),
    "nested tuples as a kind": in_dict(b"(" + nested(60) + b"NNNNt" + pickle.BINPERSID),
    "nested tuples as a dtype": in_dict(b"cnumpy\ndtype\n" + nested(60) + b"\x85R"),
    "nested tuples as an encoding": in_dict(ENCODE + text("a") + nested(60) + b"\x86R"),
    "nested tuples as a shape": in_dict(
        TENSOR + b"(" + storage("0", 1) + b"K\x00" + nested(60) + b"K\x01\x85\x89}tR"
    ),
    "a digit number": START + b"I" + b"7" * (1 << 20) + b"\n" + STOP,
    "a long number": in_dict(b"L" + b"7" * (1 << 20) + b"L\n"),
    "a number of bytes": in_dict(b"\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20)),
    "kept under a long number": START + b"}p" + b"7" * (1 << 20) + b"\n" + STOP,
    "colliding numbers": START
    + b"}("
    + b"".join(b"\x8a\x0d" + (n * COLLIDING).to_bytes(13, "little") + b"N" for n in range(30000))
    + b"u"
    + STOP,
    "colliding places": START
    + b"}"
    + b"".join(b"p%d\n" % (n * COLLIDING) for n in range(30000))
    + STOP,
    "empty dictionaries": START + b"(" + b"}" * (8 << 20) + b"l" + STOP,
    "deeply nested": START + b"]" * 50_000 + b"a" * 49_999 + STOP,
    "tuples of a long list": START
    + b"]("
    + b"N" * 100_000
    + b"eq\x01"
    + in_dict(*[b"c__builtin__\ntuple\nh\x01\x85R"] * 2000)[2:],
    "a byte array": START + b"\x96" + struct.pack("<Q", 8 << 30) + STOP,
    "a long text": START + pickle.BINUNICODE8 + struct.pack("<Q", 8 << 30) + STOP,
    "encoded over and over": encoded_over_and_over(4000),
}


def refusal(content: bytes) -> str:
    """Why a file of weights is refused, within bounds of time and memory."""
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(InputError) as refused:
            parse_weights(content, PATH)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < MOST_SECONDS
    assert peak < MOST_MEMORY
    message = str(refused.value)
    assert message.startswith(f"{PATH}: ")
    assert len(message) < 1000
    return message


@pytest.mark.parametrize("form", ["bare", "zip", "legacy"])
@pytest.mark.parametrize("name", [name for name in SMALL if len(SMALL[name]) < 1000])
def test_a_nested_pickle_is_refused_at_once(name, form):
    refusal({"bare": bytes, "zip": as_zip, "legacy": as_legacy}[form](SMALL[name]))


@pytest.mark.parametrize("name", [name for name in SMALL if len(SMALL[name]) >= 1000])
def test_what_a_pickle_repeats_is_counted(name):
    refusal(SMALL[name])


def test_attributes_that_a_dictionary_is_given_are_passed_over():
    noted = b"}" + text("items") + b"K\x01s" + pickle.BUILD
    assert parse_weights(START + b"ccollections\nOrderedDict\n)R" + noted + STOP, PATH) == {}


def test_views_of_the_same_numbers_are_bounded():
    assert len(parse_weights(shared_views(3), PATH)) == 4
    assert "over and over" in refusal(shared_views(1000))


@pytest.mark.parametrize("count", [1, 40])
def test_arrays_of_the_same_bytes_are_bounded(count):
    array = np.zeros(1 << 18, np.float16)
    content = array.tobytes()

    class Same:
        """Pickles as an array whose bytes are pickled once."""

        def __reduce__(self):
            start, arguments, state = array.__reduce__()
            return start, arguments, (*state[:4], content)

    pickled = pickle.dumps({f"w{number}": Same() for number in range(count)}, 4)
    assert len(pickled) < 1.1 * len(content)
    if count == 1:
        assert parse_weights(pickled, PATH)["w0"].dtype == np.float32
    else:
        assert "larger than the file can hold" in refusal(pickled)


def test_entries_of_a_zip_that_lie_on_each_other_are_refused():
    content = as_zip(in_dict(tensor(storage("0", 1000), 1000)), {"0": bytes(4000)})
    start = content.index(b"PK\x01\x02")
    directory, end = content[start:-22], content[-22:]
    last = directory[directory.rindex(b"PK\x01\x02") :]
    more = b"".join(last[:-1] + bytes([49 + n]) for n in range(9))  # keys 1 to 9
    entries, size = struct.pack("<HH", 11, 11), struct.pack("<I", len(directory + more))
    changed = content[:start] + directory + more + end[:8] + entries + size + end[16:]
    assert "its parts are larger than the whole" in refusal(changed)


def test_hdf5_that_says_more_than_it_holds_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py", reason="the package h5py is an extra")
    for name, settings in {
        "filled when read": {"shape": (1 << 20, 2048), "chunks": (1024, 2048), "fillvalue": 1},
        "filled at once": {"shape": (1 << 20, 2048)},
        "in one large part": {"shape": (4,), "maxshape": (None,), "chunks": (1 << 28,)},
        "packed": {"data": np.zeros(1 << 24, np.float32), "compression": 9},
    }.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_dataset("weight", **{"dtype": "f4", **settings})
        assert "larger than the file can hold" in refusal((tmp_path / f"{name}.h5").read_bytes())


@pytest.mark.parametrize(
    "shape", [[2**63, 0], [2**62, 2**62], [0, 2**64 - 1], [10**30], [1] * 5000]
)
def test_impossible_shapes_of_safetensors_are_refused(shape):
    about = {"weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}
    header = json.dumps(about).encode()
    refusal(struct.pack("<Q", len(header)) + header)


def test_nested_headers_of_safetensors_are_refused():
    for header in (b'{"a":' * 100_000, b'{"__metadata__":' + b"[" * 100_000, b"{" + b" " * 10_000):
        refusal(struct.pack("<Q", len(header)) + header)


def test_a_file_is_refused_by_its_size_before_it_is_read(tmp_path):
    with (tmp_path / "w.safetensors").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(InputError, match=f"at most {MOST_BYTES} are read"):
        read_weights(tmp_path / "w.safetensors")


def test_what_the_largest_networks_take_is_far_from_the_bounds():
    arrays = {f"layer{number}.weight": np.zeros(2, np.float32) for number in range(1500)}
    for protocol in (2, 4):
        assert len(parse_weights(pickle.dumps(arrays, protocol), PATH)) == 1500
    assert MOST_STEPS > 2 * 60 * 1500
