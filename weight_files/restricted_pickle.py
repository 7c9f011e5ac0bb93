"""Reading pickles of weights without running what they ask for.

A pickle is a program that may call any function. Files of weights need few: those that rebuild a
tensor or an array. They are answered here by functions of our own, on data that has been checked;
whatever else a file names is refused before it is looked up. Libraries that restrict pickles look
for what is known to be dangerous, or need PyTorch.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

import numpy as np

from system.errors import InputError

NUMBER_KINDS = "biufc"


class Refused(pickle.UnpicklingError):
    """A pickle asks for something that files of weights do not need."""


class Callee:
    """What a pickle gets for a function or class that it names: it can be called, nothing else.

    The instance has neither a dictionary nor writable attributes, so that a pickle cannot change
    it for those who come after.
    """

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments: Any) -> Any:
        """Answer the call."""
        return self._function(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise Refused(f"sets {name} of a function")

    def __setstate__(self, state: Any) -> None:
        raise Refused("sets the state of a function")


class Storage(NamedTuple):
    """The numbers that one or several tensors of a PyTorch file are views of.

    Attributes:
        key: by which the file holds its bytes.
        dtype: of the numbers; ``bfloat16`` where NumPy has none.
        count: of the numbers.
        offset: of the first one, when this is a view of the storage of that key.
    """

    key: str
    dtype: str
    count: int
    offset: int


class TensorView(NamedTuple):
    """A tensor of a PyTorch file, whose numbers are still to be read."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class StorageType(NamedTuple):
    """The class that a PyTorch pickle names for storages of one kind of number."""

    dtype: str


class PickledArray:
    """A NumPy array under construction: made empty, then given its content.

    An array of objects becomes the flat list of what it holds, itself of such arrays and numbers.
    """

    __slots__ = ("array",)

    def __init__(self, *_: Any) -> None:
        self.array = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if isinstance(dtype, PickledDtype) and dtype.dtype.hasobject and type(content) is list:
            self.array = content
            return
        if not isinstance(dtype, PickledDtype) or not isinstance(content, bytes):
            raise Refused("holds an array whose content does not fit its type")
        flat = np.frombuffer(content, dtype.dtype)
        self.array = flat.reshape(shape, order="F" if fortran else "C")


class PickledDtype:
    """A NumPy data type under construction; plain numbers are known, and `object` by name."""

    __slots__ = ("dtype",)

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or len(code) > 3 or code[:1] not in NUMBER_KINDS + "O":
            raise Refused(f"holds an array of {code!r}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "=", "|"):
            raise Refused(f"holds numbers of byte order {order!r}")
        if not self.dtype.hasobject:
            self.dtype = self.dtype.newbyteorder(order)


def _scalar(dtype: Any, content: Any) -> Any:
    is_number = isinstance(dtype, PickledDtype) and not dtype.dtype.hasobject
    if not is_number or not isinstance(content, bytes):
        raise Refused("holds an object in the place of a number")
    return np.frombuffer(content, dtype.dtype, count=1)[0].item()


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise Refused(f"encodes as {encoding!r}")
    return text.encode("latin-1")


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> TensorView:
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, Storage) or not all(_is_count(number) for number in numbers):
        raise Refused("holds a tensor whose shape is not made of whole numbers")
    return TensorView(storage, offset, tuple(shape), tuple(stride))


def _rebuild_parameter(tensor: Any, *_: Any) -> TensorView:
    if not isinstance(tensor, TensorView):
        raise Refused("holds a parameter that is no tensor")
    return tensor


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


STORAGE_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}

# What a pickle may name, and what it gets.
KNOWN: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "tuple"): Callee(tuple),
    ("__builtin__", "tuple"): Callee(tuple),
    ("_codecs", "encode"): Callee(_encode),
    ("torch._utils", "_rebuild_tensor"): Callee(_rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): Callee(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): Callee(_rebuild_parameter),
    **{("torch", name): StorageType(dtype) for name, dtype in STORAGE_DTYPES.items()},
    ("numpy", "ndarray"): Callee(PickledArray),
    ("numpy", "dtype"): Callee(PickledDtype),
    **{
        (module, name): Callee(function)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for name, function in (("_reconstruct", PickledArray), ("scalar", _scalar))
    },
}


# The unpickler written in Python: that in C gives a damaged file's index as much memory as it asks.
class RestrictedUnpickler(pickle._Unpickler):
    """Unpickles containers, numbers, text, arrays and tensors; refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle gets for a name; refuses those that it does not need."""
        try:
            return KNOWN[module, name]
        except (KeyError, TypeError):
            raise Refused(f"asks for {module}.{name}") from None

    def persistent_load(self, pid: Any) -> Storage:
        """A storage of a PyTorch file, by the tuple that stands for it."""
        kind, storage_type, key, _, count, *view = pid
        if kind != "storage" or not isinstance(storage_type, StorageType):
            raise Refused(f"asks for a {kind!r} that is no storage")
        if not isinstance(key, str) or not _is_count(count):
            raise Refused("names a storage without key or size")
        offset = 0
        if view and view[0] is not None:
            _, offset, count = view[0]
            if not (_is_count(offset) and _is_count(count)):
                raise Refused("holds a view of a storage without place or size")
        return Storage(key, storage_type.dtype, count, offset)

    def get_extension(self, code: int) -> Any:
        """Refuse the short names that a process can register for classes."""
        raise Refused(f"asks for extension {code}")


def load_pickle(file: io.BufferedIOBase, source: str) -> Any:
    """The object that the pickle at the file's position stands for.

    NumPy arrays come as :class:`PickledArray`, tensors as :class:`TensorView`.

    Raises:
        InputError: the pickle asks for more than weights need, or is damaged; ``source`` is named.
    """
    try:
        return RestrictedUnpickler(file, encoding="latin-1").load()
    except Refused as error:
        raise InputError(
            f"{source}: refused, its pickle {error}, which weights do not need and which may "
            "run code"
        ) from error
    except Exception as error:  # a damaged pickle can end in any of them
        raise InputError(f"{source}: damaged, its pickle cannot be read ({error})") from error
