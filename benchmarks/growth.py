"""What must not grow: time per item with the list, memory with the steps; and the start-up.

python -m benchmarks.growth [RESULT.json]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.drives import write_drive, write_split
from benchmarks.measure import compared, in_turns, last_step, report, resident_bytes, training
from datasets.cache import with_cache
from datasets.items import make_items
from datasets.kitti import frame_path
from datasets.loader import make_batch
from datasets.splits import load_split

SHORT, LONG, TAKEN = 100, 40_000, 64
EARLY, LATE = 200, 2000  # steps
SMALL = ["--height", "64", "--width", "64", "--num_workers", "0", "--device", "cpu"]
SMALL += ["--weights_init", "scratch"]


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


def wait_for_step(process: subprocess.Popen, run: Path, step: int) -> None:
    """Wait until a run has logged a step."""
    while last_step(run) < step:
        if process.poll() is not None:
            sys.exit("training ended early")
        time.sleep(0.05)


def memory(folder: Path) -> tuple[float, float]:
    """GiB that training holds after few steps and after many."""
    lines = write_drive(folder, frames=8)
    write_split(folder / "split", lines, lines)
    words = ["--data_path", folder, "--split", folder / "split", "--log_dir", folder]
    words += ["--frame_ids", 0, "--use_stereo", "--batch_size", 1, "--log_frequency", 50]
    words += ["--num_epochs", 100_000, "--save_frequency", 1000, "--cache_dir", folder / "cache"]
    held = []
    with training([*words, *SMALL]) as process:
        for step in (EARLY, LATE):
            wait_for_step(process, folder / "mdp", step)
            held.append(resident_bytes(process.pid) / 2**30)
    return tuple(held)


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
    first = [load_split("eigen_zhou", part)[:1] for part in ("train", "val")]
    write_split(folder / "short", *first)
    seconds = []
    for split in (folder / "short", "eigen_zhou"):
        words = ["--data_path", data, "--split", split, "--log_dir", folder, "--batch_size", 1]
        words += ["--log_frequency", 1, "--model_name", f"start_{len(seconds)}", "--eager"]
        start = time.monotonic()
        with training([*words, *SMALL]) as process:
            wait_for_step(process, folder / f"start_{len(seconds)}", 0)
            seconds.append(time.monotonic() - start)
    return tuple(seconds)


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
