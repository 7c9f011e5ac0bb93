"""Pictures and sweeps of KITTI's size and weight in KITTI's layout, drawn from noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from datasets.kitti import day_folder, frame_path, sweep_path
from datasets.splits import SplitLine
from datasets.streets.sensors import calibration_files, kitti_camera

WIDTH, HEIGHT, QUALITY = 1242, 375, 92
GRAIN = 5  # with which they have 170 kB each; KITTI's own have 168 at this quality
POINTS = 115_000  # of a sweep
DRIVE = "2011_09_26/2011_09_26_drive_0001_sync"


def write_drive(data_path: Path, frames: int, ending: str = "jpg") -> list[SplitLine]:
    """Write both cameras of a drive, as files of an ending; return the items with neighbours."""
    rng = np.random.default_rng(0)
    for side in "lr":
        for frame in range(frames):
            coarse = rng.integers(0, 256, (HEIGHT // 12, WIDTH // 12, 3), np.uint8)
            image = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
            grain = rng.normal(0, GRAIN, image.shape)
            path = frame_path(data_path, DRIVE, frame, side, ending)
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = np.clip(image + grain, 0, 255).astype(np.uint8)
            quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
            cv2.imwrite(str(path), picture, quality if ending == "jpg" else [])
    return [SplitLine(DRIVE, frame, side) for side in "lr" for frame in range(1, frames - 1)]


def write_split(folder: Path, **parts: Sequence[SplitLine]) -> None:
    """Write lists of items, by the names of their parts, as a split in a new folder."""
    folder.mkdir()
    for part, lines in parts.items():
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"{part}_files.txt").write_text(text)


def draw_sweep() -> np.ndarray:
    """Points all around, float32 [N, 4], as many as in a sweep of KITTI's."""
    rng = np.random.default_rng(0)
    angle, distance = rng.uniform(0, 2 * np.pi, POINTS), rng.uniform(3, 80, POINTS)
    height = rng.uniform(-0.4, 0.03, POINTS) * distance
    around = (distance * np.cos(angle), distance * np.sin(angle), height, np.zeros(POINTS))
    return np.stack(around, axis=1).astype(np.float32)


def add_calibration(data_path: Path, folder: str = DRIVE) -> None:
    """Write the calibration of a drive's day, of cameras and LiDAR like KITTI's."""
    for name, text in calibration_files(kitti_camera(WIDTH, HEIGHT)).items():
        (day_folder(data_path, folder) / name).write_text(text)


def add_sweeps(data_path: Path, frames: int) -> None:
    """Write the sweeps of a drive, all the same, and the calibration of its day."""
    sweep = draw_sweep().tobytes()
    for frame in range(frames):
        path = sweep_path(data_path, DRIVE, frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sweep)
    add_calibration(data_path)
