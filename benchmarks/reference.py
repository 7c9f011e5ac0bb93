"""A PyTorch Monodepth2 beside this one: prediction, and its networks' training, 640x192.

python -m benchmarks.reference RESULT.json DIR [PYTHON]

``DIR`` is a checkout whose package ``networks`` has ``ResnetEncoder(layers, pretrained)`` with
``num_ch_enc`` and ``DepthDecoder(num_ch_enc, scales)``; ``PYTHON`` (or the variable
``REFERENCE_PYTHON``) an interpreter that has PyTorch.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable

from cpu_math import prepare

prepare()

import numpy as np  # noqa: E402
import paddle  # noqa: E402

from benchmarks.measure import compared, report  # noqa: E402
from benchmarks.step import NetworksAlone  # noqa: E402
from errors import InputError, run_command  # noqa: E402
from networks.model_info import ModelInfo  # noqa: E402
from networks.monodepth import STEREO, Architecture, Monodepth  # noqa: E402
from networks.weights import save_weights  # noqa: E402
from prediction.predictor import Predictor  # noqa: E402
from training.compile_step import compile_step  # noqa: E402
from training.freed_memory import keep_freed_memory  # noqa: E402

HEIGHT, WIDTH, BATCH, ROUNDS, REPEATED = 192, 640, 4, 3, 4
# Answers each line of its input with the seconds of one run of what the line names.
PEER = f"""
import sys, time, torch
sys.path.insert(0, sys.argv[1])
import networks
encoder = networks.ResnetEncoder(18, False)
depth = networks.DepthDecoder(encoder.num_ch_enc, scales=range(4))
adam = torch.optim.Adam([*encoder.parameters(), *depth.parameters()], 1e-4)
image, batch = torch.rand(1, 3, {HEIGHT}, {WIDTH}), torch.rand({BATCH}, 3, {HEIGHT}, {WIDTH})

def predict():
    encoder.eval(); depth.eval()
    with torch.no_grad():
        depth(encoder(image))

def train():
    encoder.train(); depth.train()
    adam.zero_grad()
    sum(value.mean() for value in depth(encoder(batch)).values()).backward()
    adam.step()

for line in sys.stdin:
    start = time.perf_counter()
    for _ in range({REPEATED}):
        globals()[line.strip()]()
    print((time.perf_counter() - start) / {REPEATED}, flush=True)
"""


def main() -> None:
    """Measure in turns and report."""
    checkout = Path(sys.argv[2])
    if not (checkout / "networks").is_dir():
        raise InputError(f"--reference {checkout}: has no folder networks")
    python = sys.argv[3] if len(sys.argv) > 3 else os.environ.get("REFERENCE_PYTHON", "python3")
    command = [python, "-c", PEER, str(checkout)]
    peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def peers(what: str) -> float:
        print(what, file=peer.stdin, flush=True)
        answer = peer.stdout.readline()
        if not answer:
            raise InputError(f"--reference {checkout}: {python} could not run its networks")
        return float(answer)

    info = ModelInfo(Architecture(source_ids=(STEREO,)), HEIGHT, WIDTH)
    model = Monodepth(info.architecture)
    image = np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        save_weights(Path(folder), model, info)
        predictor = Predictor.from_folder(Path(folder), "cpu")
    keep_freed_memory()
    whole = NetworksAlone(model)
    compile_step(whole, processes=1)
    parameters = [*model.encoder.parameters(), *model.depth.parameters()]
    adam = paddle.optimizer.Adam(1e-4, parameters=parameters)
    batch = paddle.rand([BATCH, 3, HEIGHT, WIDTH])
    sources = batch.unsqueeze(1)  # not looked at without a pose network

    def train() -> None:
        loss = whole(batch, sources)[0]
        loss.backward()
        adam.step()
        adam.clear_grad()
        float(loss)

    def timed(run: Callable[[], object]) -> float:
        start = time.perf_counter()
        for _ in range(REPEATED):
            run()
        return (time.perf_counter() - start) / REPEATED

    ours = {"predict": lambda: predictor.disparity(image), "train": train}
    rows = []
    for what, unit in (("predict", "an image"), ("train", f"networks, batch {BATCH}")):
        seconds: dict[str, list[float]] = {"ours": [], "peer": []}
        for turn in range(ROUNDS + 1):
            took = {"ours": timed(ours[what]), "peer": peers(what)}
            for name in seconds if turn else ():
                seconds[name].append(took[name])
        both = {name: 1000 * statistics.median(values) for name, values in seconds.items()}
        rows.append(compared(f"{what}, ms, {unit} (PyTorch)", both["ours"], both["peer"]))
    peer.stdin.close()
    peer.wait()
    if predictor.engine.name:
        print(f"engine: {predictor.engine.name}; peer: {json.dumps(str(checkout))}")
    sys.argv = sys.argv[:2]
    report(rows)


if __name__ == "__main__":
    run_command(main)
