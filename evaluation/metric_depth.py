"""``evaluate_depth.py --task metric``: depth against KITTI's ground truth as published.

Predictions come from a model, or from a file ``.npy`` [N,h,w]; those of KITTI's depth prediction
benchmark, whose ground truth is not public, are written in the form that it takes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from datasets.conventions import STEREO_SCALE_FACTOR
from datasets.depth_files import DAMAGE, MOST_PIXELS
from datasets.kitti import MOST_STRETCH, first_few, image_paths, missing_files, stretch
from datasets.pictures import picture_size
from datasets.splits import SplitLine, load_split, published_lines, split_folder
from evaluation.ground_truth import GroundTruth, open_truth_of_split
from evaluation.protocols import (
    checked,
    eigen_protocol,
    image_batches,
    predict,
    report,
    result,
    score,
)
from evaluation.result_files import INPUTS, inputs_of, own_name, words_of
from networks.kinds import MONODEPTH
from options import EvaluateOptions
from prediction.predictor import Predictor, open_predictor
from system.errors import InputError
from system.files import check_regular, make_writable_folder, write_json, written_whole
from weight_files.download import find_model
from weight_files.folder import read_info
from weight_files.model_info import INFO_FILE

logger = logging.getLogger(__name__)

BENCHMARK, EIGEN = "benchmark", "eigen"
PUBLISHED_END = "_split"  # of the name of a file of disparities, without its suffix
IMAGES = Path("depth_selection", "test_depth_prediction_anonymous", "image")
WIDTH, HEIGHT = 1216, 352  # of all test images of the benchmark
FARTHEST_METRES = 80
UNITS_PER_METRE = 256
# Options that what is predicted does not depend on.
SCORING = ("eval_mono", "eval_stereo", "disable_median_scaling", "pred_depth_scale_factor")


def check_model(options: EvaluateOptions) -> None:
    """Refuse a model that has no metric depth, before anything else is looked for.

    Raises:
        InputError: it is not there, its depth has an unknown shift, or another range than is given.
    """
    folder = find_model(options.load_weights_folder, options.model_name)
    info = read_info(folder)
    if info.kind != MONODEPTH and info.metric:
        raise InputError(
            f"{folder}: is a {info.kind}, which takes pictures of any size; its metres are "
            "measured with --task relative --alignment none"
        )
    if not info.shift_known:
        raise InputError(
            f"{folder}: is a {info.kind}, whose output is inverse depth up to scale and shift; "
            "add --task relative"
        )
    for name in ("min_depth", "max_depth"):
        given, own = getattr(options, name), getattr(info, name)
        if given not in (None, own) and (folder / INFO_FILE).is_file():
            raise InputError(
                f"--{name} {given}: the model was trained with {own}, as "
                f"{folder / INFO_FILE} says; leave it out"
            )


def predict_images(
    predictor: Predictor, paths: Sequence[Path], options: EvaluateOptions
) -> Iterator[np.ndarray]:
    """Return the disparities of images, predicted when they are asked for."""
    info = predictor.info
    images = image_batches(paths, info.width, info.height, options.batch_size, options.num_workers)
    depths = (options.min_depth or info.min_depth, options.max_depth or info.max_depth)
    disparities = predict(predictor.disparity, images, *depths, options.post_process)
    return tqdm(disparities, total=len(paths), desc="predicting", unit="image")


def submit(options: EvaluateOptions, out_dir: Path) -> None:
    """Predict the images of KITTI's depth benchmark, whose ground truth is not public."""
    paths = benchmark_images(options.data_path)
    predictor = open_predictor(options).network
    scale = options.pred_depth_scale_factor * (predictor.info.metres_per_unit or 1)
    if not predictor.info.metric and options.pred_depth_scale_factor == 1:
        raise InputError(
            f"--eval_split {BENCHMARK}: the depth of this model has no unit; give what its depths "
            "are to be multiplied with as --pred_depth_scale_factor, or use a stereo-trained model"
        )
    inputs = inputs_of(options)
    # The factor is what a model without a unit has to be given here.
    words = words_of(options, ("pred_depth_scale_factor",))
    name = own_name(out_dir, f"benchmark_predictions{words}", inputs)
    out = out_dir / name
    disparities = checked(predict_images(predictor, paths, options), [p.name for p in paths])
    write_submission(disparities, paths, scale, out)
    # Beside them: all that is in the folder is submitted.
    write_json(out_dir / f"{name}.json", {"images": len(paths), INPUTS: inputs})
    print(f"wrote {len(paths)} predictions to {out}; zip them to submit them")


