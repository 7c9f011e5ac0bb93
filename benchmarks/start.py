"""Start of ``train.py`` to its first step: with a list as long as ``eigen_zhou``, and a short one.

python -m benchmarks.start [--small] [RESULT.json]

The step itself is small: one item of 64x64, uncompiled. The frames are of KITTI's size and weight,
as some of their contents are read, and links to one file.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

from benchmarks.drives import DRIVE, add_calibration, write_drive, write_split
from benchmarks.measure import Row, Scale, compared, in_turns, run_part, training, wait_for_step
from datasets.kitti import frame_path
from datasets.splits import SplitLine, load_split

SMALL_STEP = ["--height", 64, "--width", 64, "--batch_size", 1, "--eager", "--log_frequency", 1]
SMALL_STEP += ["--num_workers", 0, "--device", "cpu", "--weights_init", "scratch"]


def rows(scale: Scale) -> Iterator[Row]:
    """One."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = {part: load_split("eigen_zhou", part) for part in ("train", "val")}
        parts = {part: lines[: scale.of(len(lines))] for part, lines in listed.items()}
        write_drive(folder, 1)
        link_frames(folder / "kitti", frame_path(folder, DRIVE, 0, "l", "jpg"), parts)
        for drive in {line.folder for line in parts["train"]}:
            add_calibration(folder / "kitti", drive)
        write_split(folder / "long", **parts)
        write_split(folder / "short", **{part: lines[:1] for part, lines in parts.items()})
        runs = count()

        def start(split: str) -> None:
            run = f"run_{next(runs)}"
            words = ["--data_path", folder / "kitti", "--split", folder / split, *SMALL_STEP]
            with training([*words, "--log_dir", folder, "--model_name", run]) as process:
                wait_for_step(process, folder / run, 0)

        costs = in_turns(
            {each: lambda each=each: start(each) for each in ("long", "short")}, scale.rounds
        )
    what = f"start to first step, s, {len(parts['train']):,} items (one)"
    yield compared(what, costs["long"], costs["short"], repeats=scale.rounds)


def link_frames(data: Path, image: Path, parts: Mapping[str, Sequence[SplitLine]]) -> None:
    """Make every frame that the items of a split need, of one picture."""
    needed = {
        frame_path(data, line.folder, frame, line.side, "jpg")
        for lines in parts.values()
        for line in lines
        for frame in range(line.frame - 1, line.frame + 2)
    }
    for folder in {path.parent for path in needed}:
        folder.mkdir(parents=True)
    for path in needed:
        try:
            os.link(image, path)
        except OSError:  # few links to a file, or none
            shutil.copyfile(image, path)


if __name__ == "__main__":
    run_part(rows)
