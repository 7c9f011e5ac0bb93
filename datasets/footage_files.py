"""Footage on disk: videos, and folders of pictures in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets.camera_file import Camera
from datasets.kitti import read_image
from datasets.video_file import VIDEOS, Video
from errors import InputError

PICTURES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class Footage:
    """Frames in the order of time: a video file, or a folder of pictures.

    Attributes:
        path: of it.
        right: of the right camera's, in the same order, or None.
    """

    path: Path
    right: Path | None = None

    def frames(self, right: bool = False) -> Iterator[np.ndarray]:
        """The frames, uint8 RGB [H, W, 3].

        Raises:
            InputError: one cannot be read.
        """
        path = self.right if right else self.path
        if path.is_dir():
            for picture in pictures_in(path):
                yield read_image(picture)
            return
        yield from Video(path).frames()

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """The frames, each with the right camera's if there is one.

        Raises:
            InputError: one cannot be read, or the two cameras have not as many.
        """
        if self.right is None:
            yield from ((frame, None) for frame in self.frames())
            return
        others = self.frames(right=True)
        for frame in self.frames():
            other = next(others, None)
            if other is None or other.shape != frame.shape:
                raise InputError(
                    f"{self.right}: must have as many frames as {self.path}, of the same size"
                )
            yield frame, other


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def find_footage(source: Path, camera: Camera | None) -> list[Footage]:
    """The videos and folders of pictures that a path names; of a folder, those in it.

    Raises:
        InputError: there are none, or the right camera's are missing.
    """
    if source.is_file():
        return [Footage(source)]
    if not source.is_dir():
        raise InputError(f"{source}: no such video or folder")
    if camera is not None and camera.stereo is not None:
        left, right = source / camera.stereo.left, source / camera.stereo.right
        return [
            Footage(footage.path, _partner(footage.path, left, right))
            for footage in find_footage(left, None)
        ]
    if pictures_in(source):
        return [Footage(source)]
    found = [
        Footage(path)
        for path in sorted(source.iterdir())
        if path.suffix.lower() in VIDEOS or (path.is_dir() and pictures_in(path))
    ]
    if not found:
        raise InputError(
            f"{source}: holds neither pictures ({', '.join(sorted(PICTURES))}) nor folders of "
            f"them nor videos ({', '.join(sorted(VIDEOS))})"
        )
    return found


def _partner(path: Path, left: Path, right: Path) -> Path:
    partner = right / path.relative_to(left) if path != left else right
    if not partner.exists():
        raise InputError(f"{partner}: the right camera's frames of {path} are missing")
    return partner
