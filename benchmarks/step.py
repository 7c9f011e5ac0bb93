"""A training step against its networks alone: forward, backward, Adam; batch 4 at 640x192, MS.

python -m benchmarks.step [RESULT.json]
"""

from __future__ import annotations

from cpu_math import prepare

prepare()

import numpy as np  # noqa: E402
import paddle  # noqa: E402
from paddle import Tensor, nn  # noqa: E402

from benchmarks.measure import compared, in_turns, report  # noqa: E402
from networks.monodepth import STEREO, Architecture, Monodepth  # noqa: E402
from training.compile_step import compile_step  # noqa: E402
from training.freed_memory import keep_freed_memory  # noqa: E402
from training.objective import Objective  # noqa: E402
from training.setup import fused_kernels  # noqa: E402
from training.step import Networks, TrainingStep, draw_tie_break  # noqa: E402

BATCH, HEIGHT, WIDTH = 4, 192, 640
ARCHITECTURE = Architecture(source_ids=(-1, 1, STEREO))


class Mean(nn.Layer):
    """The mean of all that is predicted, in the place of geometry and loss."""

    compilable = True

    def forward(self, predicted: list[Tensor]) -> list[Tensor]:
        """Of flat tensors."""
        return self._trace(predicted)

    @paddle.jit.not_to_static
    def _trace(self, predicted: list[Tensor]) -> list[Tensor]:
        return [sum(part.mean() for part in predicted)]


class NetworksAlone(nn.Layer):
    """The forward pass without geometry and loss."""

    def __init__(self, model: Monodepth) -> None:
        super().__init__()
        self.networks = Networks(model)
        self.loss = Mean()

    def forward(self, target: Tensor, sources: Tensor) -> list[Tensor]:
        """The mean of everything predicted."""
        return self.loss(self.networks(target, sources))


def main() -> None:
    """Measure and report."""
    keep_freed_memory()
    paddle.seed(0)
    count = len(ARCHITECTURE.source_ids)
    target, sources = (
        paddle.rand([BATCH, 3, HEIGHT, WIDTH]),
        paddle.rand([BATCH, count, 3, HEIGHT, WIDTH]),
    )
    K = np.array([[0.58 * WIDTH, 0, 0.5 * WIDTH], [0, 1.92 * HEIGHT, 0.5 * HEIGHT], [0, 0, 1]])
    K = paddle.to_tensor(np.repeat(K[None], BATCH, axis=0).astype(np.float32))
    T = np.eye(4, dtype=np.float32)
    T[0, 3] = -0.1
    T = paddle.to_tensor(np.repeat(T[None], BATCH, axis=0))
    noise = draw_tie_break(0, 0, [BATCH, count, HEIGHT, WIDTH])
    inputs = {
        "step": (target, sources, target, sources, K, T, noise),
        "networks": (target, sources),
    }
    models = {name: Monodepth(ARCHITECTURE) for name in inputs}
    wholes = {
        "step": TrainingStep(models["step"], Objective(ARCHITECTURE, kernels=fused_kernels())),
        "networks": NetworksAlone(models["networks"]),
    }

    def way(name: str):  # noqa: ANN202
        compile_step(wholes[name], processes=1)
        adam = paddle.optimizer.Adam(1e-4, parameters=models[name].parameters())

        def run() -> None:
            loss = wholes[name](*inputs[name])[0]
            loss.backward()
            adam.step()
            adam.clear_grad()
            float(loss)

        return run

    seconds = in_turns({name: way(name) for name in inputs}, rounds=5)
    what = "training step, s (networks alone)"
    report([compared(what, seconds["step"], seconds["networks"])])


if __name__ == "__main__":
    main()
