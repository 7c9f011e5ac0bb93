"""``demo.py`` for folders and videos: its rate against the network's own, and its memory.

python -m benchmarks.folders [--small] [RESULT.json]

The rate should be 0.9 of the network's at least; memory the same for many as for few.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import av
import numpy as np

from benchmarks.drives import DRIVE, write_drive
from benchmarks.measure import Row, Scale, compared, in_turns, peak_gib, run_part, unavailable
from benchmarks.models import write_model
from datasets.kitti import frame_path
from datasets.pictures import read_picture
from options import DemoOptions, parse
from prediction.files import predict_files
from prediction.predictor import DepthPredictor
from tools.stages import ROOT

DRAWN = 60  # pictures, which come again and again
# For memory, for the rate, and for memory again: of long footage, whose start and end weigh little.
COUNTS = FEW, RATED, MANY = 40, 150, 400


def rows(scale: Scale) -> Iterator[Row]:
    """The rates of both, then their memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MONODEPTH_HOME"] = str(folder / "home")
        weights = write_model(folder / "weights", scale)
        write_drive(folder, scale.of(DRAWN))
        paths = sorted(frame_path(folder, DRIVE, 0, "l", "jpg").parent.iterdir())
        frames = [read_picture(path)[:374] for path in paths]
        try:
            videos = {count: make_video(folder, frames, scale.of(count)) for count in COUNTS}
        except ValueError as error:
            videos = {}
            yield unavailable("videos", error)
        folders = {count: make_folder(folder, paths, scale.of(count)) for count in COUNTS}
        yield from rates(scale, weights, folders[RATED], videos.get(RATED))
        words = ["--load_weights_folder", weights, "--output", folder / "out", "--image_path"]
        demo = [sys.executable, ROOT / "demo.py", *words]
        for kind, inputs in (("folder", folders), ("video", videos)):
            if inputs:
                few, many = (peak_gib([*demo, inputs[count]]) for count in (FEW, MANY))
                what = f"memory, {kind} of {scale.of(MANY)}, GiB (of {scale.of(FEW)})"
                yield compared(what, many, few)


def make_video(folder: Path, frames: list[np.ndarray], count: int) -> Path:
    """A video of so many frames, which come again and again.

    By the usual settings of x264, with which these have 53 kB each, and KITTI's own 55.

    Raises:
        ValueError: PyAV has no x264.
    """
    path = folder / f"video_{count}.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number in range(count):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frames[number % len(frames)])))
        output.mux(stream.encode())
    return path


def make_folder(folder: Path, paths: list[Path], count: int) -> Path:
    """A folder of so many pictures, which come again and again."""
    made = folder / f"pictures_{count}"
    made.mkdir()
    for number in range(count):
        shutil.copy(paths[number % len(paths)], made / f"{number}.jpg")
    return made


def rates(scale: Scale, weights: Path, pictures: Path, video: Path | None) -> Iterator[Row]:
    """A folder and a video by the fastest engine, against the network alone on as many images."""
    predictor, paths = DepthPredictor.from_folder(weights, "cpu"), sorted(pictures.iterdir())
    images = [predictor.network_input(read_picture(path))[None] for path in paths]
    words = ["--load_weights_folder", str(weights), "--output", str(weights.parent / "out")]

    def predicting(*inputs: Path) -> Callable[[], list[str]]:
        options = parse(DemoOptions, ["--image_path", *map(str, inputs), *words])
        return lambda: predict_files(predictor, inputs, options)

    ways = {
        "network": lambda: [predictor.network.disparity(image) for image in images],
        "folder": predicting(*paths),
    }
    if video is not None:
        ways["video"] = predicting(video)
    costs = in_turns(ways, scale.rounds)
    each = {name: cost.times(1000 / len(paths)) for name, cost in costs.items()}
    for name in list(ways)[1:]:
        what = f"{name}, ms a picture (network alone)"
        yield compared(what, each[name], each["network"], repeats=scale.rounds)


if __name__ == "__main__":
    run_part(rows)
