"""Options of a command: declared as frozen dataclasses, checked, saved and read back."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, ClassVar, NamedTuple, TypeVar, Union

from system.errors import InputError
from system.files import json_text, parse_json

Conflicts = Iterable[tuple[str, str]]  # see `Options.conflicts`
TASK = "task"  # the option that chooses among the classes of a command
KINDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    Path: "a pathlib.Path",
}
# Ways to limit the values of an option: in words, and as a test of (value, limit).
LIMITS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "choices": ("{}", lambda value, choices: value in choices),
    "minimum": ("at least {}", operator.ge),
    "maximum": ("at most {}", operator.le),
    "above": ("greater than {}", operator.gt),
    "below": ("less than {}", operator.lt),
    "multiple_of": ("a multiple of {}", lambda value, factor: value % factor == 0),
    "form": ("{}", lambda value, form: re.fullmatch(form.pattern, value) is not None),
}


class Form(NamedTuple):
    """What a text has to look like: in words, and as a regular expression for all of it."""

    words: str
    pattern: str


def option(
    default: Any,
    help: str,
    *,
    positional: bool = False,
    repeats: bool = False,
    count: int | None = None,
    advice: str = "",
    **limits: Any,
) -> Any:
    """Declare an option as the field of a frozen dataclass derived from `Options`.

    Its type is the annotation: bool (a flag without a value), int, float, str, Path, Optional of
    one of them, or a tuple of any number of one of them. A derived class may give it another
    default, as in ``height: int = 256``.

    Args:
        default: value when it is not given; None for what must be given, unless it is Optional.
        help: one line for ``--help``.
        positional: whether it is given by its place, without a flag.
        repeats: whether a tuple may hold a value twice.
        count: of the values of a tuple; without it, any number.
        advice: what to do about a value that is refused, when the default is no good proposal.
        limits: what each value has to meet; the keys are those of ``LIMITS``.
    """
    words = [LIMITS[name][0].format(_in_words(limit)) for name, limit in limits.items()]
    facts = {"help": help, "positional": positional, "repeats": repeats, "count": count}
    facts.update(advice=advice, limits=limits, words=words)
    return dataclasses.field(default=default, metadata=facts)


class Shorthand(NamedTuple):
    """A flag without a value that stands for values of options which are not given themselves.

    Attributes:
        help: one line for ``--help``.
        values: of the options, by name.
        firm: whether an option that is given otherwise is refused, instead of kept.
    """

    help: str
    values: Mapping[str, Any]
    firm: bool = False


class Option(NamedTuple):
    """An option of a class: its name and default, its annotation taken apart, and the rest."""

    name: str
    default: Any
    kind: type
    optional: bool
    several: bool
    facts: Mapping[str, Any]

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is None and not self.optional


@dataclass(frozen=True)
class Options:
    """Base of all options: checks every value, then what `conflicts` says of them together.

    Attributes:
        shorthands: of a class, besides those of its bases, by name.
    """

    shorthands: ClassVar[Mapping[str, Shorthand]] = {}

    @classmethod
    def idle(cls, given: Mapping[str, Any]) -> Mapping[str, str]:
        """What does nothing of a command line's values, and why: left out with a note."""
        return {}

    def __post_init__(self) -> None:
        for option in options_of(type(self)).values():
            _check_value(option, getattr(self, option.name))
        for name, problem in self.conflicts():
            raise InputError(f"{self.given(name)}: {problem}")

    def conflicts(self) -> Conflicts:
        """Each option that contradicts others, by name: what is wrong, and what to do about it."""
        return ()

    def changed(self, names: Iterable[str], problem: str) -> Conflicts:
        """Conflicts of those options that differ from their default."""
        return ((n, problem) for n in names if getattr(self, n) != getattr(type(self), n))

    def given(self, name: str) -> str:
        """An option as it was given; see :func:`flag`."""
        return flag(name, getattr(self, name))


AnyOptions = TypeVar("AnyOptions", bound=Options)


@functools.cache
def options_of(cls: type[Options]) -> dict[str, Option]:
    """The options of a class by name."""
    declared = [field for group in reversed(cls.__mro__) for field in declared_by(group)]
    facts = {field.name: field.metadata for field in declared}
    hints = typing.get_type_hints(cls)
    found = {}
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        optional = typing.get_origin(kind) is Union
        kind = typing.get_args(kind)[0] if optional else kind
        several = typing.get_origin(kind) is tuple
        kind = typing.get_args(kind)[0] if several else kind
        about = (kind, optional, several, facts[field.name])
        found[field.name] = Option(field.name, field.default, *about)
    return found


def shorthands_of(cls: type[Options]) -> dict[str, Shorthand]:
    """The shorthands of a class by name."""
    groups = [vars(group).get("shorthands", {}) for group in reversed(cls.__mro__)]
    return {name: each for group in groups for name, each in group.items()}


def declared_by(group: type) -> list[dataclasses.Field]:
    """The options that a class declares, rather than inherits or gives another default."""
    of_bases = [vars(base).get("__dataclass_fields__", {}) for base in group.__bases__]
    inherited = [field for fields in of_bases for field in fields.values()]
    own = vars(group).get("__dataclass_fields__", {}).values()
    return [field for field in own if field.metadata and field not in inherited]


def by_task(cls: type[AnyOptions]) -> dict[str, type[AnyOptions]]:
    """The classes that the options of a command may be of, by task; the default one first."""
    return {getattr(each, TASK): each for each in cls.__subclasses__()} or {"": cls}


