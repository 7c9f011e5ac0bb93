"""Fit a model's depth to metres by points of a picture whose distance is known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from options import DEPTH_UNITS, Conflicts, PredictorOptions, option, parse
from system.errors import run_command

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AlignOptions(PredictorOptions):
    """Fit a model's depth to metres by points of a picture whose distance is known."""

    image_path: Path = option(None, "the picture")
    points: Optional[tuple[str, ...]] = option(
        None, "'x y metres' for each point, in pixels from the upper left", repeats=True
    )
    depth_path: Optional[Path] = option(
        None, "known depth of the picture: .npy in metres or a 16-bit .png, 0 where unknown"
    )
    depth_unit: Optional[str] = option(
        None,
        "unit of whole numbers in --depth_path; without it, the one that a prediction of demo.py "
        "states, else millimetres for pictures; kitti is 1/256 m; floating-point numbers are "
        "metres",
        choices=("metres", *DEPTH_UNITS),
    )
    shift: bool = option(False, "also fit a shift of inverse depth")
    keep_aspect: bool = option(False, "pad the picture to the model's shape, as in demo.py")
    output: Optional[Path] = option(
        None, "file to write; without it, PICTURE_alignment.json beside the picture"
    )

    def conflicts(self) -> Conflicts:
        """A command without a model or without points."""
        yield from super().conflicts()
        if self.points is None and self.depth_path is None:
            yield "points", "are needed, as in --points '120 80 4.5', or --depth_path"
        if self.output is not None and self.output in (self.image_path, self.depth_path):
            yield "output", "is what is read; name another file"
        if self.depth_path is None and self.depth_unit is not None:
            yield "depth_unit", "is of --depth_path; add that, or leave it out"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        InputError: the picture, model or points cannot be used.
    """
    options = parse(AlignOptions, argv)
    # What is refused imports no Paddle.
    import numpy as np

    from datasets.pictures import read_picture
    from evaluation.result_files import INPUTS, inputs_of, own_name
    from prediction import alignment
    from prediction.depth_map import RELATIVE_INVERSE
    from prediction.pictures import write_files
    from prediction.predictor import open_predictor

    picture = read_picture(options.image_path)
    shape = picture.shape[:2]
    points = alignment.read_points(options.points or ())
    if options.depth_path is not None:
        measured = alignment.read_sparse_depth(options.depth_path, options.depth_unit, shape)
        points = np.concatenate([points, measured])
    predictor = open_predictor(options, keep_aspect=options.keep_aspect)
    shift = options.shift or predictor.unit == RELATIVE_INVERSE
    disparity = predictor(picture).disparity
    fit, error = alignment.fit_scale_shift(disparity, points, shift)
    for words in alignment.doubts(disparity, points, fit):
        logger.warning("%s: %s", options.image_path, words)
    # Better points replace earlier ones; another picture or model has its own file.
    inputs = inputs_of(options, without=("points", "depth_path", "depth_unit"))
    beside, target = options.image_path, options.output
    if target is None:
        name = own_name(beside.parent, f"{beside.stem}_alignment", inputs)
        target = beside.with_name(f"{name}.json")
    about = {INPUTS: inputs, "keep_aspect": predictor.keep_aspect}
    text = alignment.alignment_json(fit, error, len(points), predictor.info.name, about)
    write_files(target.parent, {target.name: text.encode()})
    words = "1 / metres = %.6g * disparity + %.6g, from %d points, off by %.1f %% in the median: %s"
    logger.info(words, fit.scale, fit.shift, len(points), 100 * error, target)


if __name__ == "__main__":
    run_command(main)
