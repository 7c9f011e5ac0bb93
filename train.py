"""Train depth and pose networks on frames without ground truth."""

from __future__ import annotations

from collections.abc import Sequence

from options import EvaluateOptions, TrainOptions, parse
from system.errors import run_command


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    options = parse(TrainOptions, argv, others=[EvaluateOptions])
    # What is refused needs no Paddle, and neither do the data workers, which import this file too.
    from training.trainer import train

    train(options)


if __name__ == "__main__":
    run_command(main)