def flag(name: str, value: Any) -> str:
    """An option as a user gives it: ``--height 192``, ``--frame_ids 0 -1 1``, ``--png``."""
    return f"--{name} {text_of(value)}".rstrip()


def to_json(options: Options) -> str:
    """Options as a JSON text that `from_json` reads."""
    return json_text(dataclasses.asdict(options))


def from_json(cls: type[AnyOptions], text: str) -> AnyOptions:
    """Options from a JSON object; those that it leaves out have their default.

    Raises:
        InputError: the text is no JSON object, names an unknown option, or a value is refused.
    """
    try:
        values = parse_json(text)
    except ValueError as error:
        raise InputError(f"saved options: are not JSON ({error}); save them anew") from error
    if not isinstance(values, dict):
        raise InputError("saved options: are not a JSON object; save them anew")
    unknown = sorted(values.keys() - set().union(*map(options_of, by_task(cls).values())))
    if unknown:
        raise InputError(
            f"saved options: unknown {', '.join(unknown)}; remove them, "
            "or use the version that saved them"
        )
    return made(cls, values)


def made(cls: type[AnyOptions], values: Mapping[str, Any]) -> AnyOptions:
    """Options of the class that the task chooses, from a command line's or JSON's values.

    Options of another task may be among them, with their default.
    """
    tasks = by_task(cls)
    task = values.get(TASK, next(iter(tasks))) if len(tasks) > 1 else ""
    if task not in list(tasks):
        _check_value(options_of(cls)[TASK], task)
    known = options_of(tasks[task])
    values = _written_out(tasks, task, values)
    for other, each in tasks.items():
        foreign = [option for name, option in options_of(each).items() if name not in known]
        for option in foreign:
            value = _restore(option, values.get(option.name, option.default))
            _check_value(option, value)
            if value != option.default:
                given = flag(option.name, value)
                raise InputError(f"{given}: is for --{TASK} {other}; leave it out")
    kept = {name: _restore(known[name], values[name]) for name in values if name in known}
    return tasks[task](**kept)


def _written_out(
    tasks: Mapping[str, type[Options]], task: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """The values, with those that shorthands among them stand for in their place.

    Raises:
        InputError: a shorthand is of another task, or contradicts an option that is given.
    """
    known, written = shorthands_of(tasks[task]), dict(values)
    for other, each in tasks.items():
        for name in shorthands_of(each).keys() & written.keys() - known.keys():
            raise InputError(f"--{name}: is for --{TASK} {other}; leave it out")
    for name in known.keys() & written.keys():
        del written[name]
        for option, value in known[name].values.items():
            if known[name].firm and values.get(option, value) != value:
                given = flag(option, values[option])
                raise InputError(f"--{name}: cannot go with {given}; drop one")
            written.setdefault(option, path_of(str(value)) if isinstance(value, Path) else value)
    return written


def path_of(text: str) -> Path:
    """A path as it is typed: ``~`` and ``~name`` at its start are homes.

    Shells leave them as they are in ``--output=~/depth``, in quotes and on Windows.
    """
    path = Path(text)
    if not text.startswith("~"):  # ``./~`` is a file of that name
        return path
    try:
        return path.expanduser()
    except RuntimeError:  # nobody of that name: it is a file's
        return path


def _restore(option: Option, value: Any) -> Any:
    """Undo what JSON and argparse do to a value: tuples become lists, paths text."""
    if option.several and isinstance(value, (list, tuple)):
        return tuple(_restore(option._replace(several=False), each) for each in value)
    return Path(value) if option.kind is Path and isinstance(value, str) else value


def _check_value(option: Option, value: Any) -> None:
    """Raise `InputError` with flag, value, problem and remedy if a value is refused."""
    facts = option.facts

    def refuse(problem: str, proposal: Any = None) -> None:
        remedy = facts["advice"] if proposal is None else ""
        if not remedy:
            proposal = option.default if proposal is None else proposal
            remedy = "leave it out" if proposal in (None, False) else f"try {text_of(proposal)}"
            remedy = "give one" if option.required else remedy
        raise InputError(f"{flag(option.name, value)}: {problem}; {remedy}")

    if value is None and option.optional:
        return
    if option.several and not isinstance(value, tuple):
        refuse("must be a tuple")
    values = value if option.several else (value,)
    subject = "each must be" if option.several else "must be"
    for one in values:
        if not _is_kind(option.kind, one):
            refuse(f"{subject} {KINDS[option.kind]}")
        for words, (name, limit) in zip(facts["words"], facts["limits"].items()):
            if not LIMITS[name][1](one, limit):
                nearest = round(one / limit) * limit if name == "multiple_of" else None
                refuse(f"{subject} {words}", nearest)
    if not values:
        refuse("must name at least one")
    if option.several and facts["count"] not in (None, len(values)):
        refuse(f"must be {facts['count']} values")
    if not facts["repeats"] and len(set(values)) < len(values):
        refuse("must not name one twice")


def _is_kind(kind: type, value: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, (int, float)) and math.isfinite(value)
    return isinstance(value, kind)


def text_of(value: Any) -> str:
    """A value as it is typed on a command line."""
    if isinstance(value, (tuple, list)):
        return " ".join(map(str, value))
    return "" if value is None or value is True else str(value)


def _in_words(limit: Any) -> str:
    """A limit in a sentence; choices are the only ones that are several."""
    if isinstance(limit, Form):
        return limit.words
    if isinstance(limit, (int, float)):
        return str(limit)
    *most, last = map(str, limit)
    return f"{', '.join(most)} or {last}" if most else last
