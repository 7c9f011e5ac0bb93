"""What must not grow: time per item with the list, memory with the steps; and the start-up.

python -m benchmarks.growth [RESULT.json]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.drives import write_drive
from benchmarks.measure import compared, in_turns, report
from datasets.items import make_items, with_cache
from datasets.kitti import frame_path
from datasets.loader import make_batch
from datasets.splits import load_split
from stages import QUIET, ROOT

SHORT, LONG, TAKEN = 100, 40_000, 64
EARLY, LATE = 200, 2000  # steps
SMALL = ["--height", "64", "--width", "64", "--num_workers", "0", "--device", "cpu"]


def item_times(folder: Path) -> dict[str, float]:
    """Seconds for some items of a short and of a long list, from a cache."""
    lines = write_drive(folder, frames=12)
    made = {}
    for count in (SHORT, LONG):
        repeated = (lines * (count // len(lines) + 1))[:count]
        items = make_items(folder, repeated, (-1, 1), 192, 640)
        items = with_cache(items, folder / "cache", num_threads=2)
        places = np.linspace(0, count - 1, TAKEN).astype(int).tolist()
        made[str(count)] = lambda items=items, places=places: make_batch(items, 0, places)
    return in_turns(made, rounds=9)


def resident_gib(process: int) -> float:
    """Memory that a process holds."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 2**20
    raise RuntimeError("the process has ended")


def start_training(words: list[object]) -> subprocess.Popen:
    """Start ``train.py`` quietly."""
    command = [sys.executable, str(ROOT / "train.py"), *map(str, words)]
    environment = {**os.environ, **QUIET}
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def last_step(run: Path) -> int:
    """The newest logged step of a run, -1 before the first."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    whole = [json.loads(line)["step"] for line in lines if line.endswith("\n")]
    return whole[-1] if whole else -1


def memory(folder: Path) -> tuple[float, float]:
    """GiB that training holds after few steps and after many."""
    lines = write_drive(folder, frames=8)
    (folder / "split").mkdir()
    for part in ("train", "val"):
        text = "".join(f"{line.folder} {line.frame} {line.side}\n" for line in lines)
        (folder / "split" / f"{part}_files.txt").write_text(text)
    words = ["--data_path", folder, "--split", folder / "split", "--log_dir", folder]
    words += ["--frame_ids", 0, "--use_stereo", "--batch_size", 1, "--log_frequency", 50]
    words += ["--num_epochs", 100_000, "--save_frequency", 1000, "--cache_dir", folder / "cache"]
    process = start_training([*words, *SMALL])
    held = []
    try:
        for step in (EARLY, LATE):
            while last_step(folder / "mdp") < step:
                if process.poll() is not None:
                    sys.exit("training ended early")
                time.sleep(0.2)
            held.append(resident_gib(process.pid))
    finally:
        process.kill()
        process.wait()
    return held[0], held[1]


def start_up(folder: Path) -> tuple[float, float]:
    """Seconds to the first step with a list as short as a step, and with all of eigen_zhou."""
    data, image = folder / "kitti", folder / "frame.jpg"
    cv2.imwrite(str(image), np.zeros((64, 64, 3), np.uint8))
    for part in ("train", "val"):
        for line in load_split("eigen_zhou", part):
            for frame in range(line.frame - 1, line.frame + 2):
                path = frame_path(data, line.folder, frame, line.side, "jpg")
                if frame == line.frame - 1:
                    path.parent.mkdir(parents=True, exist_ok=True)
                if not path.exists():
                    os.link(image, path)
    (folder / "short").mkdir()
    for part in ("train", "val"):
        line = load_split("eigen_zhou", part)[0]
        text = f"{line.folder} {line.frame} {line.side}\n"
        (folder / "short" / f"{part}_files.txt").write_text(text)
    seconds = []
    for split in (folder / "short", "eigen_zhou"):
        words = ["--data_path", data, "--split", split, "--log_dir", folder, "--batch_size", 1]
        words += ["--log_frequency", 1, "--model_name", f"start_{len(seconds)}", "--eager"]
        start = time.monotonic()
        process = start_training([*words, *SMALL])
        while last_step(folder / f"start_{len(seconds)}") < 0:
            if process.poll() is not None:
                sys.exit("training ended early")
            time.sleep(0.05)
        seconds.append(time.monotonic() - start)
        process.kill()
        process.wait()
    return seconds[0], seconds[1]


def main() -> None:
    """Measure and report."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        times = item_times(Path(name))
        ms = {count: 1000 * value / TAKEN for count, value in times.items()}
        what = f"cached item of {LONG} in the list, ms ({SHORT})"
        rows.append(compared(what, ms[str(LONG)], ms[str(SHORT)]))
    with tempfile.TemporaryDirectory() as name:
        short, long = start_up(Path(name))
        rows.append(compared("start to first step, s, eigen_zhou (2 items)", long, short))
    if sys.platform == "linux":
        with tempfile.TemporaryDirectory() as name:
            early, late = memory(Path(name))
            what = f"memory after {LATE} steps, GiB (after {EARLY})"
            rows.append(compared(what, late, early))
    report(rows)


if __name__ == "__main__":
    main()
