"""Depth against KITTI's ground truth by the published protocol: ``evaluate_depth.py``'s parts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.kitti import image_paths
from datasets.splits import load_split, split_folder
from datasets.units import STEREO_SCALE_FACTOR
from errors import InputError
from evaluation.disparity_files import load_disparities, save_disparities
from evaluation.ground_truth import ground_truth_file, open_ground_truth
from evaluation.ground_truth_export import ground_truth_kind
from evaluation.images import image_batches
from evaluation.protocols import eigen_protocol, measure, predict
from evaluation.submission import BENCHMARK, benchmark_images, write_submission
from files import make_writable_folder
from networks.model_zoo import named_model
from options import EvaluateOptions
from prediction.predictor import Predictor

logger = logging.getLogger(__name__)


def load_predictor(options: EvaluateOptions) -> Predictor:
    """The model to evaluate."""
    folder = options.load_weights_folder or named_model(options.model_name)
    predictor = Predictor.from_folder(
        folder, options.device, options.engine, options.precision, options.calibration
    )
    if not predictor.info.shift_known:
        raise InputError(
            f"{folder}: is a {predictor.info.kind}, whose output is inverse depth up to scale and "
            "shift; add --task relative"
        )
    return predictor


def predict_images(
    predictor: Predictor, paths: Sequence[Path], options: EvaluateOptions
) -> Iterator[np.ndarray]:
    """Return the disparities of images, predicted when they are asked for."""
    info = predictor.info
    images = image_batches(paths, info.width, info.height, options.batch_size, options.num_workers)
    disparities = predict(
        predictor.disparity, images, info.min_depth, info.max_depth, options.post_process
    )
    return tqdm(disparities, total=len(paths), desc="predicting", unit="image")


def submit(options: EvaluateOptions, out_dir: Path) -> None:
    """Predict the images of KITTI's depth benchmark, whose ground truth is not public."""
    paths = benchmark_images(options.data_path)
    predictor = load_predictor(options)
    scale = predictor.info.metres_per_unit or options.pred_depth_scale_factor
    if not predictor.info.metric and scale == 1:
        raise InputError(
            f"--eval_split {BENCHMARK}: the depth of this model has no unit; give what its depths "
            "are to be multiplied with as --pred_depth_scale_factor, or use a stereo-trained model"
        )
    out = out_dir / "benchmark_predictions"
    write_submission(predict_images(predictor, paths, options), paths, scale, out)
    print(f"wrote {len(paths)} predictions to {out}; zip them to submit them")


def evaluate_metric(options: EvaluateOptions, out_dir: Path) -> None:
    """Predict the test images of a split, or load their disparities, and score them."""
    lines = load_split(options.eval_split, "test")
    split_name = split_folder(options.eval_split).resolve().name
    stereo, metres_per_unit = options.eval_stereo, STEREO_SCALE_FACTOR
    if options.ext_disp_to_eval:
        disparities = load_disparities(options.ext_disp_to_eval, len(lines))
    else:
        predictor = load_predictor(options)
        if stereo and not predictor.info.metric:
            logger.warning("--eval_stereo: the model was not trained on stereo: it has no scale")
        stereo = stereo or (predictor.info.metric and not options.eval_mono)
        metres_per_unit = predictor.info.metres_per_unit or metres_per_unit
        paths = image_paths(options.data_path, lines, options.png)
        disparities = predict_images(predictor, paths, options)
    make_writable_folder(out_dir, "give another place with --eval_out_dir")
    if options.save_pred_disps:
        disparities = save_disparities(disparities, out_dir / f"disps_{split_name}.npy", len(lines))
    if options.no_eval:
        for _ in disparities:
            pass
        return
    published_kind = ground_truth_kind(split_name, camera_depth=False)
    truth_path = ground_truth_file(options.eval_split, options.gt_path)
    out_path = out_dir / f"eval_{split_name}_{'stereo' if stereo else 'mono'}.json"
    with open_ground_truth(truth_path, len(lines), published_kind) as truth:
        protocol = eigen_protocol(
            truth.kind,
            stereo,
            not options.disable_median_scaling,
            options.pred_depth_scale_factor,
            metres_per_unit,
        )
        print(measure(disparities, truth, protocol, lines, out_path))
    print(f"wrote {out_path}")
