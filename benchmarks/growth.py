"""What must not grow: time per item with the list, memory with the steps.

python -m benchmarks.growth [--small] [RESULT.json]
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.drives import write_drive, write_split
from benchmarks.measure import (
    Cost,
    Row,
    Scale,
    compared,
    in_turns,
    resident_bytes,
    run_part,
    training,
    wait_for_step,
)
from datasets.cache import with_cache
from datasets.items import make_items
from datasets.loader import make_batch

SHORT, LONG, TAKEN = 100, 40_000, 64
EARLY, LATE = 200, 2000  # steps
SMALL = ["--height", "64", "--width", "64", "--num_workers", "0", "--device", "cpu"]
SMALL += ["--weights_init", "scratch"]


def item_times(folder: Path, scale: Scale) -> dict[str, Cost]:
    """What some items of a short and of a long list take, from a cache."""
    lines = write_drive(folder, frames=12)
    made = {}
    for length in (SHORT, LONG):
        count = scale.of(length)
        repeated = (lines * (count // len(lines) + 1))[:count]
        items = make_items(folder, repeated, (-1, 1), 192, 640)
        items = with_cache(items, folder / "cache", num_threads=2)
        places = np.linspace(0, count - 1, TAKEN).astype(int).tolist()
        made[str(length)] = lambda items=items, places=places: make_batch(items, 0, places)
    return in_turns(made, 3 * scale.rounds)


def memory(folder: Path, scale: Scale) -> tuple[float, float]:
    """GiB that training holds after few steps and after many."""
    lines = write_drive(folder, frames=8)
    write_split(folder / "split", train=lines, val=lines)
    words = ["--data_path", folder, "--split", folder / "split", "--log_dir", folder]
    words += [
        "--frame_ids",
        0,
        "--use_stereo",
        "--batch_size",
        1,
        "--log_frequency",
        min(50, scale.of(EARLY)),
    ]
    words += ["--num_epochs", 100_000, "--save_frequency", 1000, "--cache_dir", folder / "cache"]
    held = []
    with training([*words, *SMALL]) as process:
        for step in map(scale.of, (EARLY, LATE)):
            wait_for_step(process, folder / "mdp", step)
            held.append(resident_bytes(process.pid) / 2**30)
    return tuple(held)


def rows(scale: Scale) -> Iterator[Row]:
    """Items, then memory."""
    with tempfile.TemporaryDirectory() as name:
        costs = item_times(Path(name), scale)
        short, long = (cost.times(1000 / TAKEN) for cost in costs.values())
        what = f"cached item of {scale.of(LONG)} in the list, ms ({scale.of(SHORT)})"
        yield compared(what, long, short, repeats=3 * scale.rounds)
    with tempfile.TemporaryDirectory() as name:
        early, late = memory(Path(name), scale)
        what = f"memory after {scale.of(LATE)} steps, GiB (after {scale.of(EARLY)})"
        yield compared(what, late, early)


if __name__ == "__main__":
    run_part(rows)
