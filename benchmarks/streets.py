"""``python -m datasets.streets``: with a process for each core, against one.

python -m benchmarks.streets [--small] [RESULT.json]
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Row, Scale, compared, in_turns, run_part, run_quietly

DRIVES, FRAMES = 4, 30


def rows(scale: Scale) -> Iterator[Row]:
    """One: milliseconds a stereo pair with its sweep, the start of the processes included."""
    frames = max(3, scale.of(FRAMES))
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "streets"

        def generate(*words: object) -> None:
            shutil.rmtree(out, ignore_errors=True)
            command = [sys.executable, "-m", "datasets.streets", out, "--frames", frames]
            run_quietly([*command, "--train_drives", DRIVES - 2, "--val_drives", 1, *words])

        ways = {
            "all": lambda: generate("--test_drives", 1),
            "one": lambda: generate("--test_drives", 1, "--num_workers", 1),
        }
        costs = in_turns(ways, scale.rounds)
    count = DRIVES * frames
    each = {way: cost.times(1000 / count) for way, cost in costs.items()}
    what = f"streets, ms a pair with {os.cpu_count()} processes (one)"
    note = f"{1000 / each['all'].wall:.1f} pairs a second"
    yield compared(what, each["all"], each["one"], note, scale.rounds)


if __name__ == "__main__":
    run_part(rows)
