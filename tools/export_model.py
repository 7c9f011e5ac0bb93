"""Export the depth network of a model for another runtime, and prove it there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from options import ModelOptions, option, parse
from system.errors import run_command

logger = logging.getLogger(__name__)

MOST_PICTURES = 16


@dataclass(frozen=True)
class ModelExportOptions(ModelOptions):
    """Export the depth network of a model for another runtime, and prove it there."""

    format: str = option(None, "runtime that it is for", choices=("onnx", "openvino", "paddle"))
    precision: str = option(
        "fp32", "of the network; int8 with --calibration", choices=("fp32", "fp16", "int8")
    )
    any_size: bool = option(
        False, "take pictures of any size, resized inside, instead of the network's size"
    )
    image_path: tuple[Path, ...] = option(
        (Path(__file__).parents[1] / "assets" / "test_image.jpg",),
        "pictures, or folders of them, on which the result is compared with Paddle",
    )
    calibration: Optional[Path] = option(
        None, "folder of pictures that int8 is fitted to; once is enough for a weights folder"
    )
    output: Optional[Path] = option(
        None,
        "file (onnx) or folder to write; without it, the weights' name, then what is "
        "unusual, then the format's",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        InputError: the model cannot be exported, or the result deviates too much.
    """
    options = parse(ModelExportOptions, argv)
    # What is refused imports no Paddle.
    from datasets.pictures import PICTURES, read_picture
    from prediction.export import Export, export_model
    from prediction.inputs import find_inputs
    from weight_files.download import find_model

    export = Export(options.format, options.precision, options.any_size, options.calibration)
    export.check()
    weights = find_model(options.load_weights_folder, options.model_name)
    precision = "" if options.precision == "fp32" else f"_{options.precision}"
    usual = f"{weights.name}{precision}{'_any_size' if options.any_size else ''}.{options.format}"
    target = options.output or Path(usual)
    paths = find_inputs(options.image_path, None, PICTURES)[:MOST_PICTURES]
    pictures = [read_picture(path) for path in paths]
    export_model(weights, target, export, pictures)
    logger.info("wrote %s", target)


if __name__ == "__main__":
    run_command(main)
