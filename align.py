"""Fit a model's depth to metres by points of a picture whose distance is known."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from errors import run_command
from networks.model_zoo import named_model
from options import AlignOptions, parse
from prediction.align import fit, read_points, read_sparse_depth
from prediction.depth_map import RELATIVE_INVERSE
from prediction.pictures import write_files
from prediction.predictor import DepthPredictor
from prediction.reading import read_picture

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        InputError: the picture, model or points cannot be used.
    """
    options = parse(AlignOptions, argv)
    picture = read_picture(options.image_path)
    shape = picture.shape[:2]
    points = read_points(options.points or ())
    if options.depth_path is not None:
        measured = read_sparse_depth(options.depth_path, options.depth_unit, shape)
        points = np.concatenate([points, measured])
    folder = options.load_weights_folder or named_model(options.model_name)
    predictor = DepthPredictor.from_folder(
        folder, options.device, options.engine, options.precision, options.calibration
    )
    disparity = predictor(picture).disparity
    shift = options.shift or predictor.unit == RELATIVE_INVERSE
    alignment = fit(disparity, points, shift, predictor.info.name)
    target = options.output or options.image_path.with_name(
        f"{options.image_path.stem}_alignment.json"
    )
    write_files(target.parent, {target.name: alignment.to_json().encode()})
    result = alignment.inverse_depth
    logger.info(
        "1 / metres = %.6g * disparity + %.6g, from %d points, off by %.1f %% in the median: %s",
        result.scale,
        result.shift,
        alignment.points,
        100 * alignment.median_error,
        target,
    )


if __name__ == "__main__":
    run_command(main)
