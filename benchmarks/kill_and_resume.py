"""Kill a training run again and again, and compare what it ends with to a run left alone.

    python -m benchmarks.kill_and_resume OUT --kills 20

Prints the steps at which the run was killed, and whether the weights, the optimiser's state and the
logged losses are the same bytes. Exits with 1 if not.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import time
from pathlib import Path

from benchmarks.measure import last_step, logged, training
from system.errors import InputError, run_command
from tools.stages import run_stage

STEPS = 120
EARLY = 0.15  # share of the kills that come while the run is starting
SIZE = ["--height", "64", "--width", "64", "--batch_size", "2", "--num_workers", "1"]


def main() -> int:
    """Run both, compare, return 1 when they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="decides the moments of the kills")
    parser.add_argument("--slowest", type=float, default=2.5, help="longest wait, seconds")
    args = parser.parse_args()
    out = args.out.resolve()
    if out.exists():
        raise InputError(f"{out}: is there already; name another folder")
    street = ["--width", 160, "--height", 64, "--train_drives", 2, "--val_drives", 1]
    run_stage(["-m", "datasets.streets", out / "streets", *street, "--frames", 8])
    data = ["--data_path", out / "streets", "--split", out / "streets" / "splits"]
    modes = ["--frame_ids", "0", "-1", "1", "--use_stereo", "--log_frequency", "1"]
    train = [*data, *SIZE, *modes, "--num_epochs", 99, "--max_steps", STEPS]
    train += ["--save_every_steps", 2, "--log_dir", out]

    run_stage(["train.py", *train, "--model_name", "alone"])
    killed = [*train, "--model_name", "killed"]
    steps = kill_repeatedly(killed, out / "killed", args.kills, args.slowest, args.seed)
    run_stage(["train.py", *killed, "--resume"])
    print(f"killed {len(steps)} times, after steps {steps}")
    same = compare(out / "alone", out / "killed")
    print("the same bytes" if same else "DIFFERENT")
    return 0 if same else 1


def kill_repeatedly(
    train: list[object], run: Path, kills: int, slowest: float, seed: int
) -> list[int]:
    """Start and kill a run at random moments; return the newest logged step at each."""
    rng = random.Random(seed)
    steps = []
    while len(steps) < kills:
        resume = ["--resume"] if (run / "options.json").exists() else []
        log = run.with_suffix(".log")
        with log.open("wb") as stderr, training([*train, *resume], stderr) as process:
            if rng.random() >= EARLY:
                wait_for_step(process, run)
            time.sleep(rng.uniform(0, slowest))  # while it starts, in a step, save or validation
            if process.poll() is not None:
                raise InputError(f"the run ended before it could be killed, see {log}")
        steps.append(max(last_step(run), 0))
    return steps


def wait_for_step(process: subprocess.Popen, run: Path) -> None:
    """Wait until a run that has just been started logs something new."""
    path = run / "metrics.jsonl"
    known = path.stat().st_size if path.exists() else 0
    while process.poll() is None:
        size = path.stat().st_size if path.exists() else 0
        if size > known:
            return
        known = size  # smaller once the run has forgotten what it is to do again
        time.sleep(0.02)


def compare(a: Path, b: Path) -> bool:
    """Whether two runs logged the same and ended with the same bytes."""
    named = {"model.json", "SHA256SUMS"}  # hold the name of the run
    files = [p.relative_to(a) for w in ("best", "last") for p in (a / w).iterdir()]
    files = [path for path in files if path.name not in named]
    differing = [str(path) for path in files if (a / path).read_bytes() != (b / path).read_bytes()]
    for path in differing:
        print(f"differs: {path}")
    return not differing and logged(a) == logged(b)


if __name__ == "__main__":
    run_command(main)
