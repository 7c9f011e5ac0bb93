"""Export the depth network of a model for another runtime, and prove it there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from errors import run_command
from networks.model_zoo import named_model
from options import ModelExportOptions, parse
from prediction.export import Export, export_model
from prediction.reading import find_inputs, read_picture

logger = logging.getLogger(__name__)

MOST_PICTURES = 16


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line.

    Raises:
        InputError: the model cannot be exported, or the result deviates too much.
    """
    options = parse(ModelExportOptions, argv)
    export = Export(options.format, options.precision, options.any_size)
    export.check()
    weights = options.load_weights_folder or named_model(options.model_name)
    target = options.output or Path(f"{weights.name}.{options.format}")
    paths = find_inputs(options.image_path, None)[:MOST_PICTURES]
    pictures = [read_picture(path) for path in paths]
    export_model(weights, target, export, pictures, options.calibration)
    logger.info("wrote %s", target)


if __name__ == "__main__":
    run_command(main)
