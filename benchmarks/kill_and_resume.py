"""Kill long jobs again and again, and compare what they end with to a job left alone.

    python -m benchmarks.kill_and_resume OUT --kills 20
    python -m benchmarks.kill_and_resume OUT --kills 4 --jobs cache ground_truth video export

Training is killed in steps, saves and validations: weights, the optimiser's state and the logged
losses are to be the same bytes. Of the other jobs, after every kill each file under its final name
is to be missing or whole; the same command then ends with the same bytes. Exits with 1 if not.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.measure import last_step, logged, training
from datasets.pictures import read_picture
from system.errors import InputError, run_command
from tools.stages import ROOT, environment, run_stage

STEPS = 120
EARLY = 0.15  # share of the kills that come while the run is starting
SIZE = ["--height", "64", "--width", "64", "--batch_size", "2", "--num_workers", "1"]
FIRST = 0.3  # share of a job's time before which it is not killed: it loads its libraries


@dataclass(frozen=True)
class Job:
    """A long job other than training.

    Attributes:
        command: arguments of Python, by the folder to write to.
        finals: its results below that folder, as patterns.
        grows: whether these grow in place; else they are there whole or not at all.
    """

    command: Callable[[Path], Sequence[object]]
    finals: Sequence[str]
    grows: bool = False


def main() -> int:
    """Run all jobs alone and killed, compare, return 1 when they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["training", "cache", "ground_truth", "video", "export"]
    parser.add_argument("out", type=Path)
    parser.add_argument("--kills", type=int, default=20, help="of each job")
    parser.add_argument("--jobs", nargs="+", choices=names, default=names)
    parser.add_argument("--seed", type=int, default=0, help="decides the moments of the kills")
    parser.add_argument("--slowest", type=float, default=2.5, help="longest wait, seconds")
    args = parser.parse_args()
    out = args.out.resolve()
    if out.exists():
        raise InputError(f"{out}: is there already; name another folder")
    street = ["--width", 160, "--height", 64, "--train_drives", 2, "--val_drives", 1]
    run_stage(["-m", "datasets.streets", out / "streets", *street, "--frames", 8])
    data = ["--data_path", out / "streets", "--split", out / "streets" / "splits"]
    train = [*data, *SIZE, "--frame_ids", "0", "-1", "1", "--use_stereo", "--log_frequency", "1"]
    train += ["--num_epochs", 99, "--save_every_steps", 2, "--log_dir", out]
    train += ["--weights_init", "scratch"]

    good = True
    steps = STEPS if "training" in args.jobs else 1  # the others need some weights
    train += ["--max_steps", steps]
    run_stage(["train.py", *train, "--model_name", "alone"])
    if "training" in args.jobs:
        killed = [*train, "--model_name", "killed"]
        stops = kill_repeatedly(killed, out / "killed", args.kills, args.slowest, args.seed)
        run_stage(["train.py", *killed, "--resume"])
        same = compare(out / "alone", out / "killed")
        print(f"training: killed {len(stops)} times, after steps {stops}: {in_words(same)}")
        good = same
    others = [name for name in args.jobs if name != "training"]
    if others:
        run_stage(["-m", "datasets.streets", out / "more", *street, "--test_drives", 1])
    for name in others:
        same = kill_job(make_jobs(out)[name], out / name, args.kills, args.seed)
        print(f"{name}: killed {args.kills} times: {in_words(same)}")
        good = good and same
    return 0 if good else 1


def in_words(same: bool) -> str:
    """What is said of a comparison."""
    return "the same bytes" if same else "DIFFERENT"


def make_jobs(out: Path) -> dict[str, Job]:
    """The jobs besides training, on the streets ``more`` and the weights in ``out``."""
    video, weights = write_video(out), out / "alone" / "last"
    data = ["--data_path", out / "more", "--split", out / "more" / "splits"]
    model = ["--load_weights_folder", weights]
    cache = ["-m", "datasets.cache", *data, "--use_stereo", "--height", 192, "--width", 640]
    truth = ["export_gt_depth.py", *data, "--num_workers", 1, "--gt_path"]
    demo = ["demo.py", *model, "--image_path", video, "--engine", "paddle", "--output"]

    def export(folder: Path) -> list[object]:
        # What is made once for these weights is killed, too.
        shutil.rmtree(weights / "exported", ignore_errors=True)
        output = ["--format", "onnx", "--output", folder / "model.onnx"]
        return ["-m", "tools.export_model", *model, *output]

    return {
        "cache": Job(lambda to: [*cache, "--cache_dir", to], ["*/frames.*"], grows=True),
        "ground_truth": Job(lambda to: [*truth, to / "gt.npz"], ["gt.npz"]),
        "video": Job(lambda to: [*demo, to], ["*.mp4"]),
        "export": Job(export, ["model.onnx"]),
    }


def write_video(out: Path, frames: int = 120) -> Path:
    """The frames of the streets as a video, repeated."""
    path, pictures = out / "drive.mp4", sorted((out / "more").glob("*/*/image_02/data/*.jpg"))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (160, 64))
    for number in range(frames):
        picture = read_picture(pictures[number % len(pictures)])
        writer.write(np.ascontiguousarray(picture[..., ::-1]))
    writer.release()
    return path


def kill_job(job: Job, out: Path, kills: int, seed: int) -> bool:
    """Kill a job at random moments, whether it begins, goes on, or has nothing left to do.

    Returns:
        Whether everything under a final name was whole after every kill, and the same at the end.
    """
    rng, killed, log = random.Random(seed), out / "killed", out / "killed.log"
    seconds = run_stage(job.command(out / "alone"))
    expected = contents(out / "alone", job.finals)
    good, count = True, 0
    while count < kills:
        words = [str(word) for word in job.command(killed)]
        if words[0].endswith(".py"):
            words[0] = str(ROOT / words[0])
        with log.open("wb") as file:
            how = {"env": environment(), "stdout": file, "stderr": file}
            process = subprocess.Popen([sys.executable, *words], **how)
            try:
                ended = process.wait(rng.uniform(FIRST, 1) * seconds)
            except subprocess.TimeoutExpired:
                ended = None
                process.kill()
                process.wait()
        found = contents(killed, job.finals)
        good = whole(found, expected, job.grows) and good
        count += ended is None
        if ended is None:
            continue
        if ended != 0 and found != expected:  # some refuse to write what is there
            raise InputError(f"a job that was killed before ended with {ended}, see {log}")
        shutil.rmtree(killed)  # it came to its end: begin anew
    if contents(killed, job.finals) != expected:
        run_stage(job.command(killed))
    return whole(contents(killed, job.finals), expected, grows=False) and good


def contents(folder: Path, patterns: Sequence[str]) -> dict[str, bytes]:
    """The files under final names, below a folder."""
    paths = [path for pattern in patterns for path in folder.glob(pattern)]
    visible = [path for path in paths if not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in visible}


def whole(found: dict[str, bytes], expected: dict[str, bytes], grows: bool) -> bool:
    """Whether what is there is what is to be there, or the beginning of it."""
    good = True
    for name, content in found.items():
        right = expected.get(name, b"")
        if not (right.startswith(content) if grows else right == content):
            print(f"differs: {name}")
            good = False
    return good


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
