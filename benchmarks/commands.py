"""Whole commands: one picture by each engine, the page's first answer, folders and videos.

python -m benchmarks.commands [RESULT.json]

A picture and the page are timed from the command to the written files, or the first answer, with
the exported model there; folders and videos against the network alone on as many images, of which
their rate should be 0.9 at least.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Callable

import paddle

from benchmarks.drives import DRIVE, write_drive
from benchmarks.measure import Row, compared, in_turns, report
from datasets.conventions import STEREO
from datasets.kitti import frame_path
from datasets.pictures import read_picture
from networks.monodepth import Architecture, Monodepth
from options import ENGINES, DemoOptions, parse
from prediction.engine_choice import EXTRAS, installed
from prediction.files import predict_files
from prediction.predictor import DepthPredictor
from prediction.video_files import write_video
from tools.stages import ROOT, environment
from weight_files.folder import save_weights
from weight_files.model_info import ModelInfo

HEIGHT, WIDTH = 192, 640
ROUNDS, PICTURES, PORT = 3, 60, 7894


def command_rows(folder: Path) -> list[Row]:
    """All measurements, made in a folder."""
    paddle.seed(0)
    info = ModelInfo(Architecture(source_ids=(STEREO,)), HEIGHT, WIDTH, name="bench")
    weights = folder / "weights"
    weights.mkdir()
    save_weights(weights, Monodepth(info.architecture), info)
    write_drive(folder, PICTURES)
    picture = frame_path(folder, DRIVE, 0, "l", "jpg")
    rows = one_picture(weights, picture, folder / "out")
    if importlib.util.find_spec("gradio") is not None:
        rows.append(first_answer(weights))
    return rows + rates(weights, picture.parent, folder)


def one_picture(weights: Path, picture: Path, output: Path) -> list[Row]:
    """``demo.py`` for one picture by every engine, against Paddle without compiling."""
    names = [name for name in ENGINES if name not in EXTRAS or installed(name)]

    def command(name: str) -> Callable[[], None]:
        words = ["--image_path", picture, "--load_weights_folder", weights, "--engine", name]
        line = [sys.executable, ROOT / "demo.py", *words, "--output", output]
        return lambda: run(list(map(str, line)))

    ways = {name: command(name) for name in names}
    for way in ways.values():  # makes the models
        way()
    processor = {name: processor_seconds(way) for name, way in ways.items()}
    seconds = in_turns(ways, ROUNDS)
    return [
        compared(
            f"one picture, {name}, s (Paddle)",
            seconds[name],
            seconds["paddle"],
            f"{processor[name]:.2f} s of processor time",
        )
        for name in names
    ]


def run(line: list[str]) -> None:
    """Run a command that must succeed."""
    subprocess.run(line, env=environment(), cwd=ROOT, check=True, capture_output=True)


def processor_seconds(way: Callable[[], object]) -> float:
    """Processor time of the processes that something starts; 0 where the system does not say."""
    before = os.times()
    way()
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def first_answer(weights: Path) -> Row:
    """``python -m web`` until it answers, against Python that loads Gradio and no more."""
    from benchmarks.page_load import start_page  # noqa: PLC0415 - needs what the page needs

    def page() -> None:
        process = start_page(weights, PORT)
        process.terminate()
        process.wait()

    start = time.perf_counter()
    run([sys.executable, "-c", "import gradio"])
    alone = time.perf_counter() - start
    seconds = in_turns({"page": page}, 1)["page"]
    return compared("the page's first answer, s (import gradio)", seconds, alone)


def rates(weights: Path, pictures: Path, folder: Path) -> list[Row]:
    """A folder and a video by the fastest engine, against the network alone."""
    predictor = DepthPredictor.from_folder(weights, "cpu")
    paths = sorted(pictures.iterdir())
    video = folder / "video.mp4"
    frames = [read_picture(path)[:374] for path in paths]
    write_video(video, ((Fraction(n, 10), f) for n, f in enumerate(frames)), 10, "mp4")
    images = [predictor.network_input(frame)[None] for frame in frames]
    words = ["--load_weights_folder", str(weights), "--output", str(folder / "out")]

    def predicting(*inputs: Path) -> Callable[[], list[str]]:
        options = parse(DemoOptions, ["--image_path", *map(str, inputs), *words])
        return lambda: predict_files(predictor, inputs, options)

    ways = {
        "network": lambda: [predictor.network.disparity(image) for image in images],
        "folder": predicting(*paths),
        "video": predicting(video),
    }
    processor = {name: own_processor_seconds(way) for name, way in ways.items()}
    seconds = in_turns(ways, ROUNDS)
    return [
        compared(
            f"{name}, ms each (network alone)",
            1000 * seconds[name] / len(paths),
            1000 * seconds["network"] / len(paths),
            f"of processor time {processor['network'] / processor[name]:.2f}",
        )
        for name in ("folder", "video")
    ]


def own_processor_seconds(way: Callable[[], object]) -> float:
    """Processor time of this process for something, after once that does not count."""
    way()
    start = time.process_time()
    way()
    return time.process_time() - start


def main() -> None:
    """Measure and report."""
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MONODEPTH_HOME"] = str(Path(folder) / "home")
        report(command_rows(Path(folder)))


if __name__ == "__main__":
    main()
