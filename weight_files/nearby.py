"""Weights folders that somebody may have meant who named one that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

from networks.kinds import ALL_MODULES
from weight_files.model_info import INFO_FILE
from weight_files.reading import SUFFIXES

USUAL = ("weights", "logs", "runs")  # where weights folders are, below the current one
DEEPEST = 3  # levels of folders below those
MOST_SHOWN = 6
MOST = 500  # folders looked at in a place
CHECKPOINTS = ("best", "last")  # of a run


def has_weights(folder: Path) -> bool:
    """Whether a folder looks like a weights folder."""
    if (folder / INFO_FILE).is_file():
        return True
    return any((folder / (name + suffix)).is_file() for name in ALL_MODULES for suffix in SUFFIXES)


def folders_below(folder: Path) -> Iterator[Path]:
    """A folder and those in it, the upper ones first; hidden ones are left out."""
    level = [folder] if folder.is_dir() else []
    for _ in range(1 + DEEPEST):
        yield from level
        below = []
        for path in level:
            with suppress(OSError):  # may not be looked into
                below += sorted(p for p in path.iterdir() if p.is_dir() and p.name[0] != ".")
        level = below


def what_to_do(missing: Path) -> str:
    """What to do about a weights folder that is not there, or is a folder of something else."""
    if missing.is_file() and missing.suffix in SUFFIXES:
        if missing.stem in ALL_MODULES:
            return f"name the folder that this file is in, {missing.parent}"
        return (
            "this is a file; make a folder of it: python -m tools.convert_weights "
            f"{missing} FOLDER --to safetensors --kind KIND"
        )
    for name in CHECKPOINTS:
        beside = missing.parent / name
        if missing.name in CHECKPOINTS and has_weights(beside):
            why = "; best is written after the first validation" if name == "last" else ""
            return f"there is {beside}{why}"
    around = missing if missing.is_dir() else missing.parent
    places = [around, *(Path(name) for name in USUAL)]
    looked_at = chain.from_iterable(islice(folders_below(place), MOST) for place in places)
    found = list(dict.fromkeys(path for path in looked_at if has_weights(path)))
    if not found:
        return "train one with train.py, or name a published model with --model_name"
    more = f" and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
    return f"there are {', '.join(map(str, found[:MOST_SHOWN]))}{more}"
