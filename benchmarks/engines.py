"""One image at 640x192 by every engine that is installed, against Paddle without compiling.

python -m benchmarks.engines [RESULT.json]
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from cpu_math import prepare

prepare()

import numpy as np  # noqa: E402
import paddle  # noqa: E402

from benchmarks.drives import write_drive  # noqa: E402
from benchmarks.measure import compared, in_turns, report  # noqa: E402
from errors import InputError  # noqa: E402
from layers import disp_to_depth  # noqa: E402
from networks.model_info import ModelInfo  # noqa: E402
from networks.monodepth import STEREO, Architecture, Monodepth  # noqa: E402
from networks.weights import save_weights  # noqa: E402
from prediction.engines.choice import ENGINES  # noqa: E402
from prediction.predictor import Predictor  # noqa: E402

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
            predictors[f"{name} {precision}"] = Predictor.from_folder(
                folder, "cpu", name, precision, pictures if precision == "int8" else None
            )
        except InputError as error:
            print(f"{name} {precision}: {error}")
    return predictors


def main() -> None:
    """Measure and report."""
    logging.disable(logging.INFO)
    paddle.seed(0)
    info = ModelInfo(Architecture(source_ids=(STEREO,)), HEIGHT, WIDTH)
    image = np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        save_weights(Path(folder), Monodepth(info.architecture), info)
        write_drive(Path(folder) / "pictures", frames=8)
        predictors = open_predictors(Path(folder), Path(folder) / "pictures")
        # Several images at a time: threads of another engine go on spinning for a moment.
        ways = {
            name: lambda predictor=predictor: [predictor.disparity(image) for _ in range(IMAGES)]
            for name, predictor in predictors.items()
        }
        seconds = {name: value / IMAGES for name, value in in_turns(ways, rounds=5).items()}
        exact = predictors[EAGER].disparity(image)
        rows = []
        for name, predictor in predictors.items():
            disparity = predictor.disparity(image)
            depth, true = (disp_to_depth(d, 0.1, 100)[1] for d in (disparity, exact))
            note = (
                f"off by {np.abs(disparity - exact).max():.1e} of disparity, "
                f"abs_rel {np.mean(np.abs(depth - true) / true):.1e}"
            )
            what = f"{name}, ms an image (Paddle eager)"
            rows.append(compared(what, 1000 * seconds[name], 1000 * seconds[EAGER], note))
        report(rows)


if __name__ == "__main__":
    main()
