"""Predict the depth of pictures, a video or a camera."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from datasets.video_file import VIDEOS
from errors import InputError, run_command
from networks.model_info import MIDAS_SMALL
from networks.model_zoo import named_model
from options import DemoOptions, parse
from prediction.align import read_alignment
from prediction.camera import find_camera
from prediction.pictures import OutputFormat, write_prediction
from prediction.predictor import DepthPredictor, Predictor
from prediction.reading import find_inputs, limit_side, read_picture
from prediction.video import VideoFormat, predict_camera, predict_video

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        InputError: an option, picture or video cannot be used; the others are done first.
    """
    options = parse(DemoOptions, argv)
    camera_index = options.camera_index
    inputs = [] if camera_index is not None else find_inputs(options.image_path, options.ext)
    predictor = open_predictor(options)
    about = {
        "model": predictor.info.name,
        "engine": predictor.network.engine.name,
        "precision": options.precision,
    }
    form = VideoFormat(
        options.video_format,
        options.colormap,
        "side" in (options.extras or ()),
        options.video_range,
        options.max_side if predictor.side is None else None,
    )
    if camera_index is not None:
        target = (options.output or Path()) / f"camera{camera_index}_disp.{form.container}"
        count = predict_camera(predictor, camera_index, target, form, options.max_frames)
        logger.info("%d frames: %s", count, target)
        return

    failures = []
    for path in tqdm(inputs, unit="file", disable=len(inputs) == 1):
        folder = options.output or path.parent
        try:
            if path.suffix.lower() in VIDEOS:
                target = folder / f"{path.stem}_disp.{form.container}"
                predict_video(predictor, path, target, form, options.batch_size, about)
            else:
                predict_picture(predictor, path, folder, options, about)
        except InputError as error:
            failures.append(str(error))

    done = len(inputs) - len(failures)
    if done:
        where = options.output or inputs[0].parent
        unit = predictor.unit
        depth = f"depth in {options.depth_unit}" if unit == "m" else f"{unit}, without a unit"
        logger.info("%d of %d done: %s (%s)", done, len(inputs), where, depth)
    if failures:
        raise InputError("\n".join(failures))


def open_predictor(options: DemoOptions) -> DepthPredictor:
    """The model that the options name, aligned if they say so.

    Raises:
        InputError: it cannot be loaded, or has no unit and metres are asked for.
    """
    weights = options.load_weights_folder or named_model(options.model_name)
    network = Predictor.from_folder(
        weights, options.device, options.engine, options.precision, options.calibration
    )
    name = network.info.name
    alignment = options.alignment and read_alignment(options.alignment, name)
    side = options.max_side if network.info.kind == MIDAS_SMALL else None
    predictor = DepthPredictor(network, alignment, side)
    if options.pred_metric_depth and predictor.unit != "m":
        raise InputError(
            f"--pred_metric_depth: the depth of {name} has no unit, it was trained without stereo "
            "pairs; drop it, use a stereo-trained model, or give metres with align.py"
        )
    return predictor


def predict_picture(
    predictor: DepthPredictor,
    path: Path,
    folder: Path,
    options: DemoOptions,
    about: dict[str, Any],
) -> None:
    """Read, predict and write one picture."""
    picture = read_picture(path)
    camera = find_camera(picture.shape[1::-1], options.camera, options.K, options.fov)
    if predictor.side is None:  # otherwise the limit is the network's
        picture = limit_side(picture, options.max_side)
    camera = camera.resized(picture.shape[1::-1])
    output = OutputFormat(
        options.depth_unit, options.pred_metric_depth, options.colormap, options.extras or ()
    )
    depth_map = predictor(picture)
    write_prediction(folder, path.stem, picture, depth_map, camera, output, about)


if __name__ == "__main__":
    run_command(main)
