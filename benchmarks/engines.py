"""One image at 640x192 by every engine that is installed, against Paddle without compiling.

python -m benchmarks.engines [RESULT.json]
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Callable

import numpy as np
import paddle
from paddle import nn

from benchmarks.drives import write_drive
from benchmarks.measure import compared, in_turns, report
from datasets.conventions import STEREO, disp_to_depth
from networks.monodepth import Architecture, Monodepth
from options import ENGINES
from prediction.predictor import DepthPredictor, Predictor
from system.errors import InputError
from weight_files.folder import save_weights
from weight_files.model_info import ModelInfo

HEIGHT, WIDTH = 192, 640
EAGER = "paddle fp32"
IMAGES = 10


def open_predictors(folder: Path, pictures: Path) -> dict[str, Predictor]:
    """A weights folder by every engine and precision that can run it; ``pictures`` calibrate int8.

    Those that cannot are said.
    """
    predictors = {}
    others = [("openvino", "bf16"), ("openvino", "int8")]
    for name, precision in [*((name, "fp32") for name in ENGINES), *others]:
        try:
            calibration = pictures if precision == "int8" else None
            opened = DepthPredictor.from_folder(folder, "cpu", name, precision, calibration)
            predictors[f"{name} {precision}"] = opened.network
        except InputError as error:
            print(f"{name} {precision}: {error}")
    return predictors


def time_engines(
    network: nn.Layer, info: ModelInfo, rounds: int, others: dict[str, Callable[[], object]]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """The output for an image, and the milliseconds that it takes, of every engine.

    ``others`` are timed in turns with them; each predicts :data:`IMAGES` times.
    """
    image = np.random.default_rng(0).integers(0, 256, (1, info.height, info.width, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        save_weights(Path(folder), network, info)
        write_drive(Path(folder) / "pictures", frames=8)
        predictors = open_predictors(Path(folder), Path(folder) / "pictures")
        outputs = {name: each.disparity(image) for name, each in predictors.items()}
        # Several images at a time: threads of another engine go on spinning for a moment.
        ways = {
            name: lambda predictor=predictor: [predictor.disparity(image) for _ in range(IMAGES)]
            for name, predictor in predictors.items()
        }
        seconds = in_turns({**ways, **others}, rounds)
    return outputs, {name: 1000 * value / IMAGES for name, value in seconds.items()}


def main() -> None:
    """Measure and report."""
    logging.disable(logging.INFO)
    paddle.seed(0)
    info = ModelInfo(Architecture(source_ids=(STEREO,)), HEIGHT, WIDTH)
    outputs, ms = time_engines(Monodepth(info.architecture), info, rounds=5, others={})
    exact, rows = outputs[EAGER], []
    for name, disparity in outputs.items():
        depth, true = (disp_to_depth(d, 0.1, 100)[1] for d in (disparity, exact))
        note = (
            f"off by {np.abs(disparity - exact).max():.1e} of disparity, "
            f"abs_rel {np.mean(np.abs(depth - true) / true):.1e}"
        )
        rows.append(compared(f"{name}, ms an image (Paddle eager)", ms[name], ms[EAGER], note))
    report(rows)


if __name__ == "__main__":
    main()
