"""The whole way in minutes, with no download: generate streets, train, measure, predict.

Every stage is a command that can be typed as well; it is printed before it runs. What comes out
is ``runs/quickstart/result.png``, to look at, and ``runs/quickstart/result.json``.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from options import TrainOptions, parse
from system.errors import run_command
from system.files import read_json
from system.locks import alone_at
from tools.evaluate_objects import RESULT
from tools.reproduce import load_recipe
from tools.stages import ROOT, Series, seed_given, summary, write_result

if TYPE_CHECKING:
    from datasets.streets.render import View

RUN = Path("runs/quickstart")  # relative to ROOT, as are the commands
UNTRAINED, START, MODEL = RUN / "untrained", RUN / "start", RUN / "model"
PREDICTION = RUN / "prediction"

# In recipes.json. Outputs start at a depth of 10 m instead of the published 1 m: from there, stereo
# pairs are matched whatever the seed (docs/learning-curves.md).
RECIPE = load_recipe("streets_hints")
REMARK = (
    "outputs at 10 m: untrained too, but every depth starts at 10 m, not 1 m "
    "(--initial_disparity 0.05)"
)
METRICS = "eval_splits_stereo.json"
STAGES = 7 + len(RECIPE.train)  # streets, truth, three measurements, objects, prediction


def training_arguments(streets: Path, seed: int) -> list[list[str]]:
    """The options of ``train.py`` for each stage; each goes on from the weights of the one before.

    The last one is :data:`MODEL`; the others are beside it.
    """
    data = ["--data_path", str(streets), "--split", str(streets / "splits")]
    models = [MODEL.with_name(f"stage_{n}") for n in range(1, len(RECIPE.train))] + [MODEL]
    stages = []
    for model, words, before in zip(models, RECIPE.train, [None, *models]):
        name = ["--log_dir", str(model.parent), "--model_name", model.name]
        start = [] if before is None else ["--load_weights_folder", str(before / "last")]
        run = ["--seed", str(seed), "--num_workers", "1"]
        stages.append([*data, *name, *words, *start, *run])
    return stages


def read_metrics(weights: Path) -> dict[str, float]:
    """The metrics that ``evaluate_depth.py`` wrote into a weights folder."""
    return read_json(weights / METRICS)["metrics"]


def measure(series: Series, streets: Path, weights: Path) -> tuple[dict[str, float], float]:
    """The metrics of weights on the test drives, no image scaled to its truth; and the seconds."""
    model = ["--load_weights_folder", weights, "--eval_stereo"]
    data = ["--data_path", streets, "--eval_split", streets / "splits", "--num_workers", 1]
    (weights / METRICS).unlink(missing_ok=True)  # of other streets
    seconds = series.run(["evaluate_depth.py", *model, *data])
    return read_metrics(weights), seconds


def find_objects(series: Series, streets: Path, weights: Path) -> tuple[dict[str, float], float]:
    """Shares of the cars, poles and trees that the depth shows, by kind; and the seconds."""
    model = ["--load_weights_folder", weights, "--num_workers", 1]
    (weights / RESULT).unlink(missing_ok=True)
    seconds = series.run(["-m", "tools.evaluate_objects", "--data_path", streets, *model])
    summary = read_json(weights / RESULT)["summary"]
    return {kind: figures["found"] for kind, figures in summary.items()}, seconds


def picture_to_show(views: Sequence[View]) -> int:
    """The place of the view with a car and the largest pole, no side of the picture cutting it.

    By what is on the pictures, not by what was predicted of them.
    """
    # --help needs none of these.
    import numpy as np

    from evaluation.objects import SMALLEST_SHARE

    def largest(view: View, kind: str) -> float:
        cut = {0, *view.objects[:, 0], *view.objects[:, -1]}
        numbers, counts = np.unique(view.objects, return_counts=True)
        whole = [n not in cut and view.kinds[n] == kind for n in numbers.tolist()]
        return counts[whole].max(initial=0) / view.objects.size

    return max(
        range(len(views)),
        key=lambda n: (largest(views[n], "car") >= SMALLEST_SHARE, largest(views[n], "pole")),
    )


def show(
    series: Series,
    streets: Path,
    weights: Path,
    metrics: Mapping[str, Mapping[str, float]],
    objects: Mapping[str, float],
) -> float:
    """Draw one test image, its depths, the metrics and the objects found; seconds to predict."""
    # --help needs none of these.
    import numpy as np

    from datasets.kitti import image_paths
    from datasets.pictures import read_picture
    from datasets.splits import load_split
    from datasets.streets.truth import read_settings, true_view
    from evaluation.ground_truth import open_truth_of_split
    from tools.sheet import quickstart_sheet, save_sheet

    split = str(streets / "splits")
    lines = load_split(split, "test")
    settings = read_settings(streets)
    shown = picture_to_show([true_view(settings, line) for line in lines])
    picture = image_paths(streets, lines, png=None)[shown]
    demo = ["--image_path", picture, "--load_weights_folder", weights, "--output", PREDICTION]
    seconds = series.run(["demo.py", *demo, "--pred_metric_depth"])
    with open_truth_of_split(split, None, lines) as truth:
        true_depth = truth[shown]
    depth = np.load(PREDICTION / f"{picture.stem}_depth.npy", allow_pickle=False)
    sheet = quickstart_sheet(read_picture(picture), depth, true_depth, metrics, [REMARK], objects)
    save_sheet(RUN / "result.png", sheet)
    return seconds


def main(argv: Sequence[str] | None = None) -> None:
    """Run all stages; an earlier run's streets are used again, its model is replaced."""
    seed = seed_given(argv, __doc__.splitlines()[0], "streets and training")
    os.chdir(ROOT)
    with alone_at(RUN, "runs this", "stop it"):
        run_all(seed)