def evaluate_metric(options: EvaluateOptions, out_dir: Path) -> None:
    """Predict the test images of a split, or load their disparities, and score them."""
    if options.ext_disp_to_eval is None:
        check_model(options)
    if options.eval_split == BENCHMARK:
        submit(options, out_dir)
        return
    lines = load_split(options.eval_split, "test")
    if options.no_eval:
        evaluate_lines(options, out_dir, lines, None)
        return
    where = options.eval_split, options.gt_path
    with open_truth_of_split(*where, lines, options.allow_missing) as truth:
        evaluate_lines(options, out_dir, lines, truth)


def evaluate_lines(
    options: EvaluateOptions, out_dir: Path, lines: Sequence[SplitLine], truth: GroundTruth | None
) -> None:
    """Predict the test images of a split, or load their disparities; score them unless no truth."""
    split_name = split_folder(options.eval_split).resolve().name
    stereo, metres_per_unit, sizes = options.eval_stereo, STEREO_SCALE_FACTOR, None
    if options.ext_disp_to_eval:
        path = disparities_file(options.ext_disp_to_eval)
        of_lines = load_split(EIGEN, "test") if options.eval_eigen_to_benchmark else lines
        saved, places = load_disparities(path, len(of_lines)), places_in(of_lines, lines)
        there = [not options.allow_missing or not np.isnan(saved[p]).all() for p in places]
        chosen = choose(options, there, truth)
        disparities = (saved[places[index]] for index in chosen)
    else:
        paths = image_paths(options.data_path, lines, options.png)
        chosen = choose(options, images_there(paths, options.allow_missing), truth)
        if truth is not None:
            firsts = {paths[i].parent: (paths[i], i) for i in reversed(chosen)}
            compare_sizes(firsts, truth)
        predictor = open_predictor(options).network
        if stereo and not predictor.info.metric:
            logger.warning("--eval_stereo: the model was not trained on stereo: it has no scale")
        stereo = stereo or (predictor.info.metric and not options.eval_mono)
        metres_per_unit = predictor.info.metres_per_unit or metres_per_unit
        sizes = (picture_size(paths[index]) for index in chosen)
        disparities = predict_images(predictor, [paths[index] for index in chosen], options)
    names = [str(lines[index]) for index in chosen]
    make_writable_folder(out_dir, "give another place with --eval_out_dir")
    of = len(lines) if len(chosen) < len(lines) else None
    # A part is never found in the place of a whole result.
    partial = "" if of is None else "_partial"
    inputs = inputs_of(options)
    if options.save_pred_disps:
        # The ground truth decides which images are a part.
        without = (*SCORING, "gt_path") if of is None else SCORING
        predicting, words = inputs_of(options, without), words_of(options, without)
        name = own_name(out_dir, f"disps_{split_name}{words}{partial}", predicting)
        path = out_dir / f"{name}.npy"
        about = {"disparities": "scaled: 1 / depth in model units", INPUTS: predicting}
        disparities = save_disparities(disparities, path, len(lines), chosen, about)
        print(f"wrote {path}")
    if truth is None:
        for _ in checked(disparities, names):
            pass
        return
    scaled, factor = not options.disable_median_scaling, options.pred_depth_scale_factor
    far = options.eval_max_depth
    protocol = eigen_protocol(truth.kind, stereo, scaled, factor, metres_per_unit, far)
    scores = score(disparities, truth.part(chosen), protocol, names, sizes)
    name = f"eval_{split_name}_{'stereo' if stereo else 'mono'}{words_of(options)}{partial}"
    out_path = out_dir / f"{own_name(out_dir, name, inputs)}.json"
    write_json(out_path, {**result(scores, protocol, truth.kind, of), INPUTS: inputs})
    print(report(scores, protocol, truth.kind, of))
    print(f"wrote {out_path}")


def images_there(paths: Sequence[Path], allow_missing: bool) -> list[bool]:
    """Whether each of the test images is there.

    Raises:
        InputError: some are missing, unless ``allow_missing``.
    """
    missing = dict.fromkeys(missing_files(paths))
    if missing and not allow_missing:
        raise InputError(
            f"{len(missing)} of {len(paths)} test images are missing: {first_few(list(missing))}; "
            "python -m datasets.check --only test names the archives that hold them; "
            "--allow_missing evaluates on those that are there"
        )
    return [path not in missing for path in paths]


