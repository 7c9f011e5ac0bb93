"""A training step against its networks alone: forward, backward, Adam; batch 4 at 640x192, MS.

python -m benchmarks.step [RESULT.json]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import numpy as np
import paddle
from paddle import Tensor

from benchmarks.measure import compared, in_turns, report
from datasets.conventions import STEREO
from networks.monodepth import Architecture, Monodepth, Prediction
from training.cpu.fast_paths import compile_layers, fast_paths
from training.cpu.process import keep_freed_memory
from training.model_with_loss import ModelWithLoss, TracedLayer
from training.objective import PLAIN, Objective
from training.self_supervised import Loss, Networks
from training.tie_break import tie_break

BATCH, HEIGHT, WIDTH = 4, 192, 640
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
    whole: ModelWithLoss, inputs: dict[str, Any], parameters: Sequence[Tensor]
) -> Callable[[], None]:
    """Forward, backward and Adam of layers that are compiled for it."""
    compile_layers(whole, processes=1)
    adam = paddle.optimizer.Adam(1e-4, parameters=parameters)

    def train() -> None:
        loss = whole(inputs)["total"]
        loss.backward()
        adam.step()
        adam.clear_grad()
        float(loss)

    return train


def main() -> None:
    """Measure and report."""
    keep_freed_memory()
    paddle.seed(0)
    count = len(ARCHITECTURE.source_ids)
    target = paddle.rand([BATCH, 3, HEIGHT, WIDTH])
    sources = paddle.rand([BATCH, count, 3, HEIGHT, WIDTH])
    K = np.array([[0.58 * WIDTH, 0, 0.5 * WIDTH], [0, 1.92 * HEIGHT, 0.5 * HEIGHT], [0, 0, 1]])
    K = paddle.to_tensor(np.repeat(K[None], BATCH, axis=0).astype(np.float32))
    T = np.eye(4, dtype=np.float32)
    T[0, 3] = -0.1
    T = paddle.to_tensor(np.repeat(T[None], BATCH, axis=0))
    noise = tie_break(0, 0, range(BATCH), [count, HEIGHT, WIDTH])
    frames = {"target": target, "sources": sources}
    known = {**frames, "K": K, "T_stereo": T, "tie_break": noise}
    inputs = {"seen": frames, "known": known}
    models = {name: Monodepth(ARCHITECTURE) for name in ("step", "networks")}
    objective = Objective(ARCHITECTURE, kernels=fast_paths().kernels or PLAIN)
    wholes = {
        "step": ModelWithLoss(Networks(models["step"]), Loss(objective)),
        "networks": networks_alone(models["networks"]),
    }

    ways = {
        name: training_step(whole, inputs, models[name].parameters())
        for name, whole in wholes.items()
    }
    seconds = in_turns(ways, rounds=5)
    what = "training step, s (networks alone)"
    report([compared(what, seconds["step"], seconds["networks"])])


if __name__ == "__main__":
    main()
