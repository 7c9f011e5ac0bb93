"""Items of numbers in files, for training that loads without Paddle and without pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from datasets.facts import Facts, facts_of_files
from system.errors import InputError

NUMBERS = 6


def write_items(folder: Path, train: int = 4, val: int = 2) -> Path:
    """Files of items whose answer is the mean of their numbers."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("val", val)):
        for index in range(count):
            np.save(folder / f"{part}_{index}.npy", rng.random(NUMBERS, np.float32))
    return folder


class StubItems:
    """The files of a part of a folder; numbers to train on are disturbed by a draw of the item."""

    cached = False

    def __init__(self, folder: Path, part: str, seed: int) -> None:
        self.paths = sorted(folder.glob(f"{part}_*.npy"))
        self.augment = part == "train"
        self.seed = seed

    def __len__(self) -> int:
        return len(self.paths)

    def item(self, epoch: int, index: int) -> dict[str, np.ndarray]:
        path = self.paths[index]
        try:
            numbers = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path}: cannot be read ({error})") from error
        answer = numbers.mean(keepdims=True)
        if self.augment:
            rng = np.random.default_rng((self.seed, epoch, index))
            numbers = numbers + rng.normal(0, 0.1, NUMBERS).astype(np.float32)
        return {"index": np.int64(index), "numbers": numbers, "answer": answer}

    def facts(self) -> Facts:
        return facts_of_files(self.paths)

    def name(self, index: int) -> str:
        return self.paths[index].name
