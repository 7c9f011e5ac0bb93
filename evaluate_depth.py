"""Measure the depth of a model, or of a file of disparities, as the published results were."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from errors import run_command
from evaluation.depth_layouts import open_depth_set
from evaluation.depth_set import Source
from evaluation.metric_task import evaluate_metric, submit
from evaluation.pairs import evaluate_set
from evaluation.relative import SCALE_SHIFT
from evaluation.submission import BENCHMARK
from files import make_writable_folder
from networks.model_zoo import named_model
from options import EvaluateOptions, parse
from prediction.predictor import DepthPredictor


def evaluate_relative(options: EvaluateOptions, out_dir: Path) -> None:
    """Measure a model on pictures with depth or ordinal labels, after alignment per image."""
    source = Source(options.data_path, options.eval_split, options.gt_path, options.png)
    with closing(open_depth_set(source, options.layout)) as depth_set:
        folder = options.load_weights_folder or named_model(options.model_name)
        predictor = DepthPredictor.from_folder(
            folder, options.device, options.engine, options.precision, options.calibration
        )
        make_writable_folder(out_dir, "give another place with --eval_out_dir")
        path = options.data_path.resolve()
        name = path.stem if path.is_file() else path.name
        ending = "relative" if options.alignment == SCALE_SHIFT else options.alignment
        out = out_dir / f"eval_{name}_{ending}.json"
        evaluate_set(predictor, depth_set, out, options.alignment)


def output_folder(options: EvaluateOptions) -> Path:
    """Where results go unless told: to the weights, the disparities, or the current folder."""
    if options.eval_out_dir:
        return options.eval_out_dir
    if options.ext_disp_to_eval:
        return options.ext_disp_to_eval.parent
    return options.load_weights_folder or Path()


def main() -> None:
    """Parse the command line, predict or load disparities, and evaluate them."""
    options = parse(EvaluateOptions)
    out_dir = output_folder(options)
    if options.task == "relative":
        evaluate_relative(options, out_dir)
    elif options.eval_split == BENCHMARK:
        submit(options, out_dir)
    else:
        evaluate_metric(options, out_dir)


if __name__ == "__main__":
    run_command(main)
