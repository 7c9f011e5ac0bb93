"""Measure the depth of a model, or of a file of disparities, as the published results were."""

from __future__ import annotations

from pathlib import Path

from options import EvaluateOptions, TrainOptions, parse
from system.errors import run_command


def output_folder(options: EvaluateOptions) -> Path:
    """Where results go unless told: to the weights, the disparities, or the current folder."""
    if options.eval_out_dir:
        return options.eval_out_dir
    if options.ext_disp_to_eval:
        return options.ext_disp_to_eval.parent
    return options.load_weights_folder or Path()


def main() -> None:
    """Parse the command line, predict or load disparities, and evaluate them."""
    options = parse(EvaluateOptions, others=[TrainOptions])
    out_dir = output_folder(options)
    # What is refused imports no Paddle, and each task its own only.
    if options.task == "relative":
        from evaluation.relative_depth import evaluate_relative

        evaluate_relative(options, out_dir)
    else:
        from evaluation.metric_depth import evaluate_metric

        evaluate_metric(options, out_dir)


if __name__ == "__main__":
    run_command(main)
