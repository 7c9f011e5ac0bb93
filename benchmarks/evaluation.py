"""Evaluation of pictures of KITTI's size beyond the engine's own time, and its ground truth.

python -m benchmarks.evaluation [--small] [RESULT.json]
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from benchmarks.drives import DRIVE, add_sweeps, write_drive, write_split
from benchmarks.measure import Cost, Row, Scale, compared, in_turns, run_part
from benchmarks.models import write_model
from datasets.kitti import frame_path
from datasets.pictures import read_picture
from datasets.splits import SplitLine
from evaluation.ground_truth import FORWARD, frame_depth
from evaluation.ground_truth_export import export_ground_truth
from evaluation.metric_depth import evaluate_metric
from options import EvaluateOptions, parse
from prediction.predictor import DepthPredictor
from system.memory import keep_freed_memory

IMAGES, EIGEN = 48, 697  # measured; of the test that is published


def rows(scale: Scale) -> Iterator[Row]:
    """Ground truth, then the evaluation against it."""
    count = scale.of(IMAGES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MONODEPTH_HOME"] = str(folder / "home")
        weights = write_model(folder / "weights", scale)
        write_drive(folder, count)
        add_sweeps(folder, count)
        lines = [SplitLine(DRIVE, frame, "l") for frame in range(count)]
        write_split(folder / "split", test=lines)
        truth = folder / "truth.npz"
        keep_freed_memory()  # as the export does
        ways = {
            "export": lambda: quietly(export_ground_truth, folder, lines, FORWARD, truth, 0),
            "project": lambda: [frame_depth(folder, line, FORWARD) for line in lines],
        }
        costs = in_turns(ways, scale.rounds)
        what = "ground truth, ms a sweep, 1 core (projecting it alone)"
        yield each_of(what, costs["export"], costs["project"], count, scale, costs["export"])

        predictor = DepthPredictor.from_folder(weights, "cpu")
        paths = [frame_path(folder, DRIVE, frame, "l", "jpg") for frame in range(count)]
        images = [predictor.network_input(read_picture(path))[None] for path in paths]
        words = ["--data_path", folder, "--eval_split", folder / "split", "--gt_path", truth]
        words += ["--load_weights_folder", weights, "--device", "cpu"]
        options = parse(EvaluateOptions, list(map(str, words)))
        ways = {
            "whole": lambda: quietly(evaluate_metric, options, folder / "out"),
            "engine": lambda: [predictor.network.disparity(image) for image in images],
        }
        costs = in_turns(ways, scale.rounds)
        whole, engine = costs["whole"], costs["engine"]
        beyond = Cost(whole.wall - engine.wall, whole.processor - engine.processor)
        what = "evaluation, ms a picture (engine alone)"
        yield each_of(what, whole, engine, count, scale, beyond, " beyond the engine")


def each_of(
    what: str,
    ours: Cost,
    other: Cost,
    count: int,
    scale: Scale,
    of_eigen: Cost,
    beyond: str = "",
) -> Row:
    """A row in milliseconds for each of a ``count``, and a note of what all of eigen take."""
    ms, all_of = 1000 / count, of_eigen.times(EIGEN / count)
    note = f"{EIGEN}: {all_of.wall:.1f} s{beyond}, {all_of.processor:.1f} s of one core"
    return compared(what, ours.times(ms), other.times(ms), note, scale.rounds)


def quietly(function: Callable[..., None], *arguments: object) -> None:
    """Call a function whose report and progress are not shown."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        function(*arguments)


if __name__ == "__main__":
    run_part(rows)
