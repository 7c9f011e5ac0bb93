"""Measure whether a model's depth shows the cars, poles and trees of generated streets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from networks.kinds import MONODEPTH
from options import PredictorOptions, option, parse
from system.errors import InputError, run_command

NAME = "eval_objects"
RESULT = f"{NAME}.json"


@dataclass(frozen=True)
class EvaluateObjectsOptions(PredictorOptions):
    """Measure whether a model's depth shows the objects of generated streets."""

    data_path: Path = option(None, "folder of python -m datasets.streets; its test list is used")
    eval_mono: bool = option(
        False, "scale each prediction by the median of the truth, for models with a unit too"
    )
    post_process: bool = option(False, "average with the prediction of the mirrored image")
    batch_size: int = option(16, "images predicted at once", minimum=1)
    num_workers: int = option(4, "threads that load the images; 0 loads in between", minimum=0)
    eval_out_dir: Optional[Path] = option(
        None, "folder for what is written; without it, that of the weights or the current one"
    )


def evaluate_objects(options: EvaluateObjectsOptions) -> dict[str, Any]:
    """Predict the test pictures, judge their objects, and write ``eval_objects.json``.

    Returns:
        What is written: ``summary`` (see :func:`evaluation.objects.summarise`), ``scaling``,
        ``pictures``, and ``objects``, one row for each.

    Raises:
        InputError: the folder holds no generated streets, or the model cannot be used.
    """
    # What is refused imports no Paddle.
    from datasets.kitti import image_paths
    from datasets.splits import load_split
    from datasets.streets.truth import read_settings, true_view

    streets = options.data_path
    settings = read_settings(streets)
    lines = load_split(str(streets / "splits"), "test")
    paths = image_paths(streets, lines, settings.png)

    import numpy as np

    from evaluation.objects import median_scale, object_scores, summarise
    from evaluation.protocols import SMALLEST_DISPARITY, image_batches, predict
    from evaluation.result_files import INPUTS, inputs_of, own_name, words_of
    from prediction.predictor import open_predictor
    from system.files import make_writable_folder, write_json

    predictor = open_predictor(options).network
    info = predictor.info
    model = info.name or options.load_weights_folder
    if not info.shift_known:
        raise InputError(
            f"{model}: is a {info.kind}, whose output is inverse depth up to scale and shift; "
            "objects are measured in metres"
        )
    if info.kind != MONODEPTH:
        raise InputError(
            f"{model}: is a {info.kind}, which takes pictures of any size; objects are measured "
            "with networks of Monodepth2"
        )
    metric = info.metric and not options.eval_mono
    out = options.eval_out_dir or options.load_weights_folder or Path()
    make_writable_folder(out, "give another place with --eval_out_dir")

    batches = image_batches(paths, info.width, info.height, options.batch_size, options.num_workers)
    depths = (info.min_depth, info.max_depth)
    rows, scores = [], []
    predicted = predict(predictor.disparity, batches, *depths, options.post_process)
    for line, disparity in zip(lines, predicted):
        view = true_view(settings, line)
        depth = 1 / np.maximum(disparity, SMALLEST_DISPARITY)
        depth *= info.metres_per_unit if metric else median_scale(depth, view.depth)
        found = object_scores(depth, view.depth, view.objects, view.kinds)
        scores += found
        rows += [{"picture": str(line), **asdict(score), "found": score.found} for score in found]
    result = {
        "summary": summarise(scores),
        "scaling": "metres of the model" if metric else "median of each picture",
        "pictures": len(lines),
        "objects": rows,
    }
    inputs = inputs_of(options)
    mark = ("_mono" if options.eval_mono else "") + words_of(options)
    path = out / f"{own_name(out, NAME + mark, inputs)}.json"
    result[INPUTS] = inputs
    write_json(path, result)
    print(f"wrote {path}")
    return result


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        InputError: see :func:`evaluate_objects`.
    """
    options = parse(EvaluateObjectsOptions, argv)
    result = evaluate_objects(options)
    # What is refused imports no OpenCV.
    from evaluation.objects import report

    print(f"objects of {result['pictures']} pictures, in {result['scaling']}")
    print(report(result["summary"]))


if __name__ == "__main__":
    run_command(main)
