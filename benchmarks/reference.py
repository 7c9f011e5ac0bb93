"""A PyTorch Monodepth2 beside this one: prediction, networks, training items, the whole step.

python -m benchmarks.reference [--small] RESULT.json DIR [PYTHON]

``DIR`` is a checkout, of which ``benchmarks/peer.py`` runs what is there; ``PYTHON`` (or the
variable ``REFERENCE_PYTHON``) an interpreter that has PyTorch and what the checkout needs.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
import paddle

from benchmarks.drives import DRIVE, write_drive
from benchmarks.loader import SOURCES
from benchmarks.measure import (
    Cost,
    Peer,
    Row,
    Scale,
    compared,
    in_turns,
    peak_gib,
    resident_bytes,
    run_part,
    unavailable,
)
from benchmarks.models import write_model
from benchmarks.step import BATCH, batch_of, networks_alone, train_words, training_step, whole_step
from datasets.conventions import STEREO
from datasets.items import make_items
from datasets.loader import make_batch
from datasets.splits import SplitLine
from networks.monodepth import Architecture, Monodepth
from prediction.predictor import DepthPredictor
from system.errors import InputError
from training.cpu.process import keep_freed_memory

ITEMS = 8
# What is compared, how often in each turn, and the unit of its figures.
WORK = {
    "predict": ("prediction, ms an image (PyTorch)", 4, 1000),
    "item": ("item, JPEG, ms (PyTorch)", 1, 1000 / ITEMS),
    "train": (f"networks of depth, batch {BATCH}, a step, s (PyTorch)", 1, 1),
    "step": (f"training step, MS, batch {BATCH}, s (PyTorch)", 1, 1),
}


class FailedError(Exception):
    """The checkout could not do what it was asked."""


def rows(scale: Scale, checkout: str | None = None, python: str | None = None) -> Iterator[Row]:
    """One for each kind of work, and the memory of the step.

    Raises:
        InputError: there is no such folder, or no Python for it.
    """
    if checkout is None:
        raise InputError("name a checkout of the published code with --reference DIR")
    if not Path(checkout).is_dir():
        raise InputError(f"--reference {checkout}: no such folder")
    own = sys.executable if importlib.util.find_spec("torch") else "python3"
    python = python or os.environ.get("REFERENCE_PYTHON", own)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "drive").mkdir()
        write_drive(folder / "drive", 3 * ITEMS)
        command = [python, Path(__file__).with_name("peer.py"), Path(checkout).resolve()]
        command += [folder / "drive", DRIVE, scale.height, scale.width, BATCH, ITEMS]
        failure = f"--reference {checkout}: {python} ended"
        peer = Peer(list(map(str, command)), failure)
        ways = our_ways(folder, scale)
        for work, (what, count, unit) in WORK.items():
            both = {"ours": partial(repeat, ways[work](), count)}
            both["peer"] = partial(ask, peer, f"{work} {count}")
            try:
                both["peer"]()  # so that what it lacks is known first
                costs = in_turns(both, scale.rounds)
            except FailedError as error:
                yield unavailable(what, error)
                continue
            ours, theirs = (cost.times(unit / count) for cost in costs.values())
            yield compared(what, ours, theirs, repeats=scale.rounds)
        peer.close()
        yield memory(folder, scale, Peer(list(map(str, command)), failure))


def repeat(way: Callable[[], object], count: int) -> None:
    """Do something so many times."""
    for _ in range(count):
        way()


def ask(peer: Peer, line: str) -> Cost:
    """What it took the checkout.

    Raises:
        FailedError: it could not do it.
    """
    answer = json.loads(peer.ask(line))
    if isinstance(answer, str):
        raise FailedError(answer)
    return Cost(*answer)


def our_ways(folder: Path, scale: Scale) -> dict[str, Callable[[], Callable[[], object]]]:
    """What makes ready for each kind of work."""

    def predict() -> Callable[[], object]:
        network = DepthPredictor.from_folder(write_model(folder / "weights", scale), "cpu").network
        image = np.zeros((1, scale.height, scale.width, 3), np.uint8)
        return lambda: network.disparity(image)

    def item() -> Callable[[], object]:
        cv2.setNumThreads(1)
        # Neighbours would share frames, which are read once; in training, few items do.
        lines = [SplitLine(DRIVE, frame, "l") for frame in range(1, 3 * ITEMS, 3)]
        items = make_items(folder / "drive", lines, SOURCES, scale.height, scale.width)
        return lambda: make_batch(items, 0, range(ITEMS))

    def train() -> Callable[[], object]:
        model = Monodepth(Architecture(source_ids=(STEREO,)))
        batch = paddle.rand([BATCH, 3, scale.height, scale.width])
        # The sources are not looked at without a pose network.
        inputs = {"seen": {"target": batch, "sources": batch.unsqueeze(1)}, "known": None}
        parameters = [*model.encoder.parameters(), *model.depth.parameters()]
        return training_step(networks_alone(model), inputs, parameters)

    return {
        "predict": predict,
        "item": item,
        "train": train,
        "step": lambda: whole_step(batch_of(scale)),
    }


def memory(folder: Path, scale: Scale, peer: Peer) -> Row:
    """Of a step, of either."""
    what = "memory of a step at most, GiB (PyTorch)"
    try:
        for _ in range(2):
            ask(peer, "step 1")
        theirs = resident_bytes(peer.process_id, at_most=True) / 2**30
        (folder / "training").mkdir()
        return compared(what, peak_gib(train_words(folder / "training", scale)), theirs)
    except (FailedError, OSError) as error:
        return unavailable(what, error)
    finally:
        peer.close()


if __name__ == "__main__":
    run_part(rows)
