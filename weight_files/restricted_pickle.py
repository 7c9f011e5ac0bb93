"""Reading pickles of weights without running what they ask for.

A pickle is a program that may call any function. Files of weights need few: those that rebuild a
tensor or an array. They are answered here by functions of our own, on data that has been checked;
whatever else a file names is refused before it is looked up. Libraries that restrict pickles look
for what is known to be dangerous, or need PyTorch.

Nor may a small pickle take much time or memory: what it does and copies is counted, and where
looking at something could mean looking at what is in it over and over, as at the keys of
dictionaries, only text and plain numbers are taken.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from typing import Any, Callable

from system.errors import InputError
from weight_files.pickled_names import (
    ENCODE,
    KNOWN,
    LARGEST_KEY,
    Callee,
    PickledArray,
    PickledDtype,
    Refused,
    Storage,
    StorageType,
    check_key,
    is_count,
    named,
)

MOST_STEPS = 400_000  # of a pickle; one of 1500 arrays takes a quarter
LONGEST_NUMBER = 20  # digits, or bytes, of a whole number


# The unpickler written in Python: that in C gives a damaged file's index as much memory as it asks.
class RestrictedUnpickler(pickle._Unpickler):
    """Unpickles containers, numbers, text, arrays and tensors; refuses all else."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        super().__init__(file, encoding="latin-1")
        self._steps = 0
        self._encoded: dict[str, bytes] = {}  # one result per text, however often it is asked for

    def spend(self, steps: int) -> None:
        """Count what has been done."""
        self._steps += steps
        if self._steps > MOST_STEPS:
            raise Refused("takes too many steps")

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle gets for a name; refuses those that it does not need."""
        if (module, name) == ENCODE:
            return Callee(self._encode)
        try:
            return KNOWN[module, name]
        except (KeyError, TypeError):
            raise Refused(f"asks for {module}.{name}") from None

    def _encode(self, text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise Refused(f"encodes as {named(encoding)}")
        if text not in self._encoded:
            self._encoded[text] = text.encode("latin-1")
        return self._encoded[text]

    def persistent_load(self, pid: Any) -> Storage:
        """A storage of a PyTorch file, by the tuple that stands for it."""
        kind, storage_type, key, _, count, *view = pid
        if kind != "storage" or not isinstance(storage_type, StorageType):
            raise Refused(f"asks for {named(kind)}, which is no storage")
        if not isinstance(key, str) or not is_count(count):
            raise Refused("names a storage without key or size")
        offset = 0
        if view and view[0] is not None:
            _, offset, count = view[0]
            if not (is_count(offset) and is_count(count)):
                raise Refused("holds a view of a storage without place or size")
        return Storage(key, storage_type.dtype, count, offset)

    def get_extension(self, code: int) -> Any:
        """Refuse the short names that a process can register for classes."""
        raise Refused(f"asks for extension {code}")


def _counted(operation: Callable[[Any], None]) -> Callable[[Any], None]:
    def run(unpickler: RestrictedUnpickler) -> None:
        unpickler.spend(1)
        operation(unpickler)

    return run


def _checked(
    operation: Callable[[Any], None], check: Callable[[RestrictedUnpickler], None]
) -> Callable[[Any], None]:
    def run(unpickler: RestrictedUnpickler) -> None:
        check(unpickler)
        operation(unpickler)

    return run


def _count_arguments(unpickler: RestrictedUnpickler) -> None:
    """A call may copy the containers that it is given."""
    arguments = unpickler.stack[-1]
    if not isinstance(arguments, tuple):
        raise Refused("calls a function with something else than arguments")
    unpickler.spend(sum(len(each) for each in arguments if isinstance(each, (list, tuple))))


def _check_one_key(unpickler: RestrictedUnpickler) -> None:
    check_key(unpickler.stack[-2])


def _check_keys(unpickler: RestrictedUnpickler) -> None:
    for key in unpickler.stack[::2]:  # what follows the last mark
        check_key(key)


def _set_state(unpickler: RestrictedUnpickler) -> None:
    """Only what is known here gets a state; the notes of PyTorch's dictionaries are passed over."""
    state = unpickler.stack.pop()
    owner = unpickler.stack[-1]
    if isinstance(owner, (PickledArray, PickledDtype, Callee)):
        owner.__setstate__(state)
    elif type(owner) is not OrderedDict:
        raise Refused("sets the state of something that has none")


def _read_short_number(unpickler: RestrictedUnpickler) -> None:
    """A whole number written in digits, or True or False."""
    digits = unpickler.readline()[:-1]
    if len(digits) > LONGEST_NUMBER:
        raise Refused("holds a number of very many digits")
    truth = {b"00": False, b"01": True}.get(digits)
    unpickler.append(int(digits.rstrip(b"L")) if truth is None else truth)


def _read_memo_number(operation: str) -> Callable[[Any], None]:
    """The operation that keeps something, or takes it, by a number written in digits."""

    def run(unpickler: RestrictedUnpickler) -> None:
        digits = unpickler.readline()[:-1]
        if len(digits) > LONGEST_NUMBER or not 0 <= int(digits) <= LARGEST_KEY:
            raise Refused("keeps something under an impossible number")
        if operation == "put":
            unpickler.memo[int(digits)] = unpickler.stack[-1]
        else:
            unpickler.append(unpickler.memo[int(digits)])

    return run


def _read_long_number(unpickler: RestrictedUnpickler) -> None:
    raise Refused("holds a number of very many digits")


def _refuse_operation(unpickler: RestrictedUnpickler) -> None:
    raise Refused("makes objects of a kind of its own")


def _operations() -> dict[int, Callable[[Any], None]]:
    """What is done for each operation of a pickle, by the byte that stands for it."""
    table = dict(pickle._Unpickler.dispatch)
    own = {
        pickle.REDUCE: _checked(table[pickle.REDUCE[0]], _count_arguments),
        pickle.SETITEM: _checked(table[pickle.SETITEM[0]], _check_one_key),
        pickle.SETITEMS: _checked(table[pickle.SETITEMS[0]], _check_keys),
        pickle.DICT: _checked(table[pickle.DICT[0]], _check_keys),
        pickle.BUILD: _set_state,
        pickle.INT: _read_short_number,
        pickle.LONG: _read_short_number,
        pickle.LONG4: _read_long_number,
        pickle.PUT: _read_memo_number("put"),
        pickle.GET: _read_memo_number("get"),
    }
    # Sets, and objects that are made otherwise than by a call.
    refused = [pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET, pickle.INST, pickle.OBJ]
    refused += [pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.BYTEARRAY8, pickle.NEXT_BUFFER]
    own.update(dict.fromkeys([*refused, pickle.READONLY_BUFFER], _refuse_operation))
    table.update({code[0]: operation for code, operation in own.items()})
    return {code: _counted(operation) for code, operation in table.items()}


RestrictedUnpickler.dispatch = _operations()


def load_pickle(file: io.BufferedIOBase, source: str) -> Any:
    """The object that the pickle at the file's position stands for.

    NumPy arrays come as :class:`PickledArray`, tensors as :class:`TensorView`.

    Raises:
        InputError: the pickle asks for more than weights need, or is damaged; ``source`` is named.
    """
    try:
        return RestrictedUnpickler(file).load()
    except Refused as error:
        raise InputError(
            f"{source}: refused, its pickle {error}, which weights do not need and which may "
            "run code"
        ) from error
    except Exception as error:  # a damaged pickle can end in any of them
        raise InputError(f"{source}: damaged, its pickle cannot be read ({error})") from error
