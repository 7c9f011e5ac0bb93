"""``evaluate_depth.py --task relative``: pictures with known depth or ordinal labels, one by one.

Each prediction is aligned to the depth of its picture, see :data:`evaluation.metrics.ALIGNMENTS`.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from tqdm import tqdm

from datasets.rgbd import judge, some_of
from evaluation.depth_layouts import open_depth_set
from evaluation.depth_set import CONVENTION, DepthSet, Sample, listed, wrong_labels
from evaluation.metrics import (
    ALIGNMENTS,
    LARGEST_DEPTH,
    LOG10,
    METRIC_NAMES,
    NONE,
    SCALE_SHIFT,
    check_finite,
    mean_errors,
    relative_errors,
)
from evaluation.result_files import INPUTS, inputs_of, own_name, words_of
from options import EvaluateOptions
from prediction.depth_map import METRES, RELATIVE_INVERSE, DepthMap
from prediction.predictor import DepthPredictor, open_predictor
from system.errors import InputError
from system.files import make_writable_folder, write_json, written_whole

logger = logging.getLogger(__name__)


@dataclass
class Measured:
    """What was measured so far: numbers only, so that memory does not grow with the images.

    Attributes:
        errors: the seven metrics of each image with known depth.
        without_depth: names of the images with a depth map in which nothing is known.
        mismatched: names of the pairs that differ in size, which are left out.
        labels: ordinal ones.
        wrong: those that were predicted otherwise.
    """

    errors: list[dict[str, float]] = field(default_factory=list)
    without_depth: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    labels: int = 0
    wrong: int = 0


def evaluate_relative(options: EvaluateOptions, out_dir: Path) -> None:
    """Measure a model on pictures with depth or ordinal labels, after alignment per image."""
    with closing(open_depth_set(options)) as depth_set:
        predictor = open_predictor(options)
        make_writable_folder(out_dir, "give another place with --eval_out_dir")
        path = options.data_path.resolve()
        name = path.stem if path.is_file() else path.name
        ending = "relative" if options.alignment == SCALE_SHIFT else options.alignment
        inputs = inputs_of(options)
        name = own_name(out_dir, f"eval_{name}_{ending}{words_of(options)}", inputs)
        out = out_dir / f"{name}.json"
        evaluate_set(predictor, depth_set, out, options.alignment, inputs)


def evaluate_set(
    predictor: DepthPredictor,
    depth_set: DepthSet,
    out: Path,
    alignment: str = SCALE_SHIFT,
    inputs: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure a model on a set, print the metrics and write them as JSON, and a row per image.

    What looks wrong with the set is warned of first. The table of rows lies beside the JSON file
    ``out``, as ``.csv``; what is written to ``out`` is returned. It says its ``inputs``, if given.

    Raises:
        InputError: the model does not go with the alignment, a file cannot be read, a prediction
            is not finite, or nothing could be measured.
    """
    check_alignment(predictor, alignment)
    readers = [sample.read_depth for sample in depth_set.samples if sample.read_depth]
    if readers:
        depths = (read() for read in some_of(readers))
        for words in judge(depths, depth_set.unit_remedy, depth_set.order_remedy):
            logger.warning("%s: %s", depth_set.layout, words)
    table = out.with_suffix(".csv")
    with written_whole(table) as temporary, temporary.open("w", newline="") as file:
        measured = measure_set(predictor, depth_set, alignment, file)
    if measured.mismatched:
        words = "%d pictures and their depth differ in size, and are left out: %s"
        logger.warning(words, len(measured.mismatched), listed(measured.mismatched))
    result = result_of(measured, depth_set, alignment)
    if inputs is not None:
        result[INPUTS] = dict(inputs)
    write_json(out, result)
    print(report(result))
    print(f"wrote {out} and {table.name}")
    return result


def check_alignment(predictor: DepthPredictor, alignment: str) -> None:
    """Refuse a model whose depth lacks what an alignment leaves as it is.

    Raises:
        InputError: it does.
    """
    if alignment == NONE and predictor.unit != METRES:
        raise InputError(
            f"--alignment {NONE}: the model {predictor.info.name or predictor.info.kind} is not "
            "metric; use a stereo-trained model, or --alignment scale_shift"
        )
    if alignment != SCALE_SHIFT and predictor.unit == RELATIVE_INVERSE:
        raise InputError(
            f"--alignment {alignment}: the inverse depth of a {predictor.info.kind} has an unknown "
            f"shift; use --alignment {SCALE_SHIFT}"
        )


