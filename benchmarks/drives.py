"""Pictures of KITTI's size and weight in KITTI's layout, drawn from noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from datasets.kitti import frame_path
from datasets.splits import SplitLine

WIDTH, HEIGHT, QUALITY = 1242, 375, 92
GRAIN = 5  # with which they have 170 kB each; KITTI's own have 168 at this quality
DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"


def write_drive(data_path: Path, frames: int) -> list[SplitLine]:
    """Write both cameras of a drive; return the items that have neighbours."""
    rng = np.random.default_rng(0)
    for side in "lr":
        for frame in range(frames):
            coarse = rng.integers(0, 256, (HEIGHT // 12, WIDTH // 12, 3), np.uint8)
            image = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            grain = rng.normal(0, GRAIN, image.shape)
            path = frame_path(data_path, DRIVE, frame, side, "jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = np.clip(image + grain, 0, 255).astype(np.uint8)
            cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return [SplitLine(DRIVE, frame, side) for side in "lr" for frame in range(1, frames - 1)]


def write_split(folder: Path, train: Sequence[SplitLine], val: Sequence[SplitLine]) -> None:
    """Write lists of items as a split in a new folder."""
    folder.mkdir()
    for part, lines in (("train", train), ("val", val)):
        text = "".join(f"{line.folder} {line.frame} {line.side}\n" for line in lines)
        (folder / f"{part}_files.txt").write_text(text)
