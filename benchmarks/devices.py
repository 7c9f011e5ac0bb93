"""Seconds per step of one process and of two that share its batch (gloo, on the CPU).

python -m benchmarks.devices [--small] [RESULT.json]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.drives import write_drive, write_split
from benchmarks.measure import Row, Scale, compared, run_part
from options import TrainOptions, parse
from tools.stages import environment
from training.trainer import Trainer

BATCH, STEPS = 4, 8
SIZE = ["--height", "96", "--width", "320", "--weights_init", "scratch"]


def worker(argv: list[str]) -> None:
    """Train; the first process writes when each step ended."""
    trainer, ends = Trainer(parse(TrainOptions, argv[1:])), []
    train_on = trainer.train_on

    def timed(turns: list) -> tuple[float, bool]:
        result = train_on(turns)
        ends.append(time.perf_counter())
        return result

    trainer.train_on = timed
    trainer.run()
    if trainer.group.is_first:
        Path(argv[0]).write_text(json.dumps(ends))


def seconds_per_step(folder: Path, processes: int, steps: int) -> float:
    """Train with a number of processes, and take the median step."""
    ends = folder / f"ends_{processes}.json"
    launcher = folder / "worker.py"
    launcher.write_text("import sys\nfrom benchmarks.devices import worker\nworker(sys.argv[1:])\n")
    words = [launcher, ends, "--data_path", folder, "--split", folder / "split"]
    words += ["--log_dir", folder, "--model_name", f"of_{processes}"]
    words += ["--use_stereo", *SIZE, "--batch_size", BATCH // processes, "--max_steps", steps]
    words += ["--num_workers", 0, "--device", "cpu", "--cache_dir", folder / "cache"]
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "paddle.distributed.launch", "--nproc_per_node", str(processes)]
        command += ["--backend", "gloo", "--log_dir", str(folder / "log")]
    command += map(str, words)
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{processes} processes failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    times = json.loads(ends.read_text())
    return statistics.median(b - a for a, b in zip(times[1:], times[2:]))


def rows(scale: Scale) -> Iterator[Row]:
    """One."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = write_drive(folder, frames=8)
        write_split(folder / "split", train=lines, val=lines[:2])
        steps = max(4, scale.of(STEPS))
        two, one = (seconds_per_step(folder, processes, steps) for processes in (2, 1))
    note = f"median of {steps - 2} steps; {os.cpu_count()} cores, which one process uses too"
    yield compared("step of 2 processes, s (1, joint batch)", two, one, note)


if __name__ == "__main__":
    run_part(rows)
