"""Two processes, one device each, against one that does the work of both."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import paddle

from system.device import choose_device
from system.errors import InputError
from tools.device.data import streets, training_words
from tools.device.rows import NOT_HERE, REPORT, Row, Settings, judged
from tools.stages import ROOT, environment

STEPS = 3
# Relative: the first loss is a sum in another order; then Adam makes steps of gradients near 0.
FIRST, LATER = 1e-5, 1e-3
NAME = "two processes"
SECONDS = 300  # that a training may take, so that the launcher can be told when one hangs
GRACE = 30  # that it then has to end the others
HUNG = "hung"


def check_processes(settings: Settings) -> Iterator[Row]:
    """Losses of two processes, and of one that does two turns a step."""
    device = choose_device(settings.device)
    if not paddle.distributed.is_available():
        yield Row(NAME, NOT_HERE, "this Paddle was made without it")
        return
    on_gpu = device.startswith("gpu")
    if on_gpu and paddle.device.cuda.device_count() < 2:
        yield Row(NAME, NOT_HERE, "there is one GPU; with two, this trains on both")
        return
    data = streets(settings)
    two = train(settings, data, "two", 2, on_gpu)
    one = train(settings, data, "one", 1, on_gpu, "--accumulate", 2)
    yield processes_row(two, one, "NCCL" if on_gpu else "gloo, on the CPU")


def train(
    settings: Settings, data: Path, name: str, count: int, on_gpu: bool, *more: object
) -> list[float]:
    """Train a few steps in so many processes; the losses that they log.

    Raises:
        InputError: it failed; the end of what it said is in the message.
    """
    log = settings.folder / f"{name}_launcher"
    launcher = ["-m", "paddle.distributed.launch", "--nproc_per_node", count, "--log_dir", log]
    launcher += [] if on_gpu else ["--backend", "gloo"]
    how = ["--model_name", name, "--max_steps", STEPS, "--device", "gpu" if on_gpu else "cpu"]
    words = training_words(settings, data, *how, *more)
    command = [*(launcher if count > 1 else []), ROOT / "train.py", *words]
    code, said = run([sys.executable, *map(str, command)])
    if code:
        texts = [said, *(p.read_text(errors="replace") for p in sorted(log.glob("workerlog.*")))]
        tails = "\n".join(text[-800:] for text in texts)
        how = "hung" if code == HUNG else f"failed ({code})"
        raise InputError(f"training in {count} processes {how}:\n{tails}")
    return losses_logged(settings.folder / name)


def run(command: Sequence[str]) -> tuple[int | str, str]:
    """Run a command for :data:`SECONDS` at most; its exit code, or :data:`HUNG`, and its output."""
    how = {"text": True, "errors": "replace", "env": environment()}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how
    ) as process:
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()  # the launcher then ends those that it started
            try:
                said, _ = process.communicate(timeout=GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                said, _ = process.communicate()
            return HUNG, said
    return process.returncode, said


def losses_logged(run: Path) -> list[float]:
    """The training losses of a run, step by step."""
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row["loss"] for row in rows if row.get("phase") == "train"]


def processes_row(two: Sequence[float], one: Sequence[float], how: str) -> Row:
    """Whether both have the same losses."""
    deviations = [abs(a - b) / abs(b) for a, b in zip(two, one)]
    complete = len(two) == len(one) == STEPS
    same = complete and deviations[0] <= FIRST and all(d <= LATER for d in deviations[1:])
    words = f"losses of {how}: " + ", ".join(f"{d:.1e}" for d in deviations)
    words += " from those of one process with the same items"
    if not complete:
        words = f"{len(two)} and {len(one)} steps were logged, not {STEPS}"
    return judged(
        NAME, same, words, f"train on one device, and {REPORT}", two=list(two), one=list(one)
    )
