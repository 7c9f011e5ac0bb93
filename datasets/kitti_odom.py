"""KITTI odometry on disk: sequences of frames, their poses and times."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from errors import InputError

FRAMES_PER_SECOND = 10


def sequence_folder(data_path: Path, sequence: int) -> Path:
    """The folder of a sequence, ``sequences/09``."""
    return data_path / "sequences" / f"{sequence:02d}"


def pose_file(data_path: Path, sequence: int) -> Path:
    """The file of a sequence's true poses, ``poses/09.txt``."""
    return data_path / "poses" / f"{sequence:02d}.txt"


def sequence_images(data_path: Path, sequence: int) -> list[Path]:
    """The left colour images of a sequence, in order.

    Raises:
        InputError: there are none, or one in between is missing.
    """
    folder = sequence_folder(data_path, sequence) / "image_2"
    for suffix in (".jpg", ".png"):
        paths = sorted(folder.glob(f"*{suffix}"))
        for index, path in enumerate(paths):
            expected = folder / f"{index:06d}{suffix}"
            if path != expected:
                raise InputError(
                    f"{expected}: no such image; sequence {sequence} needs all of them"
                )
        if paths:
            return paths
    raise InputError(
        f"{folder}: holds no .jpg or .png image; --data_path must hold KITTI odometry: "
        "sequences/NN/image_2 and poses/NN.txt"
    )


def frame_times(data_path: Path, sequence: int, count: int) -> np.ndarray:
    """Seconds [count] of the frames, from ``times.txt`` or else ten a second."""
    path = sequence_folder(data_path, sequence) / "times.txt"
    if not path.is_file():
        return np.arange(count) / FRAMES_PER_SECOND
    try:
        times = np.loadtxt(path, ndmin=1)
    except ValueError as error:
        raise InputError(f"{path}: cannot be read as times ({error})") from error
    if len(times) < count:
        raise InputError(f"{path}: holds {len(times)} times for {count} images")
    return times[:count]
