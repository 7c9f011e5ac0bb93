"""Predict the depth of pictures, a video or a camera."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from options import DemoOptions, parse
from system.errors import InputError, run_command

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        InputError: an option, picture or video cannot be used; the others are done first.
    """
    options = parse(DemoOptions, argv)
    # What is refused imports no Paddle.
    from prediction.inputs import find_inputs

    camera_index = options.camera_index
    inputs = [] if camera_index is not None else find_inputs(options.image_path, options.ext)
    from datasets.footage import VIDEOS
    from prediction.files import predict_files
    from prediction.pictures import unit_in_words
    from prediction.predictor import open_predictor

    predictor = open_predictor(options, options.alignment, options.max_side, options.keep_aspect)
    if options.pred_metric_depth and predictor.unit != "m":
        raise InputError(
            f"--pred_metric_depth: the depth of {predictor.info.name} has no unit, it was trained "
            "without stereo pairs; drop it, use a stereo-trained model, or give metres with "
            "python -m tools.align"
        )
    if camera_index is not None:
        from prediction.outputs import new_recording
        from prediction.video import predict_camera
        from prediction.video_outputs import video_format

        form = video_format(predictor, options)
        target = new_recording(options.output or Path(), camera_index, form.container)
        count = predict_camera(predictor, camera_index, target, form, options.max_frames)
        logger.info("%d frames: %s", count, target)
        return

    failures = predict_files(predictor, inputs, options)
    done = len(inputs) - len(failures)
    if done:
        where = options.output or inputs[0].parent
        unit = predictor.unit
        metric = unit == "m"
        depth = "metres" if metric else f"{unit}, without a unit"
        if metric and (options.video_depth or any(p.suffix.lower() not in VIDEOS for p in inputs)):
            depth = unit_in_words(options.depth_unit)  # there are files of depth
        logger.info("%d of %d done: %s (%s)", done, len(inputs), where, depth)
    if failures:
        raise InputError("\n".join(failures))


if __name__ == "__main__":
    run_command(main)
