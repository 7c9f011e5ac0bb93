"""Train, measure and look at S, M and MS on KITTI raw, whatever part of it is there.

    python -m benchmarks.real_kitti --data_path KITTI_RAW --runs S M MS --seeds 0 1 2 --steps 300

Every stage is a command that can be typed as well; it is printed before it runs. What is there
already is kept, so runs can be made one after the other, and stopped. Words after ``--`` go to
``train.py``; ``--every N`` measures what a run had reached after every N steps too. Which frames
are trained and tested on says ``benchmarks/kitti_lists.py``. Writes ``OUT/table.md``,
``OUT/sheet.png``, ``OUT/result.json`` and, of runs that were measured more than once,
``OUT/curve.png``.
"""

from __future__ import annotations

import math
import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from benchmarks.kitti_lists import MODES, Plan, find_drives, lists_of, make_plan
from benchmarks.kitti_table import (
    SHOWN,
    Row,
    commands_of,
    curves_of,
    draw_curves,
    means_of,
    rows_of,
    table,
)
from benchmarks.measure import at_dashes
from datasets.splits import load_split
from options import SCRATCH, SIZE_MULTIPLE, Conflicts, option, parse
from system import cpu_math
from system.command_line import Options
from system.errors import InputError, run_command
from system.files import make_writable_folder, read_json, write_json, written_whole
from tools.stages import run_stage

if TYPE_CHECKING:
    import numpy as np

STEPS_BETWEEN_SAVES = 250  # of runs that are measured once
SPARE = 5  # checkpoints
ENGINE = "paddle"  # the others are made for weights that stay
DATA = "KITTI_RAW"  # what the folder of the data is called in results


@dataclass(frozen=True)
class RealKittiOptions(Options):
    """Train, measure and look at S, M and MS on KITTI raw, whatever part of it is there."""

    data_path: Path = option(None, "folder of KITTI raw, or of a part of it")
    out: Path = option(Path("runs/real_kitti"), "folder for all that is made; it goes on in it")
    runs: tuple[str, ...] = option(tuple(MODES), "ways to train", choices=tuple(MODES))
    seeds: tuple[int, ...] = option((0, 1, 2), "of each run", minimum=0, maximum=2**32 - 1)
    steps: int = option(300, "optimiser steps of each run", minimum=1)
    every: Optional[int] = option(None, "also measure after every so many steps", minimum=1)
    height: int = option(96, "height of the network's input", minimum=64, multiple_of=SIZE_MULTIPLE)
    width: int = option(320, "width of the network's input", minimum=64, multiple_of=SIZE_MULTIPLE)
    batch_size: int = option(4, "items of a step", minimum=1)
    num_workers: int = option(1, "processes that load the data", minimum=0)
    pictures: int = option(4, "test pictures of each run on the sheet", minimum=1)

    def conflicts(self) -> Conflicts:
        """Points of a curve beyond its end."""
        if self.every is not None and self.every > self.steps:
            yield "every", f"is more than {self.given('steps')}; leave it out"

    @property
    def points(self) -> list[int]:
        """After how many steps a run is measured."""
        every = self.every or self.steps
        return [*range(every, self.steps, every), self.steps]


