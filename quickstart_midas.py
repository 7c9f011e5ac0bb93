"""Relative depth learnt in minutes, with no download: generate rooms, train, measure, predict.

Every stage is a command that can be typed as well; it is printed before it runs. MiDaS v2.1 small
starts from random weights. What comes out is ``runs/quickstart_midas/result.png``, to look at, and
``runs/quickstart_midas/result.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datasets.kitti import read_image
from datasets.rgbd import find_pairs, read_depth, read_note
from errors import run_command
from files import written_whole
from networks.device import choose_device
from options import TrainOptions, parse
from prediction.sheet import relative_sheet
from stages import ROOT, run_stage, settings_of, write_result
from training.checkpoint import save_checkpoint
from training.supervised_setup import depth_info, starting_model

RUN = Path("runs/quickstart_midas")  # relative to ROOT, as are the commands
UNTRAINED, MODEL = RUN / "untrained", RUN / "model"
ROOMS = ["--width", "64", "--height", "64", "--train", "1500", "--val", "40", "--test", "60"]
# Depth of rooms is exact, so nothing is trimmed; differences between neighbours would keep a
# network that knows nothing yet from predicting any.
TRAINING = [
    *("--task", "supervised", "--dataset", "rgbd", "--height", "64", "--width", "64"),
    *("--trim", "0", "--gradient_weight", "0", "--batch_size", "16", "--learning_rate", "1e-3"),
    *("--num_epochs", "4", "--scheduler_step_size", "3", "--log_frequency", "20"),
]
PICTURE = 4  # the test picture that is shown, by its place in the list


def training_arguments(rooms: Path, seed: int) -> list[str]:
    """The options of ``train.py``."""
    name = ["--log_dir", str(MODEL.parent), "--model_name", MODEL.name]
    return ["--data_path", str(rooms), *name, *TRAINING, "--seed", str(seed), "--num_workers", "1"]


def measure(rooms: Path, weights: Path) -> tuple[dict[str, float], float]:
    """The metrics of weights on the test rooms, after alignment, and the seconds it took."""
    data = ["--task", "relative", "--data_path", str(rooms / "test")]
    seconds = run_stage(["evaluate_depth.py", "--load_weights_folder", str(weights), *data])
    text = (weights / "eval_test_relative.json").read_text(encoding="utf-8")
    return json.loads(text)["metrics"], seconds


def predict(picture: Path, weights: Path, output: Path) -> np.ndarray:
    """Relative inverse depth [H, W] of a picture, by ``demo.py``."""
    words = ["--image_path", str(picture), "--load_weights_folder", str(weights)]
    run_stage(["demo.py", *words, "--output", str(output), "--extras", "side"])
    return np.load(output / f"{picture.stem}_disp.npy", allow_pickle=False).squeeze()


def summary(result: Mapping[str, Any]) -> str:
    """The result in a few lines of text."""
    lines = [f"{'':10s}" + "".join(f"{name:>10s}" for name in result["before"])]
    for row in ("before", "after"):
        lines.append(f"{row:10s}" + "".join(f"{value:10.3f}" for value in result[row].values()))
    share = result["after"]["abs_rel"] / result["before"]["abs_rel"]
    lines.append(f"abs_rel after alignment fell to {share:.0%} of what it was")
    peak = result["peak_memory_mib"]
    memory = "" if peak is None else f", largest process {peak:.0f} MiB"
    return "\n".join([*lines, f"{result['total_seconds']:.0f} s in all{memory}"])


def write_sheet(rooms: Path, weights: Path, metrics: Mapping[str, Mapping[str, float]]) -> None:
    """Draw one test picture, its inverse depth before, after and in truth, and the metrics."""
    pair = find_pairs(rooms / "test")[PICTURE]
    depths = {
        label: predict(pair.picture, folder, RUN / label.lower())
        for label, folder in (("Before", UNTRAINED), ("After", weights))
    }
    truth = read_depth(pair.depth, read_note(rooms / "test"))
    sheet = relative_sheet(read_image(pair.picture), depths, truth, metrics)
    with written_whole(RUN / "result.png") as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")


def main(argv: Sequence[str] | None = None) -> None:
    """Run all stages; an earlier run's rooms are used again, its model is replaced."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="decides rooms and training")
    seed = parser.parse_args(argv).seed
    os.chdir(ROOT)
    rooms = RUN / f"rooms_seed{seed}"
    training = training_arguments(rooms, seed)
    options = parse(TrainOptions, training)

    start, seconds = time.monotonic(), {}
    if not rooms.exists():
        rooms.parent.mkdir(parents=True, exist_ok=True)
        words = ["-m", "datasets.rooms", str(rooms), *ROOMS, "--seed", str(seed)]
        seconds["rooms"] = run_stage(words)
    choose_device(options.device)
    save_checkpoint(UNTRAINED, starting_model(options), depth_info(options))
    before, seconds["evaluation_before"] = measure(rooms, UNTRAINED)
    if MODEL.exists():
        shutil.rmtree(MODEL)
    seconds["training"] = run_stage(["train.py", *training])
    weights = MODEL / "last"
    after, seconds["evaluation_after"] = measure(rooms, weights)
    write_sheet(rooms, weights, {"before": before, "after": after})
    settings = settings_of(options.seed, TRAINING)
    result = write_result(RUN, {"before": before, "after": after}, seconds, start, settings)
    print(f"\n{summary(result)}\nsee {RUN / 'result.png'} and {RUN / 'result.json'}")


if __name__ == "__main__":
    run_command(main)
