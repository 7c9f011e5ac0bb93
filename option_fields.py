"""Dataclasses as command lines: declare a checked option, parse it, save it and read it back."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import operator
import re
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple, TypeVar, Union

from errors import InputError

KINDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    Path: "a pathlib.Path",
}


class Form(NamedTuple):
    """What a text has to look like: in words, and as a regular expression for all of it."""

    words: str
    pattern: str

    def __str__(self) -> str:
        return self.words


class Limit(NamedTuple):
    """One way to limit the values of an option: in words, and as a test of (value, limit)."""

    words: str
    test: Callable[[Any, Any], bool]


LIMITS = {
    "choices": Limit("{}", lambda value, choices: value in choices),
    "minimum": Limit("at least {}", operator.ge),
    "maximum": Limit("at most {}", operator.le),
    "above": Limit("greater than {}", operator.gt),
    "below": Limit("less than {}", operator.lt),
    "multiple_of": Limit("a multiple of {}", lambda value, factor: value % factor == 0),
    "form": Limit("{}", lambda value, form: re.fullmatch(form.pattern, value) is not None),
}


def option(
    default: Any,
    help: str,
    *,
    required: bool = False,
    positional: bool = False,
    repeats: bool = False,
    count: int | None = None,
    advice: str = "",
    **limits: Any,
) -> Any:
    """Declare an option as the field of a frozen dataclass derived from `Options`.

    Its type is the annotation: bool (a flag without a value), int, float, str, Path, Optional of
    one of them, or a tuple of any number of one of them.

    Args:
        default: value when it is not given.
        help: one line for ``--help``.
        required: whether it must be given; the default is then None.
        positional: whether it is given by its place, without a flag; it is then required.
        repeats: whether a tuple may hold a value twice.
        count: of the values of a tuple; without it, any number.
        advice: what to do about a value that is refused, when the default is no good proposal.
        limits: what each value has to meet; the keys are those of ``LIMITS``.
    """
    unknown = limits.keys() - LIMITS.keys()
    if unknown:
        raise TypeError(f"unknown limits {sorted(unknown)}; there are {sorted(LIMITS)}")
    metadata = {"help": help, "required": required or positional, "positional": positional}
    metadata.update({"advice": advice, "limits": limits, "repeats": repeats, "count": count})
    return dataclasses.field(default=default, metadata=metadata)


class OptionType(NamedTuple):
    """The annotation of an option, taken apart."""

    kind: type
    optional: bool
    several: bool


@dataclasses.dataclass(frozen=True)
class Options:
    """Base of all options: checks every value, then what `check` says of them together."""

    def __post_init__(self) -> None:
        types = option_types(type(self))
        for field in dataclasses.fields(self):
            _check_value(field, types[field.name], getattr(self, field.name))
        self.check()

    def check(self) -> None:
        """Raise `InputError` when values that are fine alone contradict each other."""


AnyOptions = TypeVar("AnyOptions", bound=Options)


def option_types(cls: type[Options]) -> dict[str, OptionType]:
    """The type of every option of ``cls``, by name."""
    types = {}
    for name, hint in typing.get_type_hints(cls).items():
        optional = typing.get_origin(hint) is Union
        inner = typing.get_args(hint)[0] if optional else hint
        several = typing.get_origin(inner) is tuple
        kind = typing.get_args(inner)[0] if several else inner
        types[name] = OptionType(kind, optional, several)
    return types


def flag(name: str, value: Any) -> str:
    """An option as a user gives it: ``--height 192``, ``--frame_ids 0 -1 1``, ``--png``."""
    return f"--{name} {_text(value)}".rstrip()


def parse(cls: type[AnyOptions], argv: Sequence[str] | None = None) -> AnyOptions:
    """Options from a command line, by default the one of this process.

    Raises:
        InputError: a value is out of range, or options contradict each other.
        SystemExit: ``--help`` (code 0), an unknown option or a missing one (code 2).
    """
    given = vars(_argument_parser(cls).parse_args(argv))
    types = option_types(cls)
    return cls(**{name: _restore(types[name], value) for name, value in given.items()})


def to_json(options: Options) -> str:
    """Options as a JSON text that `from_json` reads."""
    return json.dumps(dataclasses.asdict(options), indent=2, default=str) + "\n"


def from_json(cls: type[AnyOptions], text: str) -> AnyOptions:
    """Options from a JSON object; those that it leaves out have their default.

    Raises:
        InputError: the text is no JSON object, names an unknown option, or a value is refused.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InputError(f"saved options: are not JSON ({error}); save them anew") from error
    if not isinstance(values, dict):
        raise InputError("saved options: are not a JSON object; save them anew")
    types = option_types(cls)
    unknown = sorted(values.keys() - types.keys())
    if unknown:
        raise InputError(
            f"saved options: unknown {', '.join(unknown)}; remove them, "
            "or use the version that saved them"
        )
    return cls(**{name: _restore(types[name], value) for name, value in values.items()})


