"""The whole way in minutes, with no download: generate streets, train, measure, predict.

Every stage is a command that can be typed as well; it is printed before it runs. What comes out
is ``runs/quickstart/result.png``, to look at, and ``runs/quickstart/result.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datasets.kitti import image_paths, read_image
from datasets.splits import load_split
from errors import run_command
from evaluation.ground_truth import ground_truth_file, open_ground_truth
from files import written_whole
from networks.device import choose_device
from options import TrainOptions, parse
from prediction.sheet import quickstart_sheet
from recipes import load_recipe
from stages import ROOT, run_stage, settings_of, write_result
from training.checkpoint import save_checkpoint
from training.setup import info_of, initial_model

RUN = Path("runs/quickstart")  # relative to ROOT, as are the commands
UNTRAINED, START, MODEL = RUN / "untrained", RUN / "start", RUN / "model"
PREDICTION = RUN / "prediction"

# In recipes.json. Its outputs start at a depth of 10 m instead of the published 1 m: from there,
# stereo pairs are matched whatever the seed (docs/learning-curves.md).
TRAINING = load_recipe("streets").train[0]
PICTURE = 4  # the test image that is shown, by its place in the list


def training_arguments(streets: Path, seed: int) -> list[str]:
    """The options of ``train.py``."""
    data = ["--data_path", str(streets), "--split", str(streets / "splits")]
    name = ["--log_dir", str(MODEL.parent), "--model_name", MODEL.name]
    return [*data, *name, *TRAINING, "--seed", str(seed), "--num_workers", "1"]


def evaluation_arguments(streets: Path, weights: Path) -> list[str]:
    """The options of ``evaluate_depth.py``: stereo, so that no image is scaled to its truth."""
    data = ["--data_path", str(streets), "--eval_split", str(streets / "splits")]
    return ["--load_weights_folder", str(weights), "--eval_stereo", *data, "--num_workers", "1"]


def read_metrics(weights: Path) -> dict[str, float]:
    """The metrics that ``evaluate_depth.py`` wrote into a weights folder."""
    text = (weights / "eval_splits_stereo.json").read_text(encoding="utf-8")
    return json.loads(text)["metrics"]


def summary(result: Mapping[str, Any]) -> str:
    """The result in a few lines of text."""
    lines = [f"{'':10s}" + "".join(f"{name:>10s}" for name in result["before"])]
    for row in ("before", "start", "after"):
        lines.append(f"{row:10s}" + "".join(f"{value:10.3f}" for value in result[row].values()))
    peak = result["peak_memory_mib"]
    memory = "" if peak is None else f", largest process {peak:.0f} MiB"
    return "\n".join([*lines, f"{result['total_seconds']:.0f} s in all{memory}"])


def write_sheet(streets: Path, metrics: Mapping[str, Mapping[str, float]]) -> None:
    """Draw one test image, its predicted and true depth, and the metrics."""
    lines = load_split(str(streets / "splits"), "test")
    picture = image_paths(streets, lines, png=None)[PICTURE]
    with open_ground_truth(ground_truth_file(str(streets / "splits"), None), len(lines)) as truth:
        true_depth = truth[PICTURE]
    depth = np.load(PREDICTION / f"{picture.stem}_depth.npy", allow_pickle=False)
    sheet = quickstart_sheet(read_image(picture), depth, true_depth, metrics)
    with written_whole(RUN / "result.png") as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")


def main(argv: Sequence[str] | None = None) -> None:
    """Run all stages; an earlier run's streets are used again, its model is replaced."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="decides streets and training")
    seed = parser.parse_args(argv).seed
    os.chdir(ROOT)
    streets = RUN / f"streets_seed{seed}"
    splits = str(streets / "splits")
    training = training_arguments(streets, seed)
    options = parse(TrainOptions, training)

    start = time.monotonic()
    seconds = {
        "streets": run_stage(["-m", "datasets.synthetic", str(streets), "--seed", str(seed)])
    }
    export = ["--data_path", str(streets), "--split", splits, "--num_workers", "1"]
    seconds["ground_truth"] = run_stage(["export_gt_depth.py", *export])

    choose_device(options.device)
    published_start = replace(options, initial_disparity=None)
    for folder, untrained in ((UNTRAINED, published_start), (START, options)):
        save_checkpoint(folder, initial_model(untrained), info_of(untrained))
        evaluate = ["evaluate_depth.py", *evaluation_arguments(streets, folder)]
        seconds[f"evaluation_{folder.name}"] = run_stage(evaluate)

    if MODEL.exists():
        shutil.rmtree(MODEL)
    seconds["training"] = run_stage(["train.py", *training])
    weights = MODEL / "last"
    evaluate = ["evaluate_depth.py", *evaluation_arguments(streets, weights)]
    seconds["evaluation_after"] = run_stage(evaluate)

    picture = image_paths(streets, load_split(splits, "test"), png=None)[PICTURE]
    demo = ["--image_path", str(picture), "--load_weights_folder", str(weights)]
    output = ["--output", str(PREDICTION), "--pred_metric_depth"]
    seconds["prediction"] = run_stage(["demo.py", *demo, *output])

    before, at_start, after = map(read_metrics, (UNTRAINED, START, weights))
    rows = {"untrained": before, "started at 10 m": at_start, "trained": after}
    write_sheet(streets, rows)
    figures = {
        "before": before,  # as published: outputs start near 0.5
        "start": at_start,  # as trained here: near --initial_disparity
        "after": after,
    }
    settings = settings_of(options.seed, TRAINING)
    result = write_result(RUN, figures, seconds, start, settings)
    print(f"\n{summary(result)}\nsee {RUN / 'result.png'} and {RUN / 'result.json'}")


if __name__ == "__main__":
    run_command(main)
