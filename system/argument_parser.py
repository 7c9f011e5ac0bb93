"""From a command line to the options of a command, by argparse."""

from __future__ import annotations

import argparse
import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from system.command_line import (
    TASK,
    AnyOptions,
    Option,
    Options,
    by_task,
    declared_by,
    flag,
    made,
    options_of,
    path_of,
    text_of,
)
from system.terminal import offer_verbose

logger = logging.getLogger(__name__)

OTHER = "other "  # before the name of an option that is another command's


def parse(
    cls: type[AnyOptions],
    argv: Sequence[str] | None = None,
    others: Sequence[type[Options]] = (),
) -> AnyOptions:
    """Options from a command line, by default the one of this process.

    Where ``cls`` has a subclass for each task, they are of the one that ``--task`` chooses. Flags
    may be shortened as long as one alone begins so. What does nothing is said and left out: what
    ``cls.idle`` names, and the options of ``others``, classes of other commands.

    Raises:
        InputError: a value is out of range, or options contradict each other.
        SystemExit: ``--help`` (code 0), an unknown option or a missing one (code 2).
    """
    given = vars(_argument_parser(cls, others).parse_args(argv))
    values = {name: value for name, value in given.items() if not name.startswith(OTHER)}
    foreign = {n[len(OTHER) :]: value for n, value in given.items() if n.startswith(OTHER)}
    if foreign:
        words = ", ".join(flag(name, value) for name, value in foreign.items())
        logger.info("without effect, for another command: %s", words)
    for name, reason in cls.idle(values).items():
        logger.info("without effect, %s: %s", reason, flag(name, values.pop(name)))
    return made(cls, values)


def _classes(commands: Iterable[type[Options]]) -> list[type[Options]]:
    """The classes of all tasks of some commands."""
    return [each for command in commands for each in by_task(command).values()]


def _argument_parser(
    cls: type[Options], others: Sequence[type[Options]] = ()
) -> argparse.ArgumentParser:
    """A parser whose help has one section for each class that declares options of ``cls``.

    Those of ``others`` are not in its help; their names begin with `OTHER` in what is parsed.
    """
    parser = argparse.ArgumentParser(description=cls.__doc__)
    offer_verbose(parser)
    tasks, done = by_task(cls), set()
    for group in dict.fromkeys(group for each in tasks.values() for group in each.__mro__):
        of = {task: options_of(each) for task, each in tasks.items() if issubclass(each, group)}
        names = [field.name for field in declared_by(group) if field.name not in done]
        done.update(names)
        if names:
            only = f" (--{TASK} {next(iter(of))})" if len(of) < len(tasks) else ""
            section = parser.add_argument_group((group.__doc__ or "").rstrip(".") + only)
            for name in names:
                _add_argument(section, {task: options[name] for task, options in of.items()})
            for name, each in vars(group).get("shorthands", {}).items():
                done.add(name)
                common = {"default": argparse.SUPPRESS, "help": each.help}
                section.add_argument(f"--{name}", action="store_true", **common)
    for each in _classes(others):
        for name, option in options_of(each).items():
            if name not in done and not option.facts["positional"]:
                done.add(name)
                hidden = {"dest": OTHER + name, "help": argparse.SUPPRESS, "required": False}
                _add_flag(parser, option, {"default": argparse.SUPPRESS, **hidden})
    return parser


def _add_argument(section: Any, options: Mapping[str, Option]) -> None:
    """Add an option, given by task; what a user leaves out is left to the class's defaults."""
    option = next(iter(options.values()))
    defaults = {text_of(each.default): f" with --{TASK} {task}" for task, each in options.items()}
    defaults[text_of(option.default)] = ""
    if option.name == TASK:
        defaults = {option.default: ""}
    shown = [text + of for text, of in defaults.items() if text not in ("", "False")]
    default = [f"default: {', or '.join(shown)}"] if shown else []
    notes = "; ".join(default + option.facts["words"])
    help = option.facts["help"] + (f" ({notes})" if notes else "")
    common = {"default": argparse.SUPPRESS, "help": help.replace("%", "%%")}
    if option.facts["positional"]:
        section.add_argument(option.name, type=functools.partial(_read, option.kind), **common)
        return
    _add_flag(section, option, {**common, "required": option.required})


def _add_flag(section: Any, option: Option, common: Mapping[str, Any]) -> None:
    """Add an option that is given by its flag; ``common`` are arguments of argparse's."""
    if option.kind is bool:
        section.add_argument(f"--{option.name}", action="store_true", **common)
        return
    read = {"type": functools.partial(_read, option.kind), "metavar": option.kind.__name__.upper()}
    if option.several:  # given twice, it holds the values of both
        read.update(nargs="+", action="extend")
    section.add_argument(f"--{option.name}", **common, **read)


def _read(kind: type, text: str) -> Any:
    """Turn text into a ``kind``; what cannot be is left for the check, which says what to do."""
    try:
        if kind is str and text.startswith("~"):  # of a text that may be a path
            return str(path_of(text))
        return path_of(text) if kind is Path else kind(text)
    except ValueError:
        return text
