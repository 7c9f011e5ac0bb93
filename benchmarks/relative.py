"""One 256x256 picture by MiDaS small in every engine that is installed, against Paddle eager.

python -m benchmarks.relative [RESULT.json [PEER ...]]

``PEER`` is a command that runs another implementation: it answers each line of its input with a
line, after ``IMAGES`` predictions of such a picture on two threads.
"""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from cpu_math import prepare

prepare()

import numpy as np  # noqa: E402
import paddle  # noqa: E402

from benchmarks.drives import write_drive  # noqa: E402
from benchmarks.engines import EAGER, IMAGES, open_predictors  # noqa: E402
from benchmarks.measure import Row, compared, in_turns, report  # noqa: E402
from errors import InputError, run_command  # noqa: E402
from networks.midas_small import SIDE, MidasSmall  # noqa: E402
from networks.model_info import MIDAS_SMALL, ModelInfo  # noqa: E402
from networks.monodepth import Architecture  # noqa: E402
from networks.weights import save_weights  # noqa: E402
from prediction import quantise  # noqa: E402

PEER = "peer"


def main() -> None:
    """Measure in turns and report."""
    logging.disable(logging.INFO)
    quantise.LARGEST_CHANGE = math.inf  # random weights lose more in 8 bits, in the same time
    paddle.seed(0)
    image = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        info = ModelInfo(Architecture(), SIDE, SIDE, kind=MIDAS_SMALL)
        save_weights(Path(folder), untrained(), info)
        write_drive(Path(folder) / "pictures", frames=8)
        predictors = open_predictors(Path(folder), Path(folder) / "pictures")
        outputs = {name: each.disparity(image) for name, each in predictors.items()}
        ways = {
            name: lambda predictor=predictor: [predictor.disparity(image) for _ in range(IMAGES)]
            for name, predictor in predictors.items()
        }
        command = sys.argv[2:]
        peer = start(command) if command else None
        if peer:
            ways[PEER] = lambda: ask(peer, command)
        seconds = {name: value / IMAGES for name, value in in_turns(ways, rounds=7).items()}
    if peer:
        peer.stdin.close()
        peer.wait()
    del sys.argv[2:]
    report(rows(seconds, outputs))


def untrained() -> MidasSmall:
    """A network of random weights that does not end in zeros everywhere."""
    network = MidasSmall()
    last = network.scratch.output_conv[4].weight
    last.set_value(paddle.abs(last))
    return network


def rows(seconds: dict[str, float], outputs: dict[str, np.ndarray]) -> list[Row]:
    """Each engine against Paddle eager, and against the peer where there is one."""
    exact = outputs[EAGER]
    made = []
    for name, output in outputs.items():
        note = f"off by {np.abs(output - exact).max() / exact.max():.1e} of the largest value"
        what = f"{name}, ms a picture"
        made.append(compared(f"{what} (Paddle eager)", *milliseconds(seconds, name, EAGER), note))
        if PEER in seconds:
            made.append(compared(f"{what} (peer)", *milliseconds(seconds, name, PEER)))
    return made


def milliseconds(seconds: dict[str, float], *names: str) -> list[float]:
    """What some ways take."""
    return [1000 * seconds[name] for name in names]


def start(command: list[str]) -> subprocess.Popen:
    """The other implementation, waiting."""
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(peer: subprocess.Popen, command: list[str]) -> None:
    """Have the other implementation predict.

    Raises:
        InputError: it ended.
    """
    print("predict", file=peer.stdin, flush=True)
    if not peer.stdout.readline():
        raise InputError(f"{' '.join(command)}: ended without an answer")


if __name__ == "__main__":
    run_command(main)
