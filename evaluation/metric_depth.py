"""``evaluate_depth.py --task metric``: depth against KITTI's ground truth as published.

Predictions come from a model, or from a file ``.npy`` [N,h,w]; those of KITTI's depth prediction
benchmark, whose ground truth is not public, are written in the form that it takes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from datasets.conventions import STEREO_SCALE_FACTOR
from datasets.kitti import image_paths
from datasets.splits import load_split, published_lines, split_folder
from evaluation.ground_truth import open_truth_of_split
from evaluation.protocols import eigen_protocol, image_batches, predict, report, result, score
from options import EvaluateOptions
from prediction.predictor import Predictor, open_predictor
from system.errors import InputError
from system.files import check_regular, make_writable_folder, write_json, written_whole
from weight_files.download import find_model

logger = logging.getLogger(__name__)

BENCHMARK = "benchmark"
IMAGES = Path("depth_selection", "test_depth_prediction_anonymous", "image")
WIDTH, HEIGHT = 1216, 352  # of all test images of the benchmark
FARTHEST_METRES = 80
UNITS_PER_METRE = 256


def open_network(options: EvaluateOptions) -> Predictor:
    """The depth network of the model to evaluate.

    Raises:
        InputError: it cannot be opened, or its depth has an unknown shift.
    """
    predictor = open_predictor(options).network
    if not predictor.info.shift_known:
        folder = find_model(options.load_weights_folder, options.model_name)
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
    depths = (info.min_depth, info.max_depth)
    disparities = predict(predictor.disparity, images, *depths, options.post_process)
    return tqdm(disparities, total=len(paths), desc="predicting", unit="image")


def submit(options: EvaluateOptions, out_dir: Path) -> None:
    """Predict the images of KITTI's depth benchmark, whose ground truth is not public."""
    paths = benchmark_images(options.data_path)
    predictor = open_network(options)
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
    if options.eval_split == BENCHMARK:
        submit(options, out_dir)
        return
    lines = load_split(options.eval_split, "test")
    split_name = split_folder(options.eval_split).resolve().name
    stereo, metres_per_unit = options.eval_stereo, STEREO_SCALE_FACTOR
    if options.ext_disp_to_eval:
        disparities = load_disparities(options.ext_disp_to_eval, len(lines))
    else:
        predictor = open_network(options)
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
    out_path = out_dir / f"eval_{split_name}_{'stereo' if stereo else 'mono'}.json"
    with open_truth_of_split(options.eval_split, options.gt_path, len(lines)) as truth:
        scaled, factor = not options.disable_median_scaling, options.pred_depth_scale_factor
        protocol = eigen_protocol(truth.kind, stereo, scaled, factor, metres_per_unit)
        names = [f"{line.folder} {line.frame} {line.side}" for line in lines]
        scores = score(disparities, truth, protocol, names)
    write_json(out_path, result(scores, protocol, truth.kind))
    print(report(scores, protocol, truth.kind))
    print(f"wrote {out_path}")


def save_disparities(
    disparities: Iterable[np.ndarray], path: Path, count: int
) -> Iterator[np.ndarray]:
    """Pass ``count`` disparities [h,w] on, and write them to ``path`` as float32 [count,h,w].

    They go to the disk one by one, so that memory does not grow; the file is there when the last
    one has been passed on.
    """
    with written_whole(path) as temporary, temporary.open("wb") as file:
        for index, disparity in enumerate(disparities):
            if index == 0:
                shape = (count, *disparity.shape)
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(disparity.astype("<f4").tobytes())
            yield disparity


def load_disparities(path: Path, count: int) -> np.ndarray:
    """Open saved scaled disparities [count,h,w] of any size; they are read when asked for.

    Raises:
        InputError: the file is missing, damaged, a pickle, or not ``count`` maps of real numbers.
    """
    try:
        disparities = np.load(check_regular(path), mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"--ext_disp_to_eval {path}: no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"--ext_disp_to_eval {path}: no readable .npy file ({error})") from error
    if not isinstance(disparities, np.ndarray) or disparities.dtype.kind != "f":
        raise InputError(f"--ext_disp_to_eval {path}: must be one .npy array of real numbers")
    if disparities.ndim != 3 or len(disparities) != count or disparities.size == 0:
        raise InputError(
            f"--ext_disp_to_eval {path}: has shape {list(disparities.shape)}; needs [{count}, "
            f"height, width], one scaled disparity map per test image of --eval_split"
        )
    return disparities


def benchmark_images(data_path: Path) -> list[Path]:
    """The benchmark's test images, in order.

    Raises:
        InputError: they are not all in ``data_path``.
    """
    count = len(published_lines(BENCHMARK, "test"))
    paths = [data_path / IMAGES / f"{index:010d}.png" for index in range(count)]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise InputError(
            f"{missing[0]} and {len(missing) - 1} more: no such images; unpack KITTI's "
            "data_depth_selection.zip into --data_path"
        )
    return paths


def write_submission(
    disparities: Iterable[np.ndarray], paths: Sequence[Path], metres_per_unit: float, out: Path
) -> None:
    """Write a 16-bit PNG into ``out`` per image: depth in 1/256 m, at most 80 m, as published.

    Made of scaled disparities [h,w], one per path of an image, whose name the prediction gets.
    """
    make_writable_folder(out, "give another place with --eval_out_dir")
    for path, disparity in zip(paths, disparities):
        resized = cv2.resize(np.asarray(disparity, np.float32), (WIDTH, HEIGHT))
        depth = np.clip(metres_per_unit / resized, 0, FARTHEST_METRES)
        _, png = cv2.imencode(".png", (depth * UNITS_PER_METRE).astype(np.uint16))
        with written_whole(out / path.name) as temporary:
            temporary.write_bytes(png.tobytes())
