"""PyTorch's files of weights, without PyTorch: both formats read, the newer one written.

By hand, as nothing but PyTorch itself reads them, which nobody should need for a file of numbers.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

import numpy as np

from system.errors import InputError
from weight_files.pickled_names import STORAGE_DTYPES, Storage, TensorView
from weight_files.restricted_pickle import load_pickle

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001
# The arrays of a file may have so many bytes to each of its own, and so many in any case: tensors
# share numbers, half precision doubles, other formats are compressed.
UNPACKED, ANY_SIZE = 16, 1 << 20
ARCHIVE = "archive"  # the folder of all entries in files written here
STORAGE_NAMES = {dtype[-2:]: name for name, dtype in STORAGE_DTYPES.items()}


def read_zip(file: io.BytesIO, path: Path) -> Any:
    """What ``torch.save`` wrote to a file, a zip, with NumPy arrays for tensors.

    bfloat16 comes as float32, which holds the same numbers.

    Args:
        file: its content.
        path: to name in errors.

    Raises:
        InputError: the file is damaged, of another program, or asks to run code.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = {info.filename: info for info in archive.infolist()}
            names = [name for name in entries if name.split("/", 1)[-1] == "data.pkl"]
            if len(names) != 1:
                raise InputError(f"{path}: a zip, but not one that PyTorch wrote (no data.pkl)")
            folder = names[0][: -len("data.pkl")]
            size = file.getbuffer().nbytes
            if sum(info.file_size for info in entries.values()) > size:
                raise InputError(f"{path}: damaged, its parts are larger than the whole")
            if any(info.compress_type != zipfile.ZIP_STORED for info in entries.values()):
                raise InputError(f"{path}: a zip, but not one that PyTorch wrote (compressed)")
            order = entries.get(f"{folder}byteorder")
            if order is not None and archive.read(order).strip() != b"little":
                raise InputError(f"{path}: holds big-endian numbers; save it on another machine")
            value = load_pickle(io.BytesIO(archive.read(names[0])), str(path))
            most = most_unpacked(size)
            return _with_arrays(value, lambda key: archive.read(f"{folder}data/{key}"), path, most)
    except InputError:
        raise
    except (zipfile.BadZipFile, KeyError, OSError, ValueError, RuntimeError, EOFError) as error:
        raise InputError(f"{path}: damaged, not a whole PyTorch file ({error})") from error


def read_legacy(file: io.BytesIO, path: Path) -> Any:
    """As :func:`read_zip`, of the format before PyTorch 1.6.

    Four pickles (magic number, version, system, content), the keys, then the storages.
    """
    magic, version, system = (load_pickle(file, str(path)) for _ in range(3))
    if magic != LEGACY_MAGIC or version != LEGACY_VERSION or not isinstance(system, dict):
        raise InputError(f"{path}: a pickle, but not one that PyTorch wrote")
    if system.get("little_endian") is not True:
        raise InputError(f"{path}: holds big-endian numbers; save it on another machine")
    value = load_pickle(file, str(path))
    keys = load_pickle(file, str(path))
    item_sizes = {s.key: _item_size(s) for s in _storages(value)}
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise InputError(f"{path}: damaged, its list of storages is none")
    rest = file.getbuffer()[file.tell() :]
    content = {}
    for key in keys:
        size = struct.unpack_from("<q", rest)[0] * item_sizes.get(key, 0) if len(rest) >= 8 else -1
        if key not in item_sizes or not 0 <= size <= len(rest) - 8:
            raise InputError(f"{path}: damaged, it ends before or within storage {key[:20]!r}")
        content[key], rest = rest[8 : 8 + size], rest[8 + size :]
    if rest:
        raise InputError(f"{path}: damaged, more follows after its last storage")
    return _with_arrays(value, content.__getitem__, path, most_unpacked(file.getbuffer().nbytes))


def _storages(value: Any) -> list[Storage]:
    """The storages of all tensors in ``value``, which may hold one thing at very many places."""
    found, waiting, seen = [], [value], set()
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, TensorView):
            found.append(item.storage)
        elif isinstance(item, Mapping):
            waiting.extend(item.values())
        elif isinstance(item, (list, tuple)):
            waiting.extend(item)
    return found


def _item_size(storage: Storage) -> int:
    return 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize


def most_unpacked(size: int) -> int:
    """Bytes that the arrays of a file of ``size`` bytes may have together."""
    return UNPACKED * size + ANY_SIZE


