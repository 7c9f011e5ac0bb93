"""How M, S and MS learn on generated streets: abs_rel of the test drives against optimiser steps.

    python -m benchmarks.learning_curves OUT --runs M S MS S_started MS_started [-- WORD ...]

Words after ``--`` are for ``train.py``; give each set of them its OUT. Every point comes from the
commands that a user would type. What is there already is kept, so the runs can be made one after
the other. Writes OUT/curves.json and OUT/curves.png.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.measure import at_dashes
from options import TrainOptions, parse
from system.errors import run_command
from system.files import read_json, write_json, written_whole
from tools.stages import run_stage
from training.checkpoint import save_checkpoint
from training.self_supervised import info_of, initial_model

MODES = {  # what a curve is called, and options of train.py
    "M": ("M, median scaling", ["--frame_ids", "0", "-1", "1"]),
    "S": ("S", ["--frame_ids", "0", "--use_stereo"]),
    "MS": ("MS", ["--frame_ids", "0", "-1", "1", "--use_stereo"]),
}
STARTED = ["--initial_disparity", "0.05"]
for mode in ("S", "MS"):
    label, words = MODES[mode]
    MODES[f"{mode}_started"] = (f"{label} with {' '.join(STARTED)}", [*words, *STARTED])
SIZE = ["--height", "64", "--width", "192", "--batch_size", "4", "--num_workers", "1"]
START = ["--weights_init", "scratch"]
VALIDATION_LINES = 8  # enough for the log; the curves are of the test drives


def make_data(out: Path, seed: int) -> tuple[Path, Path]:
    """The streets and a split of them with a short validation list."""
    streets, split = out / f"streets_seed{seed}", out / f"split_seed{seed}"
    run_stage(["-m", "datasets.streets", streets, "--seed", seed])
    split.mkdir(exist_ok=True)
    for part in ("train", "val", "test"):
        lines = (streets / "splits" / f"{part}_files.txt").read_text().splitlines()
        kept = lines[:: max(1, len(lines) // VALIDATION_LINES)] if part == "val" else lines
        (split / f"{part}_files.txt").write_text("\n".join(kept) + "\n")
    run_stage(["export_gt_depth.py", "--data_path", streets, "--split", split, "--num_workers", 1])
    return streets, split


def abs_rel(weights: Path, streets: Path, split: Path, mode: str) -> float:
    """What ``evaluate_depth.py`` says of a weights folder."""
    scaling = "mono" if mode == "M" else "stereo"
    data = ["--data_path", streets, "--eval_split", split, "--num_workers", 1]
    written = weights / f"eval_{split.name}_{scaling}.json"
    written.unlink(missing_ok=True)
    run_stage(["evaluate_depth.py", "--load_weights_folder", weights, f"--eval_{scaling}", *data])
    return read_json(written)["metrics"]["abs_rel"]


def curve(
    mode: str,
    out: Path,
    data: tuple[Path, Path],
    points: Sequence[int],
    words: Sequence[object],
    seed: int,
) -> dict[str, float]:
    """abs_rel after each of ``points`` optimiser steps, by step; ``words`` are for ``train.py``."""
    streets, split = data
    name = f"{mode}_seed{seed}"
    train = ["--data_path", streets, "--split", split, "--log_dir", out, "--model_name", name]
    train += [*MODES[mode][1], *SIZE, *START, "--num_epochs", 1000]
    train += ["--seed", seed, *words]
    options = parse(TrainOptions, [str(word) for word in train])
    untrained = out / f"{name}_untrained"
    save_checkpoint(untrained, initial_model(options), info_of(options))
    values = {"0": abs_rel(untrained, streets, split, mode)}
    for steps in points:
        resume = ["--resume"] if (out / name / "last").exists() else []
        run_stage(["train.py", *train, "--max_steps", steps, *resume])
        values[str(steps)] = abs_rel(out / name / "last", streets, split, mode)
    return values


def draw(curves: dict[str, dict[str, float]], path: Path) -> None:
    """Plot all curves over one another."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, values in curves.items():
        axes.plot([int(step) for step in values], list(values.values()), "o-", label=name)
    axes.set(xlabel="optimiser steps", ylabel="abs_rel, test drives", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def main() -> None:
    """Run what is asked for and add it to the curves that are there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--runs", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--every", type=int, default=30)
    parser.add_argument("--learning_rate", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--encoder", help="of depth; give each one its OUT (default: resnet18)")
    own, extras = at_dashes(sys.argv[1:])
    args = parser.parse_args(own)
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    data = make_data(out, args.seed)
    points = range(args.every, args.steps + 1, args.every)
    path = out / "curves.json"
    curves = read_json(path) if path.exists() else {}
    encoder = ["--encoder", args.encoder] if args.encoder else []
    words = ["--learning_rate", args.learning_rate, *encoder, *extras]
    for mode in args.runs:
        label = " ".join([MODES[mode][0], *encoder])
        if label not in curves:
            curves[label] = curve(mode, out, data, points, words, args.seed)
            write_json(path, curves)
    draw(curves, out / "curves.png")


if __name__ == "__main__":
    run_command(main)
