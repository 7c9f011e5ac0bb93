"""Relative depth measured on pairs of pictures and known depth."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from datasets.rgbd import DepthNote, Pair, find_pairs, read_depth, read_note, suspicions
from errors import InputError
from evaluation.relative import mean_errors, relative_errors
from files import written_whole
from prediction.predictor import DepthPredictor

logger = logging.getLogger(__name__)


def evaluate_pairs(predictor: DepthPredictor, data_path: Path, out_dir: Path) -> dict[str, Any]:
    """Measure a model on the pairs of a folder, print the metrics and write them as JSON.

    What looks wrong with the data set is warned of first.

    Returns:
        What is written.

    Raises:
        InputError: see :func:`datasets.rgbd.find_pairs` and :func:`measure_pairs`.
    """
    pairs, note = find_pairs(data_path), read_note(data_path)
    for words in suspicions(pairs, note):
        logger.warning("%s: %s", data_path, words)
    errors = measure_pairs(predictor, pairs, note)
    metrics = mean_errors(errors)
    result = {
        "task": "relative",
        "alignment": "scale and shift of inverse depth, least squares, per image",
        "metrics": metrics,
        "images": len(errors),
        "without_depth": len(pairs) - len(errors),
    }
    path = out_dir / f"eval_{data_path.resolve().name}_relative.json"
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n")
    print("inverse depth aligned per image by scale and shift, no crop, no cap")
    print("".join(f"{name:>10s}" for name in metrics))
    print("".join(f"{value:10.3f}" for value in metrics.values()))
    print(f"{len(errors)} images; wrote {path}")
    return result


def measure_pairs(
    predictor: DepthPredictor, pairs: Sequence[Pair], note: DepthNote
) -> list[dict[str, float]]:
    """The errors of every pair whose depth is known somewhere.

    Raises:
        InputError: a file cannot be read, a pair differs in size, or no depth is known at all.
    """
    errors = []
    for pair in tqdm(pairs, "evaluating"):
        depth = read_depth(pair.depth, note)
        disparity = predictor(pair.picture).disparity
        if disparity.shape != depth.shape:
            raise InputError(
                f"{pair.depth}: has {depth.shape[1]}x{depth.shape[0]} pixels, {pair.picture.name} "
                f"{disparity.shape[1]}x{disparity.shape[0]}; a pair must be of one size"
            )
        errors.append(relative_errors(disparity, depth))
    known = [each for each in errors if each is not None]
    if not known:
        raise InputError(f"{pairs[0].depth.parent}: no depth is known in any of the files")
    return known