def choose(options: EvaluateOptions, there: Sequence[bool], truth: GroundTruth | None) -> list[int]:
    """The places of the images to evaluate: what is there, and has ground truth unless no truth.

    Raises:
        InputError: there is none.
    """
    known = [True] * len(there) if truth is None else [place is not None for place in truth.held]
    chosen = [index for index, both in enumerate(zip(there, known)) if all(both)]
    if len(chosen) < len(there):
        what = "images" if options.ext_disp_to_eval is None else "disparities"
        print(
            f"{options.eval_split}: {len(chosen)} of {len(there)} test images; {sum(there)} "
            f"{what} are there" + ("" if truth is None else f", {sum(known)} with ground truth")
        )
    if not chosen:
        raise InputError(
            "--allow_missing: no test image is there together with its ground truth; check "
            "--data_path, --eval_split and --gt_path"
        )
    return chosen


def compare_sizes(firsts: Mapping[Path, tuple[Path, int]], truth: GroundTruth) -> None:
    """Say, once per size, that pictures have not the size of their ground truth.

    Args:
        firsts: per folder, a picture and its place in the ground truth.
        truth: to whose size predictions are resized.
    """
    said = set()
    for path, index in firsts.values():
        size, of = picture_size(path), truth[index].shape[::-1]
        if size == of or size in said:
            continue
        said.add(size)
        width, height = size
        words = f"{path}: is {width}x{height}, and its ground truth {of[0]}x{of[1]}"
        if stretch(size, of) <= MOST_STRETCH:
            logger.info("%s: taken for a resized copy, predictions are resized to that", words)
        else:
            logger.warning(
                "%s, of another shape: if the pictures were cropped, the figures are wrong", words
            )


def save_disparities(
    disparities: Iterable[np.ndarray],
    path: Path,
    count: int,
    places: Iterable[int] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Iterator[np.ndarray]:
    """Pass disparities [h,w] on, and write them to ``path`` as float32 [count,h,w].

    They go to the disk one by one, so that memory does not grow; the file is there when the last
    one has been passed on. ``places`` says which of the ``count`` they are, in rising order, where
    it is not all; the others are written as not a number. What is said ``about`` them is written
    beside, as ``.json``.
    """
    with written_whole(path) as temporary, temporary.open("wb") as file:
        written = 0
        for disparity, index in zip(disparities, range(count) if places is None else places):
            if written == 0:
                shape = (count, *disparity.shape)
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                gap = np.full(disparity.shape, np.nan, "<f4").tobytes()
            file.writelines([gap] * (index - written))
            file.write(disparity.astype("<f4").tobytes())
            written = index + 1
            yield disparity
        file.writelines([gap] * (count - written))
    if about is not None:
        write_json(path.with_name(f"{path.name[: -len(path.suffix)]}.json"), about)


def disparities_file(path: Path) -> Path:
    """A file of disparities, or the one beside it that has our name or the published one for it.

    ``--save_pred_disps`` writes ``disps_eigen.npy``, and in the published code
    ``disps_eigen_split.npy``.
    """
    stem = path.stem
    other = stem[: -len(PUBLISHED_END)] if stem.endswith(PUBLISHED_END) else stem + PUBLISHED_END
    beside = path.with_name(other + path.suffix)
    if path.exists() or not beside.is_file():
        return path
    logger.info("--ext_disp_to_eval %s: is not there, %s is read", path, beside.name)
    return beside


def places_in(whole: Sequence[SplitLine], part: Sequence[SplitLine]) -> Sequence[int]:
    """Where the lines of one list are in another, which has all of them."""
    if whole is part:  # a line may be in a list twice
        return range(len(part))
    place = {line: index for index, line in enumerate(whole)}
    return [place[line] for line in part]


def load_disparities(path: Path, count: int) -> np.ndarray:
    """Open saved scaled disparities [count,h,w] of any size; they are read when asked for.

    Raises:
        InputError: the file is missing, damaged, a pickle, or not ``count`` maps of real numbers.
    """
    try:
        disparities = np.load(check_regular(path), mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"--ext_disp_to_eval {path}: no such file") from None
    except DAMAGE as error:
        raise InputError(f"--ext_disp_to_eval {path}: no readable .npy file ({error})") from error
    if not isinstance(disparities, np.ndarray) or disparities.dtype.kind != "f":
        raise InputError(f"--ext_disp_to_eval {path}: must be one .npy array of real numbers")
    if disparities.ndim != 3 or len(disparities) != count or disparities.size == 0:
        raise InputError(
            f"--ext_disp_to_eval {path}: has shape {list(disparities.shape)}; needs [{count}, "
            f"height, width], one scaled disparity map per test image of --eval_split"
        )
    if disparities[0].size > MOST_PIXELS:
        raise InputError(
            f"--ext_disp_to_eval {path}: has maps of {disparities[0].size} pixels, and at most "
            f"{MOST_PIXELS} are read; save them smaller"
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
