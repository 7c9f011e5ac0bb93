"""The loss over the validation items, and an end to runs whose loss is no number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import paddle
from tqdm import tqdm

from datasets.loader import Batch
from errors import InputError
from training.group import Group
from training.task import Output, Place

VALIDATION_STEP = 0  # what is drawn is the same for every validation


@dataclass(frozen=True)
class Validation:
    """What came out of a validation.

    Attributes:
        loss: mean over the items of all processes.
        output: of this process's last batch, None where it had none.
        batch: that batch.
    """

    loss: float
    output: Output | None
    batch: Batch | None


def validate(
    evaluate: Callable[[Batch, Place], Output],
    batches: Iterable[Batch],
    count: int,
    group: Group,
    after_batch: Callable[[float, Batch], None],
) -> Validation:
    """Mean loss over the validation items, without gradients.

    Args:
        evaluate: forward pass and loss of a batch.
        batches: this process's share.
        count: of these batches.
        group: the processes that validate together.
        after_batch: is told the loss of each batch, and may end the validation by raising.
    """
    total, items = 0.0, 0
    output, batch = None, None  # a process may have no share of few batches
    with paddle.no_grad():
        for batch in tqdm(batches, "validation", count, leave=False, disable=not group.is_first):
            size = len(batch["index"])
            output = evaluate(batch, Place(VALIDATION_STEP, 0, size))
            loss = float(output.total)
            after_batch(loss, batch)
            total, items = total + size * loss, items + size
    total, items = group.mean([total, items])
    return Validation(total / items, output, batch)


def check_finite(loss: float, step: int, names: Iterable[str], where: object) -> None:
    """End a run that has come to nonsense before it is saved.

    Raises:
        InputError: the loss is not finite; the items of ``names`` and the folder are said.
    """
    if not math.isfinite(loss):
        raise InputError(
            f"the loss is {loss} at step {step}, on the items {', '.join(names)}; training stops "
            f"and the checkpoints in {where} stay as they are; look at these items, or lower "
            "--learning_rate"
        )
