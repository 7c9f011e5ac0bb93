"""One image at 640x192 by every engine that is installed, against Paddle without compiling.

python -m benchmarks.engines [--small] [RESULT.json]
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import numpy as np
import paddle
from paddle import nn

from benchmarks.drives import write_drive
from benchmarks.measure import Cost, Row, Scale, compared, in_turns, run_part, unavailable
from datasets.conventions import STEREO, disp_to_depth
from networks.monodepth import Architecture, Monodepth
from options import ENGINES
from prediction.predictor import DepthPredictor, Predictor
from system.errors import InputError
from weight_files.folder import save_weights
from weight_files.model_info import ModelInfo

EAGER = "paddle fp32"
IMAGES = 10


def open_predictors(
    folder: Path, pictures: Path
) -> tuple[dict[str, Predictor], dict[str, InputError]]:
    """A weights folder by every engine and precision that can run it, and why others cannot.

    ``pictures`` calibrate int8.
    """
    predictors, refused = {}, {}
    others = [("openvino", "bf16"), ("openvino", "int8")]
    for name, precision in [*((name, "fp32") for name in ENGINES), *others]:
        try:
            calibration = pictures if precision == "int8" else None
            opened = DepthPredictor.from_folder(folder, "cpu", name, precision, calibration)
            predictors[f"{name} {precision}"] = opened.network
        except InputError as error:
            refused[f"{name} {precision}"] = error
    return predictors, refused


def time_engines(
    network: nn.Layer, info: ModelInfo, rounds: int, others: dict[str, Callable[[], object]]
) -> tuple[dict[str, np.ndarray], dict[str, Cost], list[Row]]:
    """The output for an image, and the milliseconds that it takes, of every engine.

    ``others`` are timed in turns with them; each predicts :data:`IMAGES` times. The rows are of the
    engines that cannot be measured.
    """
    image = np.random.default_rng(0).integers(0, 256, (1, info.height, info.width, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        save_weights(Path(folder), network, info)
        write_drive(Path(folder) / "pictures", frames=8)
        predictors, refused = open_predictors(Path(folder), Path(folder) / "pictures")
        outputs = {name: each.disparity(image) for name, each in predictors.items()}
        # Several images at a time: threads of another engine go on spinning for a moment.
        ways = {
            name: lambda predictor=predictor: [predictor.disparity(image) for _ in range(IMAGES)]
            for name, predictor in predictors.items()
        }
        costs = in_turns({**ways, **others}, rounds)
    missing = [unavailable(name, why) for name, why in refused.items()]
    return outputs, {name: cost.times(1000 / IMAGES) for name, cost in costs.items()}, missing


def rows(scale: Scale) -> Iterator[Row]:
    """One for each engine and precision."""
    paddle.seed(0)
    info = ModelInfo(Architecture(source_ids=(STEREO,)), scale.height, scale.width)
    network = Monodepth(info.architecture)
    outputs, ms, missing = time_engines(network, info, scale.rounds, others={})
    yield from missing
    exact = outputs[EAGER]
    for name, disparity in outputs.items():
        depth, true = (disp_to_depth(d, 0.1, 100)[1] for d in (disparity, exact))
        note = (
            f"off by {np.abs(disparity - exact).max():.1e} of disparity, "
            f"abs_rel {np.mean(np.abs(depth - true) / true):.1e}"
        )
        what = f"network, {name}, ms an image (Paddle eager)"
        yield compared(what, ms[name], ms[EAGER], note, scale.rounds)


if __name__ == "__main__":
    run_part(rows)