def training_words(
    options: RealKittiOptions, extras: Sequence[str], run: str, seed: int, split: str, items: int
) -> list[str]:
    """Options of ``train.py``, but for ``--max_steps``.

    The learning rate is the same throughout, unless ``extras`` say otherwise: epochs of parts of
    KITTI are so short that the published schedule would end it after a few hundred steps. Epochs
    are as many as the steps need. Weights are saved where they are measured, or else now and then.
    """
    per_epoch = max(1, items // options.batch_size)
    epochs = math.ceil(options.steps / per_epoch)
    values = {
        **{"data_path": options.data_path, "split": split},
        **{"log_dir": options.out / "models", "model_name": f"{run}_seed{seed}"},
        **{"height": options.height, "width": options.width, "batch_size": options.batch_size},
        **{"seed": seed, "num_workers": options.num_workers},
        **{"num_epochs": epochs, "max_steps": options.steps, "save_frequency": epochs},
        **{"save_every_steps": options.every or STEPS_BETWEEN_SAVES},
        # Saved once more at each interruption.
        **{"keep_checkpoints": len(options.points) + SPARE if options.every else 1},
    }
    if "--weights_init" not in extras:
        values["weights_init"] = SCRATCH
    if "--scheduler" not in extras:
        values["scheduler_step_size"] = epochs
    words = [word for name, value in values.items() for word in (f"--{name}", str(value))]
    return [*words, *MODES[run].words, *extras]


def train(words: Sequence[str], model: Path) -> float:
    """Train a model to its end; the seconds that this took, those of stopped attempts included."""
    clock = model.with_name(f"{model.name}_seconds.json")
    before = read_json(clock) if clock.exists() else 0.0
    if (model / "options.json").is_file():
        words = [*without_start(words), "--resume"]
    start = time.monotonic()
    try:
        run_stage(["train.py", *words])
    finally:
        write_json(clock, before + time.monotonic() - start)
    return read_json(clock)


def without_start(words: Sequence[str]) -> list[str]:
    """Options of ``train.py`` without weights to begin with: a resumed run has its own."""
    places = [i for i, word in enumerate(words) if word == "--load_weights_folder"]
    return [word for i, word in enumerate(words) if i not in places and i - 1 not in places]


def saved_weights(model: Path) -> dict[int, Path]:
    """The weights folders of a training by the number of steps that they were trained for."""
    folders = [*model.glob("previous_*"), model / "last"]
    infos = {folder: folder / "model.json" for folder in folders}
    return {read_json(info)["step"]: folder for folder, info in infos.items() if info.is_file()}


def measure(
    options: RealKittiOptions, weights: Path, run: str, name: str, split: str
) -> dict[str, float]:
    """The metrics of weights on a test list, by ``evaluate_depth.py``."""
    scaling = MODES[run].scaling
    truth = ["--eval_split", split, "--gt_path", truth_file(options.out, name)]
    data = ["--data_path", options.data_path, "--num_workers", options.num_workers, *truth]
    model = ["--load_weights_folder", weights, "--engine", ENGINE, f"--eval_{scaling}"]
    written = weights / f"eval_{Path(split).name}_{scaling}.json"
    written.unlink(missing_ok=True)  # of another list of that name
    run_stage(["evaluate_depth.py", *model, *data])
    return read_json(written)["metrics"]


def truth_file(out: Path, name: str) -> Path:
    """Where the ground truth of a test list is."""
    return out / "ground_truth" / f"{name}.npz"


def export_truth(options: RealKittiOptions, name: str, split: str) -> float:
    """Export the ground truth of a test list, unless it is there; the seconds it took."""
    clock = truth_file(options.out, name).with_suffix(".json")
    if not clock.exists():
        words = ["--data_path", options.data_path, "--num_workers", options.num_workers]
        target = ["--split", split, "--gt_path", truth_file(options.out, name)]
        write_json(clock, run_stage(["export_gt_depth.py", *words, *target]))
    return read_json(clock)


def make_points(
    options: RealKittiOptions, extras: Sequence[str], plan: Plan, run: str, seed: int
) -> None:
    """Train one model and measure it at every point that is not there yet.

    It is trained in one go, whatever the points: what was saved on the way is measured at the end,
    and removed.

    Raises:
        InputError: its training has passed a point without its weights being kept.
    """
    model = options.out / "models" / f"{run}_seed{seed}"
    paths = {s: options.out / "points" / f"{model.name}_step{s}.json" for s in options.points}
    missing = {steps: path for steps, path in paths.items() if not path.exists()}
    if not missing:
        return
    saved = saved_weights(model)
    passed = [steps for steps in missing if steps < max(saved, default=0) and steps not in saved]
    if passed:
        raise InputError(
            f"{model}: was trained for {max(saved)} steps already, and cannot be measured after "
            f"{', '.join(map(str, passed))}; choose another --out, or leave out what asks for them"
        )
    items = len(load_split(plan.splits[run], "train"))
    words = training_words(options, extras, run, seed, plan.splits[run], items)
    if options.steps not in saved:
        train(words, model)
    total, saved = read_json(model.with_name(f"{model.name}_seconds.json")), saved_weights(model)
    for steps, path in missing.items():
        start, tests = time.monotonic(), plan.tests[run].items()
        metrics = {name: measure(options, saved[steps], run, name, each) for name, each in tests}
        point = {
            **{"run": run, "seed": seed, "steps": steps, "metrics": metrics},
            "train_seconds": total * steps / options.steps,
            "evaluation_seconds": time.monotonic() - start,
            "command": command_of(options, extras, run, seed),
        }
        write_json(path, point)
    for earlier in model.glob("previous_*"):
        shutil.rmtree(earlier)


def command_of(options: RealKittiOptions, extras: Sequence[str], run: str, seed: int) -> str:
    """The one command that makes the points of a model again."""
    words = ["python", "-m", "benchmarks.real_kitti", "--data_path", DATA, "--runs", run]
    words += ["--seeds", str(seed), "--steps", str(options.steps)]
    for name in ("height", "width", "batch_size"):
        if getattr(options, name) != getattr(RealKittiOptions, name):
            words += [f"--{name}", str(getattr(options, name))]
    if options.every is not None:
        words += ["--every", str(options.every)]
    return shlex.join([*words, *(["--", *extras] if extras else [])])


def pictures_of(
    options: RealKittiOptions, plan: Plan, row: Row
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Test pictures of a row spread over their list: input, predicted and true depth, metres."""
    import cv2
    import numpy as np

    from datasets.kitti import image_paths
    from datasets.pictures import read_picture
    from evaluation.ground_truth import FORWARD, frame_depth
    from evaluation.protocols import eigen_protocol, scored_mask
    from prediction.predictor import DepthPredictor

    lines = load_split(plan.tests[row["run"]][row["test"]], "test")
    paths = image_paths(options.data_path, lines, png=None)
    weights = options.out / "models" / f"{row['run']}_seed{row['seed']}" / "last"
    predictor = DepthPredictor.from_folder(weights, engine=ENGINE)
    count = min(options.pictures, len(lines))
    for index in np.linspace(0, len(lines) - 1, count).round().astype(int):
        picture = read_picture(paths[index])
        true = frame_depth(options.data_path, lines[index], FORWARD)
        size = true.shape[::-1]  # larger than the picture's in resized copies of KITTI
        picture, depth = (cv2.resize(each, size) for each in (picture, predictor(picture).depth))
        if not MODES[row["run"]].stereo:  # as it is measured
            mask = scored_mask(true, eigen_protocol(FORWARD, stereo=False))
            known = mask if mask.any() else true > 0
            depth = depth * np.median(true[known]) / np.median(depth[known])
        yield picture, depth, true


def write_sheet(options: RealKittiOptions, plan: Plan, rows: Sequence[Row]) -> None:
    """Draw the test pictures of the last point of each run's first seed."""
    from tools.sheet import depth_sheet, save_sheet

    shown: dict[tuple[str, str], Row] = {}
    for row in sorted(rows, key=lambda row: (row["seed"], -row["steps"])):
        shown.setdefault((row["run"], row["test"]), row)
    groups = {}
    for (run, test), row in sorted(shown.items(), key=lambda item: list(MODES).index(item[0][0])):
        if test not in plan.tests.get(run, ()):
            continue
        figures = ", ".join(f"{name} {row['metrics'][name]:.3f}" for name in SHOWN)
        title = f"{run} on {test}, seed {row['seed']}, {row['steps']} steps: {figures}"
        groups[title] = list(pictures_of(options, plan, row))
    save_sheet(options.out / "sheet.png", depth_sheet(groups))


def machine() -> dict[str, Any]:
    """What results and times depend on."""
    import paddle  # stages are run without it

    named = [x.partition(":")[2] for x in cpu_math.read_facts().splitlines() if "model name" in x]
    return {
        "processor": named[0].strip() if named else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "device": paddle.device.get_device(),
        "python": platform.python_version(),
        "paddle": paddle.__version__,
        "numpy": version("numpy"),
        "system": platform.platform(),
    }


def check_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Note what all results of a folder have in common, or refuse to mix others with them."""
    path = out / "settings.json"
    if path.exists() and read_json(path) != settings:
        raise InputError(
            f"--out {out}: holds results of other sizes, options of train.py, or lists (see "
            f"{path}); choose another --out, or remove it"
        )
    write_json(path, settings)


def write_results(
    options: RealKittiOptions, plan: Plan, settings: Mapping[str, Any], truths: float
) -> dict[str, Any]:
    """Write the table, the sheet, the curve and ``result.json`` of all points that are there."""
    points = [read_json(path) for path in (options.out / "points").glob("*.json")]
    points.sort(key=lambda p: (list(MODES).index(p["run"]), p["steps"], p["seed"]))
    rows = rows_of(points)
    start = time.monotonic()
    write_sheet(options, plan, rows)
    longest: dict[tuple[str, int], Mapping[str, Any]] = {}
    for point in points:
        longest[point["run"], point["seed"]] = point
    seconds = {
        "ground_truth": truths,
        "training": sum(point["train_seconds"] for point in longest.values()),
        "evaluation": sum(point["evaluation_seconds"] for point in points),
        "prediction": time.monotonic() - start,
    }
    total = sum(seconds.values())
    result = {
        "machine": machine(),
        "settings": settings["settings"],
        "lists": settings["lists"],
        "rows": rows,
        "means": means_of(rows),
        "commands": commands_of(list(longest.values())),
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "shares_of_time": {name: round(value / total, 4) for name, value in seconds.items()},
    }
    write_json(options.out / "result.json", result)
    with written_whole(options.out / "table.md") as temporary:
        temporary.write_text(table(result), encoding="utf-8")
    if curves_of(result["means"]):
        draw_curves(rows, options.out / "curve.png")
    return result


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is asked for and not there yet, and write all results."""
    own, extras = at_dashes(sys.argv[1:] if argv is None else argv)
    options = parse(RealKittiOptions, own)
    make_writable_folder(options.out / "points", "choose another folder for --out")
    drives = find_drives(options.data_path)
    plan = make_plan(options.data_path, drives, options.out / "splits")
    lists = lists_of(plan)
    for run, each in lists["runs"].items():
        print(f"{run}: {each['train']} training items, test pictures {each['test']}", flush=True)
    missing = [run for run in options.runs if run not in plan.splits]
    if missing:
        print(f"{', '.join(missing)}: nothing to train or to test on, left out", flush=True)
    sizes = {name: getattr(options, name) for name in ("height", "width", "batch_size")}
    settings = {"settings": {**sizes, "training": shlex.join(extras)}, "lists": lists}
    check_settings(options.out, settings)
    runs = [run for run in options.runs if run in plan.splits]
    tests = {name: split for run in runs for name, split in plan.tests[run].items()}
    truths = sum(export_truth(options, name, split) for name, split in tests.items())
    for seed in options.seeds:
        for run in runs:
            make_points(options, extras, plan, run, seed)
    write_results(options, plan, settings, truths)
    print(f"\n{(options.out / 'table.md').read_text(encoding='utf-8')}\nsee {options.out}")


if __name__ == "__main__":
    run_command(main)
