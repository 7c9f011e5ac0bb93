"""One 256x256 picture by MiDaS small in every engine that is installed, against Paddle eager.

python -m benchmarks.relative [--small] [RESULT.json [PEER ...]]

``PEER`` is a command that runs another implementation: it answers each line of its input with a
line, after ten predictions of such a picture on two threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import paddle

from benchmarks.engines import EAGER, time_engines
from benchmarks.measure import Cost, Peer, Row, Scale, compared, run_part
from networks.input_sizes import MIDAS
from networks.kinds import MIDAS_SMALL
from networks.midas_small import MidasSmall
from networks.monodepth import Architecture
from prediction import graph
from weight_files.model_info import ModelInfo

PEER = "peer"


def rows(scale: Scale, *command: str) -> Iterator[Row]:
    """One for each engine and precision, and one beside the peer."""
    graph.LARGEST_INT8_CHANGE = math.inf  # random weights lose more in 8 bits, in the same time
    paddle.seed(0)
    info = ModelInfo(Architecture(), MIDAS.side, MIDAS.side, kind=MIDAS_SMALL)
    others = {}
    if command:
        peer = Peer(list(command), f"{' '.join(command)}: ended without an answer")
        others[PEER] = partial(ask_for_time, peer)
    rounds = 2 * scale.rounds
    outputs, ms, missing = time_engines(untrained(), info, rounds, others)
    if command:
        peer.close()
    yield from missing
    exact = outputs[EAGER]
    for name, output in outputs.items():
        note = f"off by {np.abs(output - exact).max() / exact.max():.1e} of the largest value"
        what = f"MiDaS small, {name}, ms a picture"
        yield compared(f"{what} (Paddle eager)", ms[name], ms[EAGER], note, rounds)
        if command:
            yield compared(f"{what} (peer)", ms[name], ms[PEER], repeats=rounds)


def ask_for_time(peer: Peer) -> Cost:
    """What the peer takes on the clock; its processor time is not known."""
    start = time.perf_counter()
    peer.ask("predict")
    return Cost(time.perf_counter() - start)


def untrained() -> MidasSmall:
    """A network of random weights that does not end in zeros everywhere."""
    network = MidasSmall()
    last = network.scratch.output_conv[4].weight
    last.set_value(paddle.abs(last))
    return network


if __name__ == "__main__":
    run_part(rows)
