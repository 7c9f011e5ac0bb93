"""One reader for every format of weights, chosen by what a file holds, not by its name."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from system.errors import InputError
from system.files import parse_json, read_bytes
from weight_files.names import unwrapped
from weight_files.pickled_names import PickledArray
from weight_files.restricted_pickle import load_pickle
from weight_files.torch_files import LEGACY_MAGIC, most_unpacked, read_legacy, read_zip

SUFFIXES = (".safetensors", ".pth", ".pt", ".pdparams", ".h5")
MOST_BYTES = 1400 << 20  # of a file, and of its arrays; the largest network has 1280
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
ZIP_START = b"PK\x03\x04"
# torch.save's older format starts with its magic number, pickled.
LEGACY_START = b"\x80\x02\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little")

Value = Union[np.ndarray, int, float, bool]


def read_weights(path: Path) -> dict[str, Value]:
    """The arrays and numbers of a file of weights, by name; half precision comes as float32.

    Raises:
        InputError: the file is missing, damaged, of no known format, or asks to run code.
    """
    try:
        content = read_bytes(path, MOST_BYTES)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of weights") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return parse_weights(content, path)


def parse_weights(content: bytes, path: Path) -> dict[str, Value]:
    """What :func:`read_weights` gives for a file with this content."""
    return unwrapped(_parse(content, path))


def _parse(content: bytes, path: Path) -> dict[str, Value]:
    # The length of a JSON header that fits into the file; it may begin like a pickle.
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") <= len(content) - 8:
        return _read_safetensors(content, path)
    file, most = io.BytesIO(content), min(most_unpacked(len(content)), MOST_BYTES)
    if content.startswith(HDF5_SIGNATURE):
        return _read_hdf5(file, path, most)
    if zipfile.is_zipfile(file):
        return _flat(read_zip(file, path), path, most)
    if content.startswith(ZIP_START):  # whose table is at the end
        raise InputError(f"{path}: damaged, its end is missing; fetch or copy it again")
    file.seek(0)
    if content.startswith(LEGACY_START):
        return _flat(read_legacy(file, path), path, most)
    if content.startswith(b"\x80"):
        return _flat(_read_paddle(file, path), path, most)
    return _read_safetensors(content, path)


def _read_safetensors(content: bytes, path: Path) -> dict[str, np.ndarray]:
    try:
        arrays = load(content)  # in random order
        header = parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")].decode())
        names = sorted(arrays, key=lambda name: header[name]["data_offsets"])
        return {name: arrays[name] for name in names}
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"{path}: damaged, or of no known format of weights ({error}); known are "
            f"{', '.join(SUFFIXES)}"
        ) from error


def _read_paddle(file: io.BytesIO, path: Path) -> Any:
    """What ``paddle.save`` wrote of a state dict."""
    value = load_pickle(file, str(path))
    if file.read(1):
        raise InputError(f"{path}: damaged, more follows after its content")
    if not isinstance(value, dict):
        return value
    # Tensors that are not of a layer's state dict come with a name of their own.
    return {
        key: item[1] if isinstance(item, tuple) and len(item) == 2 else item
        for key, item in value.items()
        if key != "StructuredToParameterName@@"
    }


def _read_hdf5(content: io.BytesIO, path: Path, most: int) -> dict[str, np.ndarray]:
    """The datasets of an HDF5 file by their path, whose parts are joined by dots."""
    try:
        import h5py  # noqa: PLC0415 - an extra
    except ImportError:
        raise InputError(
            f"{path}: is HDF5; install the package h5py to read it: pip install h5py"
        ) from None
    arrays, left = {}, most

    def take(name: str, item: Any) -> None:
        nonlocal left
        if not isinstance(item, h5py.Dataset):
            return
        if item.external or item.is_virtual or item.dtype.kind not in "biuf":
            raise InputError(f"{path}: {name} does not hold plain numbers of its own")
        # What was never written is filled in when it is read, and a part may be larger than all.
        left -= max(item.size, math.prod(item.chunks or ())) * item.dtype.itemsize
        if left < 0:
            raise InputError(f"{path}: {name} is larger than the file can hold")
        arrays[name.replace("/", ".")] = item[()]

    try:
        with h5py.File(content, "r") as file:
            file.visititems(take)
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise InputError(f"{path}: damaged, not a whole HDF5 file ({error})") from error
    return arrays


def _flat(value: Any, path: Path, most: int) -> dict[str, Value]:
    """A state dict as arrays and numbers; it may lie under ``state_dict`` or ``model``."""
    for key in ("state_dict", "model"):
        if isinstance(value, Mapping) and isinstance(value.get(key), Mapping):
            value = value[key]
    if not isinstance(value, Mapping):
        raise InputError(f"{path}: holds a {type(value).__name__}, not parameters by name")
    flat, left = {}, most
    for name, content in value.items():
        item = content.array if isinstance(content, PickledArray) else content
        left -= item.size * max(item.itemsize, 4) if isinstance(item, np.ndarray) else 0
        if left < 0:
            raise InputError(f"{path}: its arrays are larger than the file can hold")
        if not isinstance(name, str) or not isinstance(item, (np.ndarray, int, float, bool)):
            raise InputError(
                f"{path}: {str(name)[:60]!r} is a {type(item).__name__}, neither tensor nor number"
            )
        is_half = getattr(item, "dtype", None) == np.float16
        flat[name] = item.astype(np.float32) if is_half else item
    return flat
