"""Training: compiled and not, in each precision, and stopped and resumed."""

from __future__ import annotations

import math
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from options import TrainOptions
from system.device import choose_device
from system.errors import InputError
from tools.device.data import first_batch, streets, training_options
from tools.device.rows import NOT_HERE, OFF, REPORT, Row, Settings, judged
from training.checkpoint import LAST
from training.cpu.fast_paths import compile_layers
from training.optimisation import Update, check_precision
from training.task import Task
from training.trainer import Trainer, task_of

RATE = 1e-4  # the published one
STEPS = 20
TF32 = "tf32"  # among the precisions
FALLS_TO = 0.9  # of the first loss, on the same items again and again; on a CPU it was 0.7
LOSS = 1e-5  # relative, of the same networks compiled and not
GRADIENT = 2e-2  # length of the gradients' difference over theirs; pixels at a kink turn theirs
RESUMED_STEPS = 3  # of which the run that is resumed has done all but the last


def check_compiled(settings: Settings) -> Iterator[Row]:
    """Losses and gradients of a step, compiled and not."""
    choose_device(settings.device)
    data, found = streets(settings), []
    for eager in (True, False):
        options = training_options(settings, data)
        task = task_of(replace(options, eager=eager))
        found.append(loss_and_gradients(task, options.batch_size, compiled=not eager))
    yield compiled_row(*found)


def loss_and_gradients(
    task: Task, batch_size: int, compiled: bool
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss of the first step of a training, and the gradients by the parameters' names."""
    model = task.initial_model()
    layers = task.model_with_loss(model)
    layers.train()
    if compiled:
        compile_layers(layers, processes=1)
    output = task.output(**layers(inputs_of(task, batch_size)))
    output.total.backward()
    gradients = {n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}
    return float(output.total), gradients


def inputs_of(task: Task, batch_size: int) -> dict[str, Any]:
    """What the layers are given of the first items, as in the first step."""
    return task.inputs(first_batch(task, batch_size), epoch=0)


def compiled_row(
    eager: tuple[float, Mapping[str, np.ndarray]], compiled: tuple[float, Mapping[str, np.ndarray]]
) -> Row:
    """How far a compiled step is from one that is not."""
    loss = abs(compiled[0] - eager[0]) / abs(eager[0])
    gradient = math.inf
    if compiled[1].keys() == eager[1].keys():
        gradient = distance(compiled[1], eager[1])
    return judged(
        "compiled step",
        loss <= LOSS and gradient <= GRADIENT,
        f"loss {loss:.1e} from the one that is not compiled, gradients {gradient:.1e}",
        f"train with --eager, and {REPORT}",
        loss=loss,
        gradient=gradient,
    )


def distance(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """Length of the difference of all arrays together, relative to that of those expected."""
    squares = [float(((found[n] - e).astype(np.float64) ** 2).sum()) for n, e in expected.items()]
    whole = sum(float((e.astype(np.float64) ** 2).sum()) for e in expected.values())
    return math.sqrt(sum(squares) / max(whole, 1e-30))


def check_steps(settings: Settings, precision: str) -> Iterator[Row]:
    """The loss of some steps in a precision, or with ``--tf32``, all of them on the same items."""
    name, tf32 = f"{STEPS} steps, {precision}", precision == TF32
    words = ["--tf32"] if tf32 else ["--precision", precision]
    try:
        choose_device(settings.device, tf32)
        check_precision("fp32" if tf32 else precision)
    except InputError as error:
        yield Row(name, NOT_HERE, str(error))
        return
    options = training_options(settings, streets(settings), *words)
    yield steps_row(name, losses_of_steps(task_of(options), options))


def losses_of_steps(task: Task, options: TrainOptions) -> list[float]:
    """The loss before each step."""
    model = task.initial_model()
    layers = task.model_with_loss(model)
    layers.train()
    if not options.eager:
        compile_layers(layers, processes=1)
    update = Update(model, options.precision, options.clip_norm, options.optimizer)
    update.set_rates(RATE, RATE, {})
    inputs, losses = inputs_of(task, options.batch_size), []
    for _ in range(STEPS):
        total = task.output(**layers(inputs)).total
        update.add(total)
        update.apply()
        losses.append(float(total))
    return losses


def steps_row(name: str, losses: Sequence[float]) -> Row:
    """Whether a loss is finite and falls."""
    start, end = losses[0], statistics.fmean(losses[-5:])
    words = f"loss from {start:.5f} to {end:.5f}"
    remedy = f"train with --precision fp32, and {REPORT}"
    if not all(map(math.isfinite, losses)):
        first = next(i for i, loss in enumerate(losses) if not math.isfinite(loss))
        words = f"the loss is {losses[first]} at step {first}"
        return Row(name, OFF, words, remedy, {"losses": list(losses)})
    falls = end <= FALLS_TO * start
    if not falls:
        words += f", not to {FALLS_TO:g} of it"
    return judged(name, falls, words, remedy, losses=list(losses))


def check_resume(settings: Settings) -> Iterator[Row]:
    """Whether a run that was stopped and resumed ends with the bytes of one that was not.

    With ``--deterministic``, without which no GPU promises it.
    """
    data, folders = streets(settings), []
    for name, *lengths in (("straight", RESUMED_STEPS), ("stopped", RESUMED_STEPS - 1, 1)):
        folder = settings.folder / "resume" / name
        shutil.rmtree(folder, ignore_errors=True)
        folders.append(folder / LAST)
        done = 0
        for length in lengths:
            done += length
            words = ["--model_name", name, "--log_dir", folder.parent, "--max_steps", done]
            words += ["--deterministic", *(["--resume"] if done > length else [])]
            Trainer(training_options(settings, data, *words)).run()
    yield resume_row(*folders)


def resume_row(straight: Path, stopped: Path) -> Row:
    """Whether two checkpoints are the same, byte by byte."""
    files = sorted(path.name for path in straight.glob("*.safetensors"))
    other = sorted(path.name for path in stopped.glob("*.safetensors"))
    differing = [f for f in files if f in other and not _same(straight / f, stopped / f)]
    differing += sorted(set(files) ^ set(other))
    words = f"{len(files)} files of a resumed run are those of one that never stopped"
    if differing:
        words = f"a resumed run ends with another {', '.join(differing)}"
    return judged(
        "resumed run",
        bool(files) and not differing,
        words,
        "--deterministic does not suffice here: a run that is stopped and resumed ends with other "
        f"weights, which are as good (docs/gpu.md#the-same-result-again); {REPORT}",
        differing=differing,
    )


def _same(one: Path, other: Path) -> bool:
    return one.read_bytes() == other.read_bytes()
