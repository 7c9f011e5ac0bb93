"""From a data set to a row of the published table: train or fetch, evaluate, compare."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from errors import InputError, run_command
from files import make_writable_folder, written_whole
from options import ReproduceOptions, parse
from recipes import Recipe, load_recipe, load_recipes
from stages import run_stage

logger = logging.getLogger(__name__)

OUTSIDE_RANGE = 1  # exit code


def list_rows() -> None:
    """Print every row: name, published abs_rel or expected range, title."""
    for name, recipe in load_recipes().items():
        low, high = recipe.range.get("abs_rel", (None, None))
        expected = f"{low} to {high}" if recipe.range else f"{recipe.paper['abs_rel']:.3f}"
        print(f"{name:16s} abs_rel {expected:12s} {recipe.title}")


def generate(recipe: Recipe, options: ReproduceOptions) -> tuple[Path, str, str]:
    """Data folder, training split and test split; rendered first where the recipe says so."""
    if recipe.generate is None:
        if options.data_path is None:
            raise InputError("--data_path: is needed for this row; give the folder of KITTI raw")
        check = ["-m", "datasets.check", "--data_path", options.data_path]
        stereo = ["--use_stereo"] if recipe.scaling == "stereo" else []
        run_stage([*check, "--split", "eigen", "--frame_ids", 0])
        if not options.published:
            run_stage([*check, "--split", "eigen_zhou", *stereo, "--log_dir", options.out])
        return options.data_path, "eigen_zhou", "eigen"
    data = options.out / f"streets_seed{options.seed}"
    run_stage(["-m", "datasets.synthetic", data, *recipe.generate, "--seed", options.seed])
    return data, str(data / "splits"), str(data / "splits")


def train(recipe: Recipe, data: Path, split: str, options: ReproduceOptions) -> Path:
    """Run the stages that are not done yet; return the weights folder of the last one."""
    runs = options.out / f"{options.row}_seed{options.seed}"
    weights = None
    for number, stage in enumerate(recipe.train, start=1):
        name = f"stage_{number}"
        words = ["--data_path", data, "--split", split, "--log_dir", runs, "--model_name", name]
        words += [*stage, "--seed", options.seed, "--num_workers", options.num_workers]
        if (runs / name / "options.json").is_file():
            words += ["--resume"]
        elif weights is not None:
            words += ["--load_weights_folder", weights]
        if options.device is not None:
            words += ["--device", options.device]
        run_stage(["train.py", *words])
        weights = runs / name / "last"
    return weights


def evaluate(
    recipe: Recipe, model: Sequence[Any], data: Path, split: str, options: ReproduceOptions
) -> dict[str, float]:
    """Export the ground truth unless it is there, evaluate, and return the metrics."""
    truth = options.out / f"gt_{data.name}_{Path(split).name}.npz"
    common = ["--data_path", data, "--num_workers", options.num_workers]
    if not truth.exists():
        run_stage(["export_gt_depth.py", *common, "--split", split, "--gt_path", truth])
    out = options.out / f"{options.row}_seed{options.seed}"
    words = [*model, "--eval_split", split, f"--eval_{recipe.scaling}", "--gt_path", truth]
    device = ["--device", options.device] if options.device else []
    run_stage(["evaluate_depth.py", *common, *words, *device, "--eval_out_dir", out])
    path = out / f"eval_{Path(split).name}_{recipe.scaling}.json"
    return json.loads(path.read_text(encoding="utf-8"))["metrics"]


def comparison(recipe: Recipe, metrics: dict[str, float]) -> list[str]:
    """Lines of a table: every metric, what the paper or the recipe says, and the difference."""
    lines = [f"{recipe.title}", f"{'':10s}{'ours':>8s}{'expected':>16s}{'difference':>12s}"]
    for name, value in metrics.items():
        if name in recipe.paper:
            published = recipe.paper[name]
            expected, difference = f"{published:.3f}", f"{value - published:+.3f}"
        else:
            low, high = recipe.range.get(name, (None, None))
            expected = "" if low is None else f"{low:.3f} to {high:.3f}"
            difference = "" if low is None else ("within" if low <= value <= high else "OUTSIDE")
        lines.append(f"{name:10s}{value:8.3f}{expected:>16s}{difference:>12s}")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Reproduce a row, or list them; returns 1 when a range that was stated is missed."""
    options = parse(ReproduceOptions, argv)
    if options.list:
        list_rows()
        return 0
    recipe = load_recipe(options.row)
    if options.published and recipe.published is None:
        raise InputError(f"--published: there are no published weights of row {options.row}")
    make_writable_folder(options.out, "choose another --out")
    data, split, eval_split = generate(recipe, options)
    if options.published:
        model = ["--model_name", recipe.published]
    else:
        model = ["--load_weights_folder", train(recipe, data, split, options)]
    make_writable_folder(options.out / f"{options.row}_seed{options.seed}", "choose another --out")
    metrics = evaluate(recipe, model, data, eval_split, options)
    print("\n" + "\n".join(comparison(recipe, metrics)))
    path = options.out / f"{options.row}_seed{options.seed}" / "result.json"
    with written_whole(path) as temporary:
        expected = {"paper": recipe.paper, "range": recipe.range}
        result = {"row": options.row, "published_weights": options.published, "seed": options.seed}
        text = json.dumps({**result, "metrics": metrics, **expected}, indent=2)
        temporary.write_text(text + "\n", encoding="utf-8")
    print(f"wrote {path}")
    missed = [n for n, (low, high) in recipe.range.items() if not low <= metrics[n] <= high]
    return OUTSIDE_RANGE if missed else 0


if __name__ == "__main__":
    run_command(main)