def measure_set(
    predictor: DepthPredictor, depth_set: DepthSet, alignment: str, table: IO[str]
) -> Measured:
    """Measure image by image, and write a row of each to an open CSV."""
    measured = Measured()
    more = [LOG10] if depth_set.with_log10 else []
    writer = csv.DictWriter(table, ["name", *METRIC_NAMES, *more, "labels", "wrong"])
    writer.writeheader()
    for sample in tqdm(depth_set.samples, "evaluating", unit="image"):
        prediction = predictor(sample.picture() if callable(sample.picture) else sample.picture)
        if not np.isfinite(prediction.disparity).all():
            raise InputError(f"{sample.name}: the prediction is not finite; check the weights")
        row: dict[str, Any] = {"name": sample.name}
        if sample.read_depth is not None:
            row.update(_measure_depth(sample, prediction, depth_set, alignment, measured))
        if sample.labels is not None:
            count = len(sample.labels.closer)
            wrong = wrong_labels(prediction.disparity, sample.labels)
            measured.labels += count
            measured.wrong += wrong
            row.update(labels=count, wrong=wrong)
        writer.writerow(row)
    if not measured.errors and not measured.labels:
        if measured.mismatched:
            raise InputError(
                f"all pictures differ from their depth in size: {listed(measured.mismatched)}; a "
                "pair must be of one size"
            )
        raise InputError(f"no depth is known in any of the files: {listed(measured.without_depth)}")
    return measured


def _measure_depth(
    sample: Sample, prediction: DepthMap, depth_set: DepthSet, alignment: str, measured: Measured
) -> dict[str, float]:
    """The metrics of a picture; none where nothing can be measured, of which note is taken."""
    depth = sample.read_depth()
    disparity = prediction.disparity
    if depth_set.of_another_size:
        disparity = cv2.resize(disparity, depth.shape[::-1], interpolation=cv2.INTER_NEAREST)
    if disparity.shape != depth.shape:
        measured.mismatched.append(sample.name)
        return {}
    # The shift of a model that knows none is 0; only metres depend on the scale.
    inverse = disparity * prediction.inverse_depth.scale
    counted, farthest = depth_set.counted(depth), depth_set.farthest or LARGEST_DEPTH
    log10 = depth_set.with_log10
    errors = relative_errors(inverse, depth, counted, farthest, alignment, log10)
    if errors is None:
        measured.without_depth.append(sample.name)
        return {}
    check_finite(errors, sample.name)
    measured.errors.append(errors)
    return errors


def result_of(measured: Measured, depth_set: DepthSet, alignment: str) -> dict[str, Any]:
    """What was measured and how, ready for JSON."""
    result: dict[str, Any] = {
        "task": "relative",
        "layout": depth_set.layout,
        "ground_truth": depth_set.note,
        "alignment": ALIGNMENTS[alignment][0],
        "crop": depth_set.crop,
        "cap_metres": depth_set.farthest,
        "images": len(measured.errors),
        "without_depth": len(measured.without_depth),
        "mismatched": measured.mismatched,
    }
    if measured.errors:
        metrics = mean_errors(measured.errors)
        # MiDaS publishes the share of the pixels that a1 does not count.
        result.update(metrics=metrics, percent_beyond_1_25=100 * (1 - metrics["a1"]))
    if measured.labels:
        whdr = measured.wrong / measured.labels
        result.update(whdr=whdr, ordinal_labels=measured.labels, ordinal_convention=CONVENTION)
    return result


def report(result: dict[str, Any]) -> str:
    """The same as text for people."""
    lines = [f"layout: {result['layout']}"]
    if result["ground_truth"]:
        lines.append(f"ground truth: {result['ground_truth']}")
    if "metrics" in result:
        cap = result["cap_metres"]
        lines += [
            f"alignment: {result['alignment']}",
            f"crop: {result['crop']}",
            f"cap: {f'{cap:g} m' if cap else 'none'}",
            "".join(f"{name:>10s}" for name in result["metrics"]),
            "".join(f"{value:10.3f}" for value in result["metrics"].values()),
            f"delta > 1.25: {result['percent_beyond_1_25']:.2f} % of the pixels",
            f"{result['images']} images",
        ]
    if "whdr" in result:
        lines.append(
            f"WHDR: {result['whdr']:.4f} of {result['ordinal_labels']} ordinal labels "
            f"({result['ordinal_convention']})"
        )
        if result["whdr"] > 0.5:
            lines.append("more than half are wrong: are the labels of the other convention?")
    return "\n".join(lines)
