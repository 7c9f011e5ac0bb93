"""Each engine that predicts, against Paddle itself: what it gives, and in what time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import paddle

from datasets.conventions import STEREO
from networks.monodepth import Architecture, Monodepth
from options import ENGINES
from prediction.engines import Engine, open_engine
from system.device import choose_device
from system.errors import InputError
from tools.device.paths import deviation
from tools.device.rows import NOT_HERE, REPORT, Row, Settings, judged
from weight_files.folder import OpenedModel, open_model, save_weights
from weight_files.model_info import ModelInfo

TOLERANCES = {"fp32": 1e-4, "bf16": 3e-2}  # of the largest disparity
ROUNDS = 5  # that are timed
REFERENCE = "paddle"
HALF = (("paddle", "bf16"), ("openvino", "bf16"))  # on GPUs, on CPUs


def check_engines(settings: Settings) -> Iterator[Row]:
    """A row for each engine and precision; int8, which needs pictures to be fitted to, is none."""
    choose_device(settings.device)
    opened = open_model(write_model(settings))
    images = np.random.default_rng(0).integers(0, 256, (1, *settings.size, 3), np.uint8)
    reference = open_engine(opened, REFERENCE, "fp32", settings.device)
    expected = reference.disparity(images)
    for name, precision in [*((name, "fp32") for name in ENGINES), *HALF]:
        yield engine_row(opened, name, precision, settings.device, images, expected)


def write_model(settings: Settings) -> Path:
    """A weights folder of random weights, with statistics as after training."""
    height, width = settings.size
    info = ModelInfo(Architecture(source_ids=(STEREO,)), height, width, name="random")
    folder = settings.folder / "random"
    folder.mkdir(exist_ok=True)
    paddle.seed(0)
    model = Monodepth(info.architecture)
    for _, buffer in model.named_buffers():
        buffer.set_value(paddle.rand(buffer.shape) + 0.5)
    save_weights(folder, model, info)
    return folder


def engine_row(
    opened: OpenedModel,
    name: str,
    precision: str,
    device: str | None,
    images: np.ndarray,
    expected: np.ndarray,
) -> Row:
    """How far an engine's disparity of images is from what Paddle itself gives."""
    words = f"engine {name}" if precision == "fp32" else f"engine {name}, {precision}"
    try:
        engine = open_engine(opened, name, precision, device)
    except InputError as error:  # it is not installed, or not for this device
        return Row(words, NOT_HERE, str(error))
    off = deviation(engine.disparity(images), expected)
    milliseconds = timed(engine, images)
    return judged(
        words,
        off <= TOLERANCES[precision],
        f"deviation {off:.1e} of the largest disparity; {milliseconds:.1f} ms an image",
        f"predict with --engine paddle, and {REPORT}",
        deviation=off,
        milliseconds=milliseconds,
    )


def timed(engine: Engine, images: np.ndarray) -> float:
    """Milliseconds of an image, from and to the computer's memory; the median."""
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        engine.disparity(images)
        found.append(time.perf_counter() - start)
    return 1000 * statistics.median(found)
