"""What a pickle of weights may name, and what it gets for it: functions and classes of our own."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Callable, NamedTuple

import numpy as np

NUMBER_KINDS = "biufc"
MOST_DIMENSIONS = 32
LARGEST_KEY = 2**32  # a whole number; larger ones can be chosen to fall together in dictionaries


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
        if not _is_shape(shape):
            raise Refused("holds an array whose shape is not made of whole numbers")
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
            raise Refused(f"holds an array of {named(code)}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "=", "|"):
            raise Refused(f"holds numbers of byte order {named(order)}")
        if not self.dtype.hasobject:
            self.dtype = self.dtype.newbyteorder(order)


def _scalar(dtype: Any, content: Any) -> Any:
    is_number = isinstance(dtype, PickledDtype) and not dtype.dtype.hasobject
    if not is_number or not isinstance(content, bytes):
        raise Refused("holds an object in the place of a number")
    return np.frombuffer(content, dtype.dtype, count=1)[0].item()


def _tuple(items: Any = ()) -> tuple:
    if not isinstance(items, (list, tuple)):
        raise Refused("makes a tuple of something else than a list")
    return tuple(items)


def _ordered_dict(pairs: Any = ()) -> OrderedDict:
    if not isinstance(pairs, (list, tuple)):
        raise Refused("makes a dictionary of something else than a list")
    for key, _ in pairs:
        check_key(key)
    return OrderedDict(pairs)


def check_key(key: Any) -> None:
    """Raise Refused for keys whose hash takes long, or which can be chosen to fall together."""
    is_number = isinstance(key, int) and abs(key) <= LARGEST_KEY
    if not (is_number or isinstance(key, str)):
        raise Refused(f"holds something under {named(key)}")


def named(value: Any) -> str:
    """A short text or number as it is; the kind of anything else, which may hold very much."""
    return repr(value) if isinstance(value, (str, int)) else f"a {type(value).__name__}"


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> TensorView:
    if not (isinstance(storage, Storage) and is_count(offset)) or not (
        _is_shape(shape) and _is_shape(stride)
    ):
        raise Refused("holds a tensor whose shape is not made of whole numbers")
    return TensorView(storage, offset, tuple(shape), tuple(stride))


def _rebuild_parameter(tensor: Any, *_: Any) -> TensorView:
    if not isinstance(tensor, TensorView):
        raise Refused("holds a parameter that is no tensor")
    return tensor


def is_count(value: Any) -> bool:
    """Whether a value is a whole number that can count something."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_shape(value: Any) -> bool:
    is_short = isinstance(value, (list, tuple)) and len(value) <= MOST_DIMENSIONS
    return is_short and all(map(is_count, value))


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

ENCODE = "_codecs", "encode"  # answered by the unpickler, which knows what it has encoded
# What a pickle may name, and what it gets.
KNOWN: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Callee(_ordered_dict),
    ("builtins", "tuple"): Callee(_tuple),
    ("__builtin__", "tuple"): Callee(_tuple),
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
