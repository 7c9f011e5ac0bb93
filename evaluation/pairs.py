"""Relative depth measured on pictures with known depth or ordinal labels, image by image."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm import tqdm

from datasets.depth_suspicions import judge, some_of
from errors import InputError
from evaluation.depth_set import DepthSet, Sample, listed
from evaluation.metrics import METRIC_NAMES
from evaluation.ordinal import wrong_labels
from evaluation.relative import LARGEST_DEPTH, NONE, SCALE_SHIFT, relative_errors
from evaluation.relative_report import Measured, report, result_of
from files import written_whole
from prediction.depth_map import METRES, RELATIVE_INVERSE, DepthMap
from prediction.predictor import DepthPredictor

logger = logging.getLogger(__name__)


def evaluate_set(
    predictor: DepthPredictor, depth_set: DepthSet, out: Path, alignment: str = SCALE_SHIFT
) -> dict[str, Any]:
    """Measure a model on a set, print the metrics and write them as JSON, and a row per image.

    What looks wrong with the set is warned of first.

    Args:
        predictor: the model.
        depth_set: what it is measured on.
        out: the JSON file; the table lies beside it, as ``.csv``.
        alignment: a key of :data:`evaluation.relative.ALIGNMENTS`.

    Returns:
        What is written.

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
        logger.warning(
            "%d pictures and their depth differ in size, and are left out: %s",
            len(measured.mismatched),
            listed(measured.mismatched),
        )
    result = result_of(measured, depth_set, alignment)
    with written_whole(out) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n")
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
    writer = csv.DictWriter(table, ["name", *METRIC_NAMES, "labels", "wrong"])
    writer.writeheader()
    for sample in tqdm(depth_set.samples, "evaluating", unit="image"):
        prediction = predictor(sample.read_picture())
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
        raise InputError(_nothing_measured(measured))
    return measured


def _measure_depth(
    sample: Sample,
    prediction: DepthMap,
    depth_set: DepthSet,
    alignment: str,
    measured: Measured,
) -> dict[str, float]:
    depth = sample.read_depth()
    if prediction.disparity.shape != depth.shape:
        measured.mismatched.append(sample.name)
        return {}
    # The shift of a model that knows none is 0; only metres depend on the scale.
    inverse = prediction.disparity * prediction.inverse_depth.scale
    counted = depth_set.counted(depth)
    farthest = depth_set.farthest or LARGEST_DEPTH
    errors = relative_errors(inverse, depth, counted, farthest, alignment)
    if errors is None:
        measured.without_depth.append(sample.name)
        return {}
    measured.errors.append(errors)
    return errors


def _nothing_measured(measured: Measured) -> str:
    if measured.mismatched:
        return (
            f"all pictures differ from their depth in size: {listed(measured.mismatched)}; a pair "
            "must be of one size"
        )
    return f"no depth is known in any of the files: {listed(measured.without_depth)}"
