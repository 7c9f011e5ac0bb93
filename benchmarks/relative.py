"""One 256x256 picture by MiDaS small in every engine that is installed, against Paddle eager.

python -m benchmarks.relative [RESULT.json [PEER ...]]

``PEER`` is a command that runs another implementation: it answers each line of its input with a
line, after ten predictions of such a picture on two threads.
"""

from __future__ import annotations

import logging
import math
import sys

import numpy as np
import paddle

from benchmarks.engines import EAGER, time_engines
from benchmarks.measure import Peer, compared, report
from networks.input_sizes import MIDAS
from networks.kinds import MIDAS_SMALL
from networks.midas_small import MidasSmall
from networks.monodepth import Architecture
from prediction import graph
from system.errors import run_command
from weight_files.model_info import ModelInfo

PEER = "peer"


def main() -> None:
    """Measure in turns and report."""
    logging.disable(logging.INFO)
    graph.LARGEST_INT8_CHANGE = math.inf  # random weights lose more in 8 bits, in the same time
    paddle.seed(0)
    info = ModelInfo(Architecture(), MIDAS.side, MIDAS.side, kind=MIDAS_SMALL)
    command, others = sys.argv[2:], {}
    if command:
        peer = Peer(command, f"{' '.join(command)}: ended without an answer")
        others[PEER] = lambda: peer.ask("predict")
    outputs, ms = time_engines(untrained(), info, 7, others)
    if command:
        peer.close()
    exact, rows = outputs[EAGER], []
    for name, output in outputs.items():
        note = f"off by {np.abs(output - exact).max() / exact.max():.1e} of the largest value"
        what = f"{name}, ms a picture"
        rows.append(compared(f"{what} (Paddle eager)", ms[name], ms[EAGER], note))
        if command:
            rows.append(compared(f"{what} (peer)", ms[name], ms[PEER]))
    report(rows)


def untrained() -> MidasSmall:
    """A network of random weights that does not end in zeros everywhere."""
    network = MidasSmall()
    last = network.scratch.output_conv[4].weight
    last.set_value(paddle.abs(last))
    return network


if __name__ == "__main__":
    run_command(main)
