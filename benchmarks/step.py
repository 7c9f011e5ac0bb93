"""A training step, MS, batch 4 at 640x192, against its networks alone and ``--eager``; its memory.

python -m benchmarks.step [--small] [RESULT.json]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np
import paddle
from paddle import Tensor

from benchmarks.drives import write_drive, write_split
from benchmarks.measure import Row, Scale, compared, in_turns, peak_gib, run_part
from datasets.conventions import STEREO
from networks.monodepth import Architecture, Monodepth, Prediction
from tools.stages import ROOT
from training.cpu.fast_paths import compile_layers, fast_paths
from training.cpu.process import keep_freed_memory, share_of_cores, use_threads
from training.model_with_loss import ModelWithLoss, TracedLayer
from training.objective import PLAIN, Objective
from training.self_supervised import Loss, Networks
from training.tie_break import tie_break

BATCH = 4
ARCHITECTURE = Architecture(source_ids=(-1, 1, STEREO))


class Mean(TracedLayer):
    """The mean of all that is predicted, in the place of geometry and loss."""

    compilable = True

    def compute(self, inputs: dict[str, Any]) -> dict[str, Tensor]:
        """``total``: of the disparities, the motions and the masks."""
        predicted = Prediction.from_dict(inputs["predicted"])
        parts = [*predicted.disps, *(predicted.masks or [])]
        for motion in predicted.motions:
            parts += [motion.axisangle, motion.translation]
        return {"total": sum(part.mean() for part in parts)}


def networks_alone(model: Monodepth) -> ModelWithLoss:
    """The forward pass without geometry and loss."""
    return ModelWithLoss(Networks(model), Mean())


def training_step(
    whole: ModelWithLoss,
    inputs: dict[str, Any],
    parameters: Sequence[Tensor],
    compiled: bool = True,
) -> Callable[[], None]:
    """Forward, backward and Adam of layers that are compiled for it, unless told otherwise."""
    threads = share_of_cores(1) if compiled else 1  # as the trainer has it
    if compiled:
        compile_layers(whole, processes=1)
    adam = paddle.optimizer.Adam(1e-4, parameters=parameters)

    def train() -> None:
        use_threads(threads)
        loss = whole(inputs)["total"]
        loss.backward()
        adam.step()
        adam.clear_grad()
        float(loss)

    return train


def batch_of(scale: Scale) -> dict[str, Any]:
    """A batch of MS, of noise."""
    height, width, count = scale.height, scale.width, len(ARCHITECTURE.source_ids)
    target = paddle.rand([BATCH, 3, height, width])
    sources = paddle.rand([BATCH, count, 3, height, width])
    K = np.array([[0.58 * width, 0, 0.5 * width], [0, 1.92 * height, 0.5 * height], [0, 0, 1]])
    T = np.eye(4)
    T[0, 3] = -0.1
    K, T = (paddle.to_tensor(np.repeat(M[None], BATCH, 0).astype(np.float32)) for M in (K, T))
    noise = tie_break(0, 0, range(BATCH), [count, height, width])
    frames = {"target": target, "sources": sources}
    known = {**frames, "K": K, "T_stereo": T, "tie_break": noise}
    return {"seen": frames, "known": known}


def whole_step(inputs: dict[str, Any], compiled: bool = True) -> Callable[[], None]:
    """A step as ``train.py`` takes it, with ``--eager`` unless ``compiled``."""
    model = Monodepth(ARCHITECTURE)
    kernels = fast_paths().kernels if compiled else None
    loss = Loss(Objective(ARCHITECTURE, kernels=kernels or PLAIN))
    whole = ModelWithLoss(Networks(model), loss)
    return training_step(whole, inputs, model.parameters(), compiled)


def networks_step(inputs: dict[str, Any]) -> Callable[[], None]:
    """A step of the networks alone."""
    model = Monodepth(ARCHITECTURE)
    return training_step(networks_alone(model), inputs, model.parameters())


def train_words(folder: Path, scale: Scale) -> list[object]:
    """``train.py`` for two such steps, on a drive that is written."""
    lines = write_drive(folder, BATCH + 2)
    write_split(folder / "split", train=lines, val=lines[:BATCH])
    words = ["--data_path", folder, "--split", folder / "split", "--log_dir", folder]
    words += ["--frame_ids", 0, -1, 1, "--use_stereo", "--batch_size", BATCH, "--max_steps", 2]
    words += ["--height", scale.height, "--width", scale.width, "--num_workers", 0]
    words += ["--device", "cpu", "--weights_init", "scratch"]
    return [sys.executable, ROOT / "train.py", *words]


def rows(scale: Scale) -> Iterator[Row]:
    """Time, then memory."""
    keep_freed_memory()
    paddle.seed(0)
    inputs = batch_of(scale)
    ways = {"step": whole_step(inputs), "networks": networks_step(inputs)}
    costs = in_turns({**ways, "plain": whole_step(inputs, compiled=False)}, scale.rounds)
    for other, name in (("networks", "networks alone"), ("plain", "--eager")):
        what = f"training step, s ({name})"
        yield compared(what, costs["step"], costs[other], repeats=scale.rounds)
    with tempfile.TemporaryDirectory() as name:
        train = train_words(Path(name), scale)
        ours = peak_gib([*train, "--model_name", "compiled"])
        plain = peak_gib([*train, "--model_name", "plain", "--eager"])
    yield compared("memory of train.py at most, GiB (--eager)", ours, plain)


if __name__ == "__main__":
    run_part(rows)
