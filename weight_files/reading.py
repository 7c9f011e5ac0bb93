"""One reader for every format of weights, chosen by what a file holds, not by its name."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from errors import InputError
from weight_files.restricted_pickle import PickledArray, load_pickle
from weight_files.torch_files import LEGACY_MAGIC, read_torch

SUFFIXES = (".safetensors", ".pth", ".pt", ".pdparams", ".h5")
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# torch.save's older format starts with its magic number, pickled.
LEGACY_START = b"\x80\x02\x8a\x0a" + LEGACY_MAGIC.to_bytes(10, "little")

Value = Union[np.ndarray, int, float, bool]


def read_weights(path: Path) -> dict[str, Value]:
    """The arrays and numbers of a file of weights, by name; half precision comes as float32.

    Raises:
        InputError: the file is missing, damaged, of no known format, or asks to run code.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(LEGACY_START))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file of weights") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if _is_safetensors(start, path.stat().st_size):
        return read_safetensors(path)
    if start.startswith(HDF5_SIGNATURE):
        return read_hdf5(path)
    if zipfile.is_zipfile(path) or start == LEGACY_START:
        return _flat(read_torch(path), path)
    if start.startswith(b"\x80"):
        return _flat(read_paddle(path), path)
    return read_safetensors(path)


def _is_safetensors(start: bytes, size: int) -> bool:
    """Whether a file begins with the length of a JSON header that fits into it.

    That length may begin like a pickle.
    """
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file."""
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise InputError(
            f"{path}: damaged, or of no known format of weights ({error}); known are "
            f"{', '.join(SUFFIXES)}"
        ) from error


def read_paddle(path: Path) -> Any:
    """What ``paddle.save`` wrote of a state dict."""
    with path.open("rb") as file:
        value = load_pickle(file, str(path))
        if file.read(1):
            raise InputError(f"{path}: damaged, more follows after its content")
    if isinstance(value, dict):
        value = dict(value)
        value.pop("StructuredToParameterName@@", None)
        # Tensors that are not of a layer's state dict come with a name of their own.
        value = {
            key: item[1] if isinstance(item, tuple) and len(item) == 2 else item
            for key, item in value.items()
        }
    return value


def read_hdf5(path: Path) -> dict[str, np.ndarray]:
    """The datasets of an HDF5 file by their path, whose parts are joined by dots."""
    try:
        import h5py  # noqa: PLC0415 - an extra
    except ImportError:
        raise InputError(
            f"{path}: is HDF5; install the package h5py to read it: pip install h5py"
        ) from None
    arrays = {}

    def take(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if item.external or item.is_virtual or item.dtype.kind not in "biuf":
            raise InputError(f"{path}: {name} does not hold plain numbers of its own")
        arrays[name.replace("/", ".")] = item[()]

    try:
        with h5py.File(path, "r") as file:
            file.visititems(take)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged, not a whole HDF5 file ({error})") from error
    return arrays


def _flat(value: Any, path: Path) -> dict[str, Value]:
    """A state dict as arrays and numbers; it may lie under ``state_dict`` or ``model``."""
    for key in ("state_dict", "model"):
        if isinstance(value, Mapping) and isinstance(value.get(key), Mapping):
            value = value[key]
    if not isinstance(value, Mapping):
        raise InputError(f"{path}: holds a {type(value).__name__}, not parameters by name")
    flat = {}
    for name, content in value.items():
        item = content.array if isinstance(content, PickledArray) else content
        if not isinstance(name, str) or not isinstance(item, (np.ndarray, int, float, bool)):
            raise InputError(
                f"{path}: {str(name)[:60]!r} is a {type(item).__name__}, neither tensor nor number"
            )
        flat[name] = item.astype(np.float32) if _is_half(item) else item
    return flat


def _is_half(item: Any) -> bool:
    return isinstance(item, np.ndarray) and item.dtype == np.float16
