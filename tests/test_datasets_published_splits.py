"""The compact form of the published lists: exact, small, and reversible."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from datasets.published_splits import FOLDER, decode, encode, published_files
from datasets.splits import PUBLISHED_NAMES

SUMS = json.loads((Path(__file__).parent / "data" / "split_sums.json").read_text())


def test_every_file_has_the_sum_of_the_published_one():
    files = {f"{n}/{file}": lines for n in PUBLISHED_NAMES for file, lines in files_of(n)}
    sums = {k: hashlib.sha256("\n".join(sorted(v)).encode()).hexdigest() for k, v in files.items()}
    assert sums == SUMS


def files_of(name: str) -> list[tuple[str, tuple[str, ...]]]:
    return list(published_files(name).items())


def test_equals_the_published_text(shared):
    texts = sorted((shared / "splits").glob("*/*.txt"))
    assert len(texts) == len(SUMS)
    for path in texts:
        lines = published_files(path.parent.name)[path.name]
        published = path.read_text().splitlines()
        if not path.name.startswith("test"):
            published = sorted(published)
            lines = sorted(lines)
        assert list(lines) == published, path


def test_takes_less_than_150_kb():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.json")) < 150_000


def test_random_lists_return_from_the_compact_form():
    rng = np.random.default_rng(0)
    every = [f"day/{d} {f} {s}" for d in "abc" for f in range(int(d, 16) * 3) for s in "lr"]
    shuffled = rng.permutation(every).tolist()
    tests = [f"day/z {frame:04d} l" for frame in rng.permutation(50)[:20]]
    files = {"train_files.txt": shuffled[20:], "val_files.txt": shuffled[:20]}
    decoded = decode(encode({**files, "test_files.txt": tests}))
    assert list(decoded["test_files.txt"]) == tests
    assert {file: sorted(decoded[file]) for file in files} == {
        file: sorted(lines) for file, lines in files.items()
    }


def test_lists_that_the_form_cannot_hold_are_refused():
    files = {"train_files.txt": ["day/a 1 l"], "val_files.txt": ["day/a 2 r"]}
    with pytest.raises(ValueError, match=r"_files\.txt: cannot be held"):
        encode(files)
    with pytest.raises(ValueError, match=r"test_files\.txt"):
        encode({"test_files.txt": ["day/a 1 r"]})
