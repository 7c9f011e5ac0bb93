"""Relative depth learnt in minutes, with no download: generate rooms, train, measure, predict.

Every stage is a command that can be typed as well; it is printed before it runs. MiDaS v2.1 small
starts from random weights. What comes out is ``runs/quickstart_midas/result.png``, to look at, and
``runs/quickstart_midas/result.json``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from options import TrainOptions, parse
from system.errors import run_command
from system.files import read_json
from system.locks import alone_at
from tools import stages
from tools.stages import ROOT, Series, seed_given, write_result

if TYPE_CHECKING:
    import numpy as np

RUN = Path("runs/quickstart_midas")  # relative to ROOT, as are the commands
UNTRAINED, MODEL = RUN / "untrained", RUN / "model"
ROOMS = ["--width", "64", "--height", "64", "--train", "1500", "--val", "40", "--test", "60"]
# Depth of rooms is exact, so nothing is trimmed; differences between neighbours would keep a
# network that knows nothing yet from predicting any.
TRAINING = [
    *("--task", "supervised", "--dataset", "rgbd", "--height", "64", "--width", "64"),
    *("--trim", "0", "--gradient_weight", "0", "--batch_size", "16", "--learning_rate", "1e-3"),
    *("--num_epochs", "4", "--scheduler_step_size", "3"),
]
STAGES = 6  # rooms, training, two measurements, two predictions
PICTURE = 4  # the test picture that is shown, by its place in the list


def training_arguments(rooms: Path, seed: int) -> list[str]:
    """The options of ``train.py``."""
    name = ["--log_dir", str(MODEL.parent), "--model_name", MODEL.name]
    return ["--data_path", str(rooms), *name, *TRAINING, "--seed", str(seed), "--num_workers", "1"]


def measure(series: Series, rooms: Path, weights: Path) -> tuple[dict[str, float], float]:
    """The metrics of weights on the test rooms, after alignment, and the seconds it took."""
    data = ["--task", "relative", "--data_path", rooms / "test"]
    result = weights / "eval_test_relative.json"
    result.unlink(missing_ok=True)  # of other rooms
    seconds = series.run(["evaluate_depth.py", "--load_weights_folder", weights, *data])
    return read_json(result)["metrics"], seconds


def predict(series: Series, picture: Path, weights: Path, output: Path) -> np.ndarray:
    """Relative inverse depth [H, W] of a picture, by ``demo.py``."""
    import numpy as np  # --help does without

    words = ["--image_path", picture, "--load_weights_folder", weights, "--output", output]
    series.run(["demo.py", *words, "--extras", "side"])
    return np.load(output / f"{picture.stem}_disp.npy", allow_pickle=False).squeeze()


def summary(result: Mapping[str, Any]) -> str:
    """The result in a few lines of text."""
    share = result["after"]["abs_rel"] / result["before"]["abs_rel"]
    return stages.summary(result, f"abs_rel after alignment fell to {share:.0%} of what it was")


def write_sheet(
    series: Series, rooms: Path, weights: Path, metrics: Mapping[str, Mapping[str, float]]
) -> None:
    """Draw one test picture, its inverse depth before, after and in truth, and the metrics."""
    # --help needs none of these.
    from datasets.depth_files import read_depth
    from datasets.pictures import read_picture
    from datasets.rgbd import find_pairs, read_note
    from tools.sheet import relative_sheet, save_sheet

    pair = find_pairs(rooms / "test")[PICTURE]
    depths = {
        label: predict(series, pair.picture, folder, RUN / label.lower())
        for label, folder in (("Before", UNTRAINED), ("After", weights))
    }
    truth = read_depth(pair.depth, read_note(rooms / "test"))
    sheet = relative_sheet(read_picture(pair.picture), depths, truth, metrics)
    save_sheet(RUN / "result.png", sheet)


def main(argv: Sequence[str] | None = None) -> None:
    """Run all stages; an earlier run's rooms are used again, its model is replaced."""
    seed = seed_given(argv, __doc__.splitlines()[0], "rooms and training")
    os.chdir(ROOT)
    with alone_at(RUN, "runs this", "stop it"):
        run_all(seed)


def run_all(seed: int) -> None:
    """Run all stages, in the folder of the project."""
    # --help needs none of these.
    from system.device import choose_device
    from training.checkpoint import save_checkpoint
    from training.supervised import info_of, initial_model

    rooms = RUN / f"rooms_seed{seed}"
    training = training_arguments(rooms, seed)
    options = parse(TrainOptions, training)

    start, seconds, series = time.monotonic(), {}, Series(STAGES)
    if not rooms.exists():
        rooms.parent.mkdir(parents=True, exist_ok=True)
        seconds["rooms"] = series.run(["-m", "datasets.rooms", rooms, *ROOMS, "--seed", seed])
    else:
        series.leave_out()
    choose_device(options.device)
    save_checkpoint(UNTRAINED, initial_model(options), info_of(options))
    figures = {}
    figures["before"], seconds["evaluation_before"] = measure(series, rooms, UNTRAINED)
    seconds["training"] = series.train_anew(training, MODEL)
    weights = MODEL / "last"
    figures["after"], seconds["evaluation_after"] = measure(series, rooms, weights)
    write_sheet(series, rooms, weights, figures)
    result = write_result(RUN, figures, seconds, start, seed, TRAINING)
    print(f"\n{summary(result)}\nsee {RUN / 'result.png'} and {RUN / 'result.json'}")


if __name__ == "__main__":
    run_command(main)
