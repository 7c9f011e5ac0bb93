"""A training whose network has some fifty parameters: the loop, without what it usually drives.

    python -m tests.stub_task --data_path FOLDER ...

trains it as ``train.py`` does, for tests that kill it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn

import train
from datasets.conventions import STEREO
from datasets.loader import Batch
from networks.monodepth import Architecture
from system.errors import run_command
from tests.stub_items import NUMBERS, StubItems
from training import trainer
from training.model_with_loss import ModelWithLoss, TracedLayer
from training.task import Task
from training.tie_break import tie_break
from weight_files.folder import load_into
from weight_files.model_info import ModelInfo

ROOT = Path(__file__).resolve().parents[1]
ARCHITECTURE = Architecture(source_ids=(STEREO,))  # what model.json says, and nobody builds
NOISE = 0.01  # drawn for the loss of an item


@dataclass(frozen=True)
class StubOutput:
    """Loss and answers [B, 1]."""

    total: Tensor
    answers: Tensor


class StubModel(nn.Layer):
    """Modules of a weights folder, with running statistics unless each item is for itself."""

    def __init__(self, normalise: bool) -> None:
        super().__init__()
        self.architecture = ARCHITECTURE
        norm = nn.BatchNorm1D(5) if normalise else nn.Identity()
        self.encoder = nn.Sequential(nn.Linear(NUMBERS, 5), norm, nn.Tanh())
        self.depth = nn.Linear(5, 1)

    def forward(self, numbers: Tensor) -> Tensor:
        return self.depth(self.encoder(numbers))


class StubLoss(TracedLayer):
    """Of the answers that a model gives."""

    compilable = True

    def compute(self, inputs: dict[str, Any]) -> dict[str, Tensor]:
        given, known = inputs["predicted"], inputs["known"]
        total = (given - known["answers"] + known["noise"]).square().mean()
        return {"total": total, "answers": given}


class StubTask(Task):
    """Learn the mean of some numbers, from files of ``--data_path``."""

    output = StubOutput
    normalise = True

    def items(self, part: str) -> StubItems:
        return StubItems(self.options.data_path, part, self.options.seed)

    def initial_model(self) -> StubModel:
        paddle.seed(self.options.seed)
        model = StubModel(self.normalise)
        if self.options.load_weights_folder is not None:
            load_into(model, self.options.load_weights_folder, ("encoder", "depth"))
        return model

    def learning_rate(self) -> tuple[float, str]:
        return (0.02, "random weights") if not self.options.load_weights_folder else (0.01, "start")

    def model_with_loss(self, model: StubModel) -> ModelWithLoss:
        return ModelWithLoss(model, StubLoss())

    def inputs(self, batch: Batch, epoch: int) -> dict[str, Any]:
        noise = NOISE * tie_break(self.options.seed, epoch, batch["index"], [1])
        known = {"answers": paddle.to_tensor(batch["answer"]), "noise": noise}
        return {"seen": paddle.to_tensor(batch["numbers"]), "known": known}

    def scalars(self, output: StubOutput, batch: Batch) -> dict[str, float]:
        return {"answer": float(output.answers.mean())}

    def pictures(self, output: StubOutput, batch: Batch) -> dict[str, np.ndarray]:
        return {}

    def signs(self, output: StubOutput, batch: Batch) -> dict[str, None]:
        return {}

    def info(self, items: StubItems, step: int) -> ModelInfo:
        return ModelInfo(ARCHITECTURE, 64, 64, name=self.options.model_name, step=step)


def use_stub(replace=setattr) -> None:
    """Train the stub whatever ``--task`` says; ``replace`` sets an attribute of a module."""
    replace(trainer, "task_of", StubTask)


def words(data: Path, logs: Path, *more: object, name: str = "run") -> list[str]:
    """A command line of two steps an epoch, of which everything is logged."""
    where = ["--data_path", data, "--log_dir", logs, "--model_name", name]
    how = ["--frame_ids", 0, "--use_stereo", "--height", 64, "--width", 64, "--batch_size", 2]
    how += ["--num_workers", 0, "--eager", "--log_frequency", 1, "--learning_rate", 0.02]
    return [str(word) for word in (*where, *how, "--device", "cpu", *more)]


if __name__ == "__main__":
    use_stub()
    run_command(train.main)
