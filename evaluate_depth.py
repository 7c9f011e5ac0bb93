"""Measure the depth of a model, or of a file of disparities, as the published results were."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.kitti import image_paths
from datasets.splits import SplitLine, load_split, split_folder
from datasets.units import STEREO_SCALE_FACTOR
from errors import run_command
from evaluation.disparity_files import load_disparities, save_disparities
from evaluation.ground_truth import ground_truth_file, open_ground_truth
from evaluation.images import image_batches
from evaluation.protocols import eigen_protocol, predict, report, result, score
from files import make_writable_folder, written_whole
from networks.model_zoo import named_model
from options import EvaluateOptions, parse
from prediction.predictor import Predictor

logger = logging.getLogger(__name__)


def predict_split(
    predictor: Predictor, lines: Sequence[SplitLine], options: EvaluateOptions
) -> Iterator[np.ndarray]:
    """Return the disparities of the test images, predicted when they are asked for."""
    info = predictor.info
    paths = image_paths(options.data_path, lines, options.png)
    images = image_batches(paths, info.width, info.height, options.batch_size, options.num_workers)
    return predict(
        predictor.disparity, images, info.min_depth, info.max_depth, options.post_process
    )


def evaluate(
    disparities: Iterable[np.ndarray],
    lines: Sequence[SplitLine],
    stereo: bool,
    metres_per_unit: float,
    options: EvaluateOptions,
    out_path: Path,
) -> None:
    """Score the disparities, print the report and write it to ``out_path`` as JSON."""
    names = [f"{line.folder} {line.frame} {line.side}" for line in lines]
    truth_path = ground_truth_file(options.eval_split, options.gt_path)
    median_scaling = not options.disable_median_scaling
    with open_ground_truth(truth_path, len(lines)) as truth:
        kind = truth.kind
        protocol = eigen_protocol(
            kind, stereo, median_scaling, options.pred_depth_scale_factor, metres_per_unit
        )
        scores = score(disparities, truth, protocol, names)
    print(report(scores, protocol, kind))
    with written_whole(out_path) as temporary:
        temporary.write_text(json.dumps(result(scores, protocol, kind), indent=2) + "\n")
    print(f"wrote {out_path}")


def main() -> None:
    """Parse the command line, predict or load disparities, and evaluate them."""
    options = parse(EvaluateOptions)
    lines = load_split(options.eval_split, "test")
    split_name = split_folder(options.eval_split).resolve().name
    stereo, metres_per_unit = options.eval_stereo, STEREO_SCALE_FACTOR
    source = options.ext_disp_to_eval
    if source:
        out_dir = source.parent
        disparities = load_disparities(source, len(lines))
    else:
        out_dir = options.load_weights_folder or Path()
        folder = options.load_weights_folder or named_model(options.model_name)
        predictor = Predictor.from_folder(folder, options.device)
        if stereo and not predictor.info.metric:
            logger.warning("--eval_stereo: the model was not trained on stereo: it has no scale")
        stereo = stereo or (predictor.info.metric and not options.eval_mono)
        metres_per_unit = predictor.info.metres_per_unit or metres_per_unit
        disparities = predict_split(predictor, lines, options)
    out_dir = options.eval_out_dir or out_dir
    make_writable_folder(out_dir, "give another place with --eval_out_dir")
    if options.save_pred_disps:
        disparities = save_disparities(disparities, out_dir / f"disps_{split_name}.npy", len(lines))
    disparities = tqdm(disparities, total=len(lines), desc="predicting", unit="image")
    if options.no_eval:
        for _ in disparities:
            pass
        return
    mode = "stereo" if stereo else "mono"
    out_path = out_dir / f"eval_{split_name}_{mode}.json"
    evaluate(disparities, lines, stereo, metres_per_unit, options, out_path)


if __name__ == "__main__":
    run_command(main)
