"""What a check is told, and the rows that it gives."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OK, OFF, NOT_HERE = "ok", "off", "not available"
REPORT = "send what this command wrote (docs/gpu.md#when-a-row-is-off)"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was looked at.
        status: ``ok``, ``off`` or ``not available``.
        words: the figures, or what is the matter.
        remedy: what to do about it, where it is off.
        figures: for the JSON file, by name.
    """

    name: str
    status: str
    words: str
    remedy: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For a JSON file, where numbers that are none become text."""
        return {**dataclasses.asdict(self), "figures": _with_finite(dict(self.figures))}


@dataclass(frozen=True)
class Settings:
    """What all checks are told.

    Attributes:
        device: ``cpu``, ``gpu`` or ``gpu:N``; None for the GPU where there is one.
        folder: for what checks write; they find there what others have written.
        small: sizes for a CPU, which say whether it works and nothing of speed.
    """

    device: str | None
    folder: Path
    small: bool

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return (64, 96) if self.small else (192, 640)

    @property
    def batch_size(self) -> int:
        """Of trainings whose speed is not asked for."""
        return 2 if self.small else 4


def judged(name: str, is_ok: bool, words: str, remedy: str = REPORT, **figures: Any) -> Row:
    """A row that is ok or off; one that is ok needs no remedy."""
    return Row(name, OK, words, "", figures) if is_ok else Row(name, OFF, words, remedy, figures)


def in_table(row: Row) -> str:
    """A row as a line of the table."""
    return f"{row.status:13s}  {row.name:34s}  {row.words}"


def advice(rows: Iterable[Row]) -> list[str]:
    """What to do about each row that is off."""
    return [f"{row.name}: {row.remedy}" for row in rows if row.status == OFF]


def _with_finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _with_finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_finite(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
