"""What the options of a command say of videos: what is written of one, and where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets.depth_files import NOTE, STATED_UNITS, UNIT
from prediction.depth_map import DepthMap
from prediction.outputs import ABOUT, Place, free_place
from prediction.pictures import FARTHEST, UNITS_PER_METRE, encode_depth, encode_png
from prediction.predictor import DepthPredictor
from prediction.video import VideoFormat, predict_video
from system.errors import InputError
from system.files import folder_written_whole, json_text

if TYPE_CHECKING:
    from options import DemoOptions


def predict_video_file(
    predictor: DepthPredictor, place: Place, options: DemoOptions, about: Mapping[str, Any]
) -> None:
    """Predict the video of a place, and write its depth there; see :func:`predict_video`.

    Args:
        predictor: the model.
        place: the video, and where its files go.
        options: in which container and colours, and whether with the depth of every frame.
        about: the model and what ran it.

    Raises:
        InputError: the video cannot be read, or its depth not written.
    """
    form = video_format(predictor, options)
    end, depth = f"disp.{form.container}", ["depth"] if options.video_depth else []
    free = free_place(place, [ABOUT, end, *depth])
    how = (free.path(end), form, options.batch_size, about)
    if not options.video_depth:
        predict_video(predictor, place.source, *how)
        return
    with folder_written_whole(free.path("depth"), replace=True) as folder:
        predict_video(predictor, place.source, *how, DepthFrames(folder, options.depth_unit).add)


class DepthFrames:
    """Writes the depth of one frame after the other as a 16-bit PNG into a folder."""

    def __init__(self, folder: Path, depth_unit: str) -> None:
        self.folder, self.unit, self.count = folder, depth_unit, 0

    def add(self, depth_map: DepthMap, largest: float) -> None:
        """Write the next one: metres in the unit, or else disparity in steps of the ``largest``."""
        if depth_map.metric:
            steps, _ = encode_depth(depth_map.depth, self.unit)
            said = {UNIT: self.unit, "depth_picture": f"1/{UNITS_PER_METRE[self.unit]} m"}
        else:
            step = (largest or 1.0) / FARTHEST
            steps = np.clip(np.rint(depth_map.disparity / step), 0, FARTHEST).astype(np.uint16)
            said = {UNIT: depth_map.unit, "disparity_picture": f"whole numbers of {step:.9g}"}
        path = self.folder / f"{self.count:06d}.png"
        try:
            if depth_map.metric and self.count == 0:
                step = STATED_UNITS[self.unit].metres_per_step
                note = json_text({"kind": "depth", "metres_per_step": step})
                (self.folder / NOTE).write_text(note, encoding="utf-8")
            path.write_bytes(encode_png(steps, said))
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written ({error.strerror}); make room on the disk"
            ) from error
        self.count += 1


def video_format(predictor: DepthPredictor, options: DemoOptions) -> VideoFormat:
    """How the options want videos to be written."""
    return VideoFormat(
        options.video_format,
        options.colormap,
        "side" in (options.extras or ()),
        options.video_range,
        options.max_side if predictor.side is None else None,  # otherwise it is the network's
    )
