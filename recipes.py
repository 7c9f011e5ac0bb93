"""The rows of the published table as data: how each is trained, and what it is to give.

``recipes.json`` holds, per row:

- ``title``: as in the paper's table.
- ``train``: options of ``train.py`` per stage; a later stage goes on from the weights of the one
  before.
- ``scaling``: ``mono`` or ``stereo``, of the evaluation.
- ``published``: name of the published weights, or nothing.
- ``paper``: the published metrics; or ``range``: per metric the lowest and the highest value that
  is expected.
- ``generate``: options of ``datasets.synthetic`` where the data is generated.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from errors import InputError

FILE = Path(__file__).resolve().parent / "recipes.json"


@dataclass(frozen=True)
class Recipe:
    """One row; the fields are those of ``recipes.json``."""

    title: str
    train: tuple[tuple[str, ...], ...]
    scaling: str
    published: str | None = None
    paper: dict[str, float] = field(default_factory=dict)
    range: dict[str, tuple[float, float]] = field(default_factory=dict)
    generate: tuple[str, ...] | None = None


def load_recipes(path: Path | None = None) -> dict[str, Recipe]:
    """All rows by name."""
    content = json.loads((path or FILE).read_text(encoding="utf-8"))
    common = shlex.split(content["common"])
    return {name: _recipe(row, common) for name, row in content["rows"].items()}


def load_recipe(name: str, path: Path | None = None) -> Recipe:
    """One row.

    Raises:
        InputError: there is none of that name.
    """
    recipes = load_recipes(path)
    if name not in recipes:
        raise InputError(f"--row {name}: no such row; there are {', '.join(recipes)}")
    return recipes[name]


def _recipe(row: dict, common: list[str]) -> Recipe:
    generated = row.get("generate")
    shared = [] if generated is not None else common
    return Recipe(
        title=row["title"],
        train=tuple((*shared, *shlex.split(stage)) for stage in row["train"]),
        scaling=row["scaling"],
        published=row.get("published"),
        paper=row.get("paper", {}),
        range={metric: tuple(limits) for metric, limits in row.get("range", {}).items()},
        generate=None if generated is None else tuple(shlex.split(generated)),
    )
