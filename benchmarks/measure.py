"""Timing several ways of doing the same in turns, so that what else the machine does hits all."""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        what: is compared.
        ours: seconds, or another cost.
        other: of what it is compared with.
        ratio: ``other`` over ``ours``: above 1 where ours costs less.
        note: what else there is to say.
    """

    what: str
    ours: float
    other: float
    ratio: float
    note: str = ""

    def __str__(self) -> str:
        return (
            f"{self.what:44s} {self.ours:12.5g} {self.other:12.5g} {self.ratio:8.2f}  {self.note}"
        )


HEADER = f"{'':44s} {'ours':>12s} {'other':>12s} {'ratio':>8s}"


def in_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each way, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def compared(what: str, ours: float, other: float, note: str = "") -> Row:
    """A row from two costs."""
    return Row(what, ours, other, other / ours, note)


def report(rows: list[Row]) -> None:
    """Print rows and, when the command line names a file, write them there as JSON."""
    print(HEADER)
    for row in rows:
        print(row)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
