"""From a data set to a row of the published table: train or fetch, evaluate, compare.

``recipes.json`` holds, per row:

- ``title``: as in the paper's table.
- ``train``: options of ``train.py`` per stage; a later stage goes on from the weights of the one
  before.
- ``scaling``: ``mono`` or ``stereo``, of the evaluation.
- ``published``: name of the published weights, or nothing.
- ``paper``: the published metrics; or ``range``: per metric the lowest and the highest value that
  is expected, where it was measured; without either, nobody published the row.
- ``generate``: options of ``datasets.streets.generate`` where the data is generated.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from options import Conflicts, DeviceOptions, option, parse
from system.errors import InputError, run_command
from system.files import file_state, make_writable_folder, read_json, write_json
from tools.stages import run_stage

RECIPES = Path(__file__).resolve().parent / "recipes.json"
UNPUBLISHED = "not published"
OUTSIDE_RANGE = 1  # exit code


@dataclass(frozen=True)
class ReproduceOptions(DeviceOptions):
    """Reproduce a row of the published table."""

    row: Optional[str] = option(None, "name of the row; --list shows them")
    list: bool = option(False, "list the rows and end")
    data_path: Optional[Path] = option(None, "folder of the KITTI raw data")
    published: bool = option(False, "evaluate the published weights instead of training")
    out: Path = option(Path("runs/reproduce"), "folder for all that is made; stages go on in it")
    seed: int = option(0, "decides every random draw", minimum=0, maximum=2**32 - 1)
    num_workers: int = option(4, "processes that load the data", minimum=0)

    def conflicts(self) -> Conflicts:
        """A run without a row."""
        if self.row is None and not self.list:
            yield "row", "is needed; --list shows the rows"


@dataclass(frozen=True)
class Recipe:
    """One row; the fields are those of ``recipes.json``."""

    title: str
    train: Sequence[Sequence[str]]
    scaling: str
    published: str | None = None
    paper: dict[str, float] = field(default_factory=dict)
    range: dict[str, Sequence[float]] = field(default_factory=dict)
    generate: str | None = None


def load_recipes() -> dict[str, Recipe]:
    """All rows by name."""
    content = read_json(RECIPES)
    recipes = {}
    for name, row in content["rows"].items():
        common = "" if "generate" in row else content["common"]
        stages = [shlex.split(f"{common} {stage}") for stage in row["train"]]
        recipes[name] = Recipe(**{**row, "train": stages})
    return recipes


def load_recipe(name: str) -> Recipe:
    """One row.

    Raises:
        InputError: there is none of that name.
    """
    recipes = load_recipes()
    if name not in recipes:
        raise InputError(f"--row {name}: no such row; there are {', '.join(recipes)}")
    return recipes[name]


def list_rows() -> None:
    """Print every row: name, published abs_rel or expected range, title."""
    for name, recipe in load_recipes().items():
        low, high = recipe.range.get("abs_rel", (None, None))
        expected = f"{low} to {high}" if recipe.range else UNPUBLISHED
        if recipe.paper:
            expected = f"{recipe.paper['abs_rel']:.3f}"
        print(f"{name:17s} abs_rel {expected:14s} {recipe.title}")


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
    words = shlex.split(recipe.generate)
    run_stage(["-m", "datasets.streets", data, *words, "--seed", options.seed])
    return data, str(data / "splits"), str(data / "splits")


def train(recipe: Recipe, data: Path, split: str, options: ReproduceOptions) -> Path:
    """Run the stages that are not done yet; return the weights folder of the last one."""
    runs = options.out / f"{options.row}_seed{options.seed}"
    note, settings = runs / "stages.json", {"data": str(data.resolve()), "train": recipe.train}
    if note.is_file() and read_json(note) != settings:
        raise InputError(
            f"--out {options.out}: {runs} holds stages with other options, or on other data (see "
            f"{note}); choose another --out, or remove it"
        )
    make_writable_folder(runs, "choose another --out")
    write_json(note, settings)
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
    truth = truth_file(options.out, data, split)
    common = ["--data_path", data, "--num_workers", options.num_workers]
    if not truth.exists():
        run_stage(["export_gt_depth.py", *common, "--split", split, "--gt_path", truth])
    out = options.out / f"{options.row}_seed{options.seed}"
    words = [*model, "--eval_split", split, f"--eval_{recipe.scaling}", "--gt_path", truth]
    device = ["--device", options.device] if options.device else []
    published = f"_{recipe.published}" if options.published else ""
    written = out / f"eval_{Path(split).name}_{recipe.scaling}{published}.json"
    written.unlink(missing_ok=True)  # of other data
    run_stage(["evaluate_depth.py", *common, *words, *device, "--eval_out_dir", out])
    return read_json(written)["metrics"]


def truth_file(out: Path, data: Path, split: str) -> Path:
    """Where the ground truth of a split's test images is kept: of these images and sweeps."""
    # --help needs none of these.
    from datasets.lidar import truth_paths
    from datasets.splits import load_split

    lines = load_split(split, "test")
    said = [str(data.resolve()), *map(str, lines)]
    said += [str(file_state(p)) for p in truth_paths(data, lines, improved=False) if p.exists()]
    key = hashlib.sha256("\n".join(said).encode()).hexdigest()[:8]
    return out / f"gt_{data.name}_{Path(split).name}_{key}.npz"


def comparison(recipe: Recipe, metrics: dict[str, float]) -> list[str]:
    """Lines of a table: every metric, what the paper or the recipe says, and the difference."""
    lines = [recipe.title, f"{'':10s}{'ours':>8s}{'expected':>16s}{'difference':>12s}"]
    for name, value in metrics.items():
        if name in recipe.paper:
            published = recipe.paper[name]
            expected, difference = f"{published:.3f}", f"{value - published:+.3f}"
        else:
            low, high = recipe.range.get(name, (None, None))
            nothing = "" if recipe.paper or recipe.range else UNPUBLISHED
            expected = nothing if low is None else f"{low:.3f} to {high:.3f}"
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
    run = options.out / f"{options.row}_seed{options.seed}"
    make_writable_folder(run, "choose another --out")
    metrics = evaluate(recipe, model, data, eval_split, options)
    print("\n" + "\n".join(comparison(recipe, metrics)))
    result = {"row": options.row, "published_weights": options.published, "seed": options.seed}
    expected = {"paper": recipe.paper, "range": recipe.range}
    write_json(run / "result.json", {**result, "metrics": metrics, **expected})
    print(f"wrote {run / 'result.json'}")
    missed = [n for n, (low, high) in recipe.range.items() if not low <= metrics[n] <= high]
    return OUTSIDE_RANGE if missed else 0


if __name__ == "__main__":
    run_command(main)
