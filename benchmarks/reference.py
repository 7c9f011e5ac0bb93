"""A PyTorch Monodepth2 beside this one: prediction, and its networks' training, 640x192.

python -m benchmarks.reference RESULT.json DIR [PYTHON]

``DIR`` is a checkout whose package ``networks`` has ``ResnetEncoder(layers, pretrained)`` with
``num_ch_enc`` and ``DepthDecoder(num_ch_enc, scales)``; ``PYTHON`` (or the variable
``REFERENCE_PYTHON``) an interpreter that has PyTorch.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import paddle

from benchmarks.measure import Peer, compared, in_turns, report
from benchmarks.step import networks_alone, training_step
from datasets.conventions import STEREO
from networks.monodepth import Architecture, Monodepth
from prediction.predictor import DepthPredictor
from system.errors import InputError, run_command
from training.cpu.process import keep_freed_memory
from weight_files.folder import save_weights
from weight_files.model_info import ModelInfo

HEIGHT, WIDTH, BATCH, ROUNDS, REPEATED = 192, 640, 4, 3, 4
# Answers each line of its input when it has run what the line names.
PEER = f"""
import sys, torch
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
    for _ in range({REPEATED}):
        globals()[line.strip()]()
    print(flush=True)
"""


def main() -> None:
    """Measure in turns and report."""
    checkout = Path(sys.argv[2])
    if not (checkout / "networks").is_dir():
        raise InputError(f"--reference {checkout}: has no folder networks")
    python = sys.argv[3] if len(sys.argv) > 3 else os.environ.get("REFERENCE_PYTHON", "python3")
    failure = f"--reference {checkout}: {python} could not run its networks"
    peer = Peer([python, "-c", PEER, str(checkout)], failure)
    info = ModelInfo(Architecture(source_ids=(STEREO,)), HEIGHT, WIDTH)
    model = Monodepth(info.architecture)
    image = np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        save_weights(Path(folder), model, info)
        predictor = DepthPredictor.from_folder(folder, "cpu").network
    keep_freed_memory()
    parameters = [*model.encoder.parameters(), *model.depth.parameters()]
    batch = paddle.rand([BATCH, 3, HEIGHT, WIDTH])
    # The sources are not looked at without a pose network.
    inputs = {"seen": {"target": batch, "sources": batch.unsqueeze(1)}, "known": None}

    train = training_step(networks_alone(model), inputs, parameters)
    predict = partial(predictor.disparity, image)
    rows = []
    for what, run, unit in (
        ("predict", predict, "an image"),
        ("train", train, f"networks, batch {BATCH}"),
    ):
        ways = {
            "ours": lambda run=run: [run() for _ in range(REPEATED)],
            "peer": partial(peer.ask, what),
        }
        ms = {name: 1000 * each / REPEATED for name, each in in_turns(ways, ROUNDS).items()}
        rows.append(compared(f"{what}, ms, {unit} (PyTorch)", ms["ours"], ms["peer"]))
    peer.close()
    if predictor.engine.name:
        print(f"engine: {predictor.engine.name}; peer: {json.dumps(str(checkout))}")
    report(rows)


if __name__ == "__main__":
    run_command(main)