def run_all(seed: int) -> None:
    """Run all stages, in the folder of the project."""
    # --help needs none of these.
    from system.device import choose_device
    from training.checkpoint import save_checkpoint
    from training.self_supervised import info_of, initial_model

    streets = RUN / f"streets_seed{seed}"
    stages = training_arguments(streets, seed)
    parsed = [parse(TrainOptions, stage) for stage in stages]
    models = [options.log_dir / options.model_name for options in parsed]
    options = replace(parsed[0], height=parsed[-1].height, width=parsed[-1].width)

    start, figures, series = time.monotonic(), {}, Series(STAGES)
    render = ["-m", "datasets.streets", streets, *shlex.split(RECIPE.generate), "--seed", seed]
    seconds = {"streets": series.run(render)}
    export = ["--data_path", streets, "--split", streets / "splits", "--num_workers", 1]
    seconds["ground_truth"] = series.run(["export_gt_depth.py", *export])
    choose_device(options.device)
    # As published, outputs start near 0.5; as trained here, near --initial_disparity.
    published = replace(options, initial_disparity=None)
    for row, folder, untrained in (("before", UNTRAINED, published), ("start", START, options)):
        save_checkpoint(folder, initial_model(untrained), info_of(untrained))
        figures[row], seconds[f"evaluation_{folder.name}"] = measure(series, streets, folder)
    seconds["training"] = sum(map(series.train_anew, stages, models))
    weights = MODEL / "last"
    figures["after"], seconds["evaluation_after"] = measure(series, streets, weights)
    objects, seconds["objects"] = find_objects(series, streets, weights)
    labels = ("untrained, as published", "untrained, outputs at 10 m", "trained")
    metrics = dict(zip(labels, figures.values()))
    seconds["prediction"] = show(series, streets, weights, metrics, objects)
    figures["objects_found"] = objects
    result = write_result(RUN, figures, seconds, start, seed, *RECIPE.train)
    found = ", ".join(f"{kind} {share:.0%}" for kind, share in objects.items())
    print(f"\n{summary(result, f'found in the predicted depth: {found}')}")
    print(f"see {RUN / 'result.png'} and {RUN / 'result.json'}")


if __name__ == "__main__":
    run_command(main)