def _with_arrays(value: Any, read: Callable[[str], bytes], path: Path, most: int) -> Any:
    """``value`` with each tensor's numbers in its place.

    Args:
        value: what the pickle held, where one thing may be at very many places.
        read: gives the bytes of a storage.
        path: to name in errors.
        most: bytes of all tensors: several may be views of the same numbers.
    """
    arrays: dict[str, np.ndarray] = {}
    done: dict[int, Any] = {}
    left = most

    def resolve(item: Any) -> Any:
        if id(item) not in done:
            done[id(item)] = resolved(item)
        return done[id(item)]

    def resolved(item: Any) -> Any:
        nonlocal left
        if isinstance(item, TensorView):
            key = item.storage.key
            if key not in arrays:
                arrays[key] = _numbers(item.storage, read(key))
            view = _view(arrays[key], item)
            left -= view.nbytes
            if left < 0:
                raise ValueError("the tensors are views of the same numbers over and over")
            return view.copy()
        if isinstance(item, dict):
            return {key: resolve(content) for key, content in item.items()}
        if isinstance(item, (list, tuple)):
            return type(item)([resolve(content) for content in item])
        return item

    try:
        return resolve(value)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError, MemoryError) as error:
        raise InputError(f"{path}: damaged, a tensor cannot be read ({error})") from error


def _numbers(storage: Storage, content: bytes) -> np.ndarray:
    if storage.dtype != "bfloat16":
        return np.frombuffer(content, storage.dtype)
    return (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")


def _view(numbers: np.ndarray, tensor: TensorView) -> np.ndarray:
    """The part of a storage that a tensor is, not copied; never a number from outside of it."""
    shape, stride = tensor.shape, tensor.stride
    if len(shape) != len(stride):
        raise ValueError(f"shape {shape} has strides {stride}")
    count = math.prod(shape)
    start = tensor.storage.offset + tensor.offset
    last = start + sum((size - 1) * step for size, step in zip(shape, stride)) if count else start
    if last >= max(len(numbers), 1) or count > len(numbers):
        raise ValueError(f"shape {shape} does not fit into {len(numbers)} numbers")
    if count == 0:
        return np.empty(shape, numbers.dtype)
    steps = [step * numbers.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(numbers[start:], shape, steps)


def write_torch(path: Path, values: Mapping[str, Any]) -> None:
    """Write arrays, numbers and booleans as a state dict that ``torch.load`` reads.

    In the zip format of PyTorch 1.6 and later; ``torch.load(..., weights_only=True)`` takes it.
    """
    arrays = {k: np.asarray(v, order="C") for k, v in values.items() if isinstance(v, np.ndarray)}
    keys = {name: str(index) for index, name in enumerate(arrays)}
    body = b"".join(
        _text(name) + (_tensor(arrays[name], keys[name]) if name in arrays else _plain(value))
        for name, value in values.items()
    )
    content = pickle.PROTO + b"\x02" + _ordered_dict() + b"(" + body + pickle.SETITEMS + pickle.STOP
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{ARCHIVE}/data.pkl", content)
        archive.writestr(f"{ARCHIVE}/byteorder", "little")
        for name, array in arrays.items():
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            archive.writestr(f"{ARCHIVE}/data/{keys[name]}", little.tobytes())
        archive.writestr(f"{ARCHIVE}/version", "3\n")


def _global(module: str, name: str) -> bytes:
    return pickle.GLOBAL + f"{module}\n{name}\n".encode()


def _ordered_dict() -> bytes:
    return _global("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE


def _text(text: str) -> bytes:
    encoded = text.encode()
    return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded


def _plain(value: Any) -> bytes:
    if isinstance(value, bool):
        return pickle.NEWTRUE if value else pickle.NEWFALSE
    if isinstance(value, int):
        return pickle.BININT + struct.pack("<i", value)
    if isinstance(value, float):
        return pickle.BINFLOAT + struct.pack(">d", value)
    raise TypeError(f"a state dict cannot hold a {type(value).__name__}")


def _numbers_tuple(values: tuple[int, ...]) -> bytes:
    return pickle.MARK + b"".join(map(_plain, values)) + pickle.TUPLE


def _tensor(array: np.ndarray, key: str) -> bytes:
    """The call of ``torch._utils._rebuild_tensor_v2`` that makes the tensor."""
    storage = _global("torch", STORAGE_NAMES[array.dtype.str[1:]])
    place = _text("storage") + storage + _text(key) + _text("cpu") + _plain(array.size)
    stride = tuple(step // array.itemsize for step in array.strides)
    return b"".join(
        [
            _global("torch._utils", "_rebuild_tensor_v2"),
            pickle.MARK,
            pickle.MARK + place + pickle.TUPLE + pickle.BINPERSID,
            _plain(0),  # offset
            _numbers_tuple(array.shape),
            _numbers_tuple(stride),
            pickle.NEWFALSE,  # requires no gradient
            _ordered_dict(),  # no hooks
            pickle.TUPLE + pickle.REDUCE,
        ]
    )