def _argument_parser(cls: type[Options]) -> argparse.ArgumentParser:
    """A parser whose help has one section for each dataclass that ``cls`` is composed of."""
    parser = argparse.ArgumentParser(description=cls.__doc__, allow_abbrev=False)
    types = option_types(cls)
    for group, fields in _fields_by_group(cls):
        section = parser.add_argument_group((group.__doc__ or "").rstrip("."))
        for field in fields:
            _add_argument(section, field, types[field.name])
    return parser


def _fields_by_group(
    cls: type[Options],
) -> Iterator[tuple[type[Options], list[dataclasses.Field]]]:
    """The dataclasses that ``cls`` derives from, each with the fields that it adds."""
    for group in cls.__mro__:
        if dataclasses.is_dataclass(group):
            inherited = {f.name for base in group.__bases__ for f in _fields(base)}
            own = [f for f in dataclasses.fields(group) if f.name not in inherited]
            if own:
                yield group, own


def _fields(cls: type) -> tuple[dataclasses.Field, ...]:
    return dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()


def _add_argument(section: Any, field: dataclasses.Field, option_type: OptionType) -> None:
    """Add one option; what is not given stays out of the namespace, so that defaults live once."""
    common = {"default": argparse.SUPPRESS, "help": _help(field).replace("%", "%%")}
    if option_type.kind is bool:
        section.add_argument(f"--{field.name}", action="store_true", **common)
        return
    if field.metadata["positional"]:
        section.add_argument(field.name, type=_reader(option_type.kind), **common)
        return
    section.add_argument(
        f"--{field.name}",
        type=_reader(option_type.kind),
        nargs="+" if option_type.several else None,
        metavar=option_type.kind.__name__.upper(),
        required=field.metadata["required"],
        **common,
    )


def _help(field: dataclasses.Field) -> str:
    limits = field.metadata["limits"].items()
    notes = [LIMITS[name].words.format(_in_words(limit)) for name, limit in limits]
    if field.default is not None and field.default is not False:
        notes.insert(0, f"default: {_text(field.default)}")
    return field.metadata["help"] + (f" ({'; '.join(notes)})" if notes else "")


def _reader(kind: type) -> Callable[[str], Any]:
    """Turn text into a ``kind``; what cannot be is left for the check, which says what to do."""

    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            return text

    return read


def _restore(option_type: OptionType, value: Any) -> Any:
    """Undo what JSON and argparse do to a value: tuples become lists, paths text."""
    if option_type.several and isinstance(value, (list, tuple)):
        one = option_type._replace(several=False)
        return tuple(_restore(one, each) for each in value)
    if option_type.kind is Path and isinstance(value, str):
        return Path(value)
    return value


def _check_value(field: dataclasses.Field, option_type: OptionType, value: Any) -> None:
    """Refuse a value of the wrong type or out of range."""
    if value is None and option_type.optional:
        return
    if option_type.several and not isinstance(value, tuple):
        _refuse(field, value, "must be a tuple")
    values = value if option_type.several else (value,)
    subject = "each must be" if option_type.several else "must be"
    for one in values:
        if not _is_kind(option_type.kind, one):
            _refuse(field, value, f"{subject} {KINDS[option_type.kind]}")
        for name, limit in field.metadata["limits"].items():
            words, test = LIMITS[name]
            if not test(one, limit):
                proposal = _nearest_multiple(one, limit) if name == "multiple_of" else None
                _refuse(field, value, f"{subject} {words.format(_in_words(limit))}", proposal)
    if not values:
        _refuse(field, value, "must name at least one")
    count = field.metadata["count"]
    if option_type.several and count is not None and len(values) != count:
        _refuse(field, value, f"must be {count} values")
    if not field.metadata["repeats"] and len(set(values)) < len(values):
        _refuse(field, value, "must not name one twice")


def _is_kind(kind: type, value: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, (int, float)) and math.isfinite(value)
    return isinstance(value, kind)


def _nearest_multiple(value: int, factor: int) -> int:
    return round(value / factor) * factor


def _refuse(field: dataclasses.Field, value: Any, problem: str, proposal: Any = None) -> None:
    """Raise `InputError` with flag, value, problem and remedy."""
    remedy = field.metadata["advice"] if proposal is None else ""
    if not remedy:
        proposal = field.default if proposal is None else proposal
        remedy = "leave it out" if proposal in (None, False) else f"try {_text(proposal)}"
        remedy = "give one" if field.metadata["required"] else remedy
    raise InputError(f"{flag(field.name, value)}: {problem}; {remedy}")


def _text(value: Any) -> str:
    """A value as it is typed on a command line."""
    if isinstance(value, (tuple, list)):
        return " ".join(map(str, value))
    return "" if value is None or value is True else str(value)


def _in_words(limit: Any) -> str:
    """A limit in a sentence; choices are the only ones that are several."""
    if isinstance(limit, (Form, int, float)):
        return str(limit)
    *most, last = map(str, limit)
    return f"{', '.join(most)} or {last}" if most else last
