"""Predict the depth of a picture, or of every picture in a folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tqdm import tqdm

from errors import InputError, run_command
from networks.model_zoo import named_model
from options import DemoOptions, parse
from prediction.pictures import (
    OutputFormat,
    find_pictures,
    predict_disparity,
    read_picture,
    write_prediction,
)
from prediction.predictor import Predictor

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        InputError: an option or a picture cannot be used; the other pictures are done first.
    """
    options = parse(DemoOptions, argv)
    pictures = find_pictures(options.image_path, options.ext)
    folder = options.load_weights_folder or named_model(options.model_name)
    predictor = Predictor.from_folder(
        folder, options.device, options.engine, options.precision, options.calibration
    )
    info = predictor.info
    if options.pred_metric_depth and not info.metric:
        raise InputError(
            f"--pred_metric_depth: the depth of {info.name} has no unit, it was trained without "
            "stereo pairs; drop it, or use a stereo-trained model"
        )
    output = OutputFormat(options.depth_unit, options.pred_metric_depth)
    failures = []
    for path in tqdm(pictures, unit="picture", disable=len(pictures) == 1):
        try:
            disparity = predict_disparity(predictor, read_picture(path))
            write_prediction(options.output or path.parent, path.stem, disparity, info, output)
        except InputError as error:
            failures.append(str(error))

    done = len(pictures) - len(failures)
    if done:
        where = options.output or pictures[0].parent
        depth = f"depth in {options.depth_unit}" if info.metric else "relative depth, no unit"
        logger.info("%d of %d pictures done: %s (%s)", done, len(pictures), where, depth)
    if failures:
        raise InputError("\n".join(failures))


if __name__ == "__main__":
    run_command(main)
