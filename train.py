"""Train depth and pose networks on frames without ground truth."""

from __future__ import annotations

from collections.abc import Sequence

from errors import run_command
from options import TrainOptions, parse
from training.trainer import Trainer


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    Trainer(parse(TrainOptions, argv)).run()


if __name__ == "__main__":
    run_command(main)
