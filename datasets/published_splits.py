"""The lists of frames that papers on KITTI share, held in a compact form.

``splits/<name>.json`` holds what the split's text files say, in other words:

- ``drives``: per folder the frames of its training and validation lists together, as ranges. In
  every published split both cameras have the same ones.
- ``validation``: which of them are for validation: one bit per folder, frame and side (l before
  r) in that order, packed, compressed by zlib, in base64.
- ``tests``: per test file the frames of each folder in their published order, left camera;
  ``frame_digits`` says how many digits a frame number is written with, at least.
- ``anonymous``: the number of test images that have no drive.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "splits"
SIDES = ("l", "r")
TRAIN_FILE, VAL_FILE, TEST_FILE = "train_files.txt", "val_files.txt", "test_files.txt"


@cache
def published_files(name: str) -> Mapping[str, tuple[str, ...]]:
    """The text files of a published split by name, each as its lines.

    Training and validation lists come sorted by folder, frame and side; training shuffles them.
    """
    return decode((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def decode(text: str) -> dict[str, tuple[str, ...]]:
    """Files and their lines from the compact form."""
    content = json.loads(text)
    files = {}
    if "drives" in content:
        lines = [
            f"{folder} {frame} {side}"
            for folder, ranges in content["drives"].items()
            for frame in _frames(ranges)
            for side in SIDES
        ]
        packed = np.frombuffer(
            zlib.decompress(base64.b64decode(content["validation"])), dtype=np.uint8
        )
        is_val = np.unpackbits(packed, count=len(lines)).astype(bool)
        files[TRAIN_FILE] = tuple(line for line, val in zip(lines, is_val) if not val)
        files[VAL_FILE] = tuple(line for line, val in zip(lines, is_val) if val)
    digits = content.get("frame_digits", 1)
    for file, drives in content.get("tests", {}).items():
        files[file] = tuple(
            f"{folder} {frame:0{digits}d} l"
            for folder, frames in drives.items()
            for frame in _frames(frames)
        )
    if "anonymous" in content:
        files[TEST_FILE] = tuple(f"image {i}" for i in range(content["anonymous"]))
    return files


def encode(files: Mapping[str, Iterable[str]]) -> str:
    """The compact form of text files, which :func:`decode` turns back.

    Raises:
        ValueError: the lists are not of the kind that the form can hold.
    """
    content: dict[str, Any] = {}
    tests = {file: list(lines) for file, lines in files.items() if file.startswith("test")}
    if TRAIN_FILE in files:
        val = {_sortable(line) for line in files[VAL_FILE]}
        every = sorted(val.union(map(_sortable, files[TRAIN_FILE])))
        drives: dict[str, list[int]] = {}
        for folder, frame, side in every:
            if side == SIDES[0]:
                drives.setdefault(folder, []).append(frame)
        is_val = np.packbits([item in val for item in every])
        content["drives"] = {folder: _ranges(frames) for folder, frames in drives.items()}
        content["validation"] = base64.b64encode(zlib.compress(is_val.tobytes(), 9)).decode()
    for file, lines in tests.items():
        if lines[0].startswith("image "):
            content["anonymous"] = len(lines)
            continue
        digits = min(len(line.split()[1]) for line in lines)
        content["frame_digits"] = digits
        drives = {}
        for folder, frame, _ in map(_sortable, lines):
            drives.setdefault(folder, []).append(frame)
        content.setdefault("tests", {})[file] = {f: _ranges(n) for f, n in drives.items()}
    text = json.dumps(content, indent=1) + "\n"
    decoded = decode(text)
    for file, lines in files.items():
        same = list if file in tests else sorted
        if same(decoded[file]) != same(lines):
            raise ValueError(f"{file}: cannot be held in the compact form")
    return text


def _sortable(line: str) -> tuple[str, int, str]:
    folder, frame, side = line.split()
    return folder, int(frame), side


def _ranges(frames: Iterable[int]) -> str:
    """Numbers in their order as text, runs of following ones as ``first-last``."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _frames(ranges: str) -> list[int]:
    """The numbers that :func:`_ranges` wrote."""
    frames: list[int] = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        frames.extend(range(int(first), int(last or first) + 1))
    return frames
