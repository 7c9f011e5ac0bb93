"""Train depth and pose networks on frames without ground truth."""

from __future__ import annotations

from collections.abc import Sequence

from errors import run_command
from options import TrainOptions, parse


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    # Data workers import this file too, and do without Paddle.
    from training.trainer import Trainer  # noqa: PLC0415

    Trainer(parse(TrainOptions, argv)).run()


if __name__ == "__main__":
    run_command(main)
