"""What the checks train on: generated streets, and the options that all of them share."""

from __future__ import annotations

import os
from pathlib import Path

from datasets.loader import Batch, make_batch
from datasets.splits import PARTS, load_split
from datasets.streets.generate import StreetSettings, generate_streets
from options import TrainOptions, parse
from tools.device.rows import Settings
from training.task import Task

FRAMES = 5  # of each drive, three of which have both neighbours


def streets(settings: Settings) -> Path:
    """A data folder of a few drives; made by the first check that asks for it."""
    height, width = settings.size
    folder = settings.folder / "streets"
    drives = {"train_drives": 2, "val_drives": 1, "test_drives": 1}
    wanted = StreetSettings(width=width, height=height, frames=FRAMES, **drives)
    generate_streets(folder, wanted, 1 if settings.small else os.cpu_count() or 1)
    return folder


def repeated_split(data: Path, folder: Path, items: int) -> Path:
    """A split of so many training items, for which those of the data are taken again and again."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        lines = load_split(str(data / "splits"), part)
        count = items if part == "train" else 1
        text = [f"{each.folder} {each.frame} {each.side}" for each in lines]
        chosen = (text * (count // len(text) + 1))[:count]
        (folder / f"{part}_files.txt").write_text("".join(f"{line}\n" for line in chosen))
    return folder


def training_words(settings: Settings, data: Path, *more: object) -> list[str]:
    """A command line of ``train.py``, from random weights on video and stereo pairs.

    On a CPU nothing is compiled, which would take longer than all that is then computed.
    """
    height, width = settings.size
    words = ["--data_path", data, "--split", data / "splits", "--frame_ids", 0, -1, 1]
    words += ["--use_stereo", "--height", height, "--width", width, "--weights_init", "scratch"]
    words += ["--initial_disparity", 0.05, "--batch_size", settings.batch_size]
    words += ["--num_workers", 0, "--log_frequency", 1, "--log_dir", settings.folder]
    if settings.device is not None:
        words += ["--device", settings.device]
    if settings.small:
        words.append("--eager")
    return [str(word) for word in (*words, *more)]


def training_options(settings: Settings, data: Path, *more: object) -> TrainOptions:
    """The same, parsed."""
    return parse(TrainOptions, training_words(settings, data, *more))


def first_batch(task: Task, size: int) -> Batch:
    """The first items to train on."""
    return make_batch(task.items("train"), 0, range(size))
