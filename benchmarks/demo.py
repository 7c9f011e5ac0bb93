"""``demo.py`` for one picture by every engine, from the command to the written files.

python -m benchmarks.demo [--small] [RESULT.json]

The exported model, and what OpenVINO has compiled, are there. Compared with Paddle uncompiled.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.drives import DRIVE, write_drive
from benchmarks.measure import Row, Scale, compared, in_turns, run_part, run_quietly, unavailable
from benchmarks.models import write_model
from datasets.kitti import frame_path
from options import ENGINES
from system.errors import InputError
from tools.stages import ROOT


def rows(scale: Scale) -> Iterator[Row]:
    """One for each engine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MONODEPTH_HOME"] = str(folder / "home")
        write_drive(folder, 1)
        picture = frame_path(folder, DRIVE, 0, "l", "jpg")
        words = ["--load_weights_folder", write_model(folder / "weights", scale)]
        words += ["--image_path", picture, "--output", folder / "out", "--engine"]
        ways = {}
        for engine in ENGINES:
            way = partial(run_quietly, [sys.executable, ROOT / "demo.py", *words, engine])
            try:
                way()  # which makes its model
                ways[engine] = way
            except InputError as error:
                yield unavailable(what(engine), error)
        costs = in_turns(ways, scale.rounds)
    for engine, cost in costs.items():
        yield compared(what(engine), cost, costs["paddle"], repeats=scale.rounds)


def what(engine: str) -> str:
    """What a row compares."""
    return f"demo.py, one picture, {engine}, s (paddle)"


if __name__ == "__main__":
    run_part(rows)
