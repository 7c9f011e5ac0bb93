"""Reading footage: videos and cameras, through OpenCV, and folders of pictures by their names."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from datasets.camera import Camera
from datasets.pictures import PICTURES, read_picture
from system.errors import InputError

VIDEOS = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"}
ASSUMED_RATE = 25.0  # where a video does not say
LARGEST_RATE = 1000.0


class Video:
    """The frames of a video file or camera, RGB uint8 [H, W, 3], in order.

    Attributes:
        rate: frames per second.
        count: frames that the file says it has; 0 when it does not say.

    Raises:
        InputError: it cannot be opened.
    """

    def __init__(self, source: Path | int) -> None:
        self.name = f"camera {source}" if isinstance(source, int) else str(source)
        if isinstance(source, Path) and not source.is_file():
            raise InputError(f"{source}: no such video")
        self._capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        if not self._capture.isOpened():
            why = "there is no such camera, or another program has it"
            if isinstance(source, Path):
                why = (
                    "it is damaged or no video, or OpenCV has no decoder for it; convert it, as "
                    "with ffmpeg -i IN -c:v libx264 OUT.mp4"
                )
            raise InputError(f"{self.name}: cannot be opened: {why}")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= LARGEST_RATE else ASSUMED_RATE
        self.count = max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def frames(self, skip: int = 0) -> Iterator[np.ndarray]:
        """The frames from the one of number ``skip`` on.

        Raises:
            InputError: there is not even one.
        """
        try:
            number = 0
            while self._capture.grab():
                number += 1
                if number > skip:
                    ok, frame = self._capture.retrieve()
                    if not ok:
                        break
                    yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            if number == 0:
                raise InputError(f"{self.name}: no frame can be read; it is empty or damaged")
        finally:
            self._capture.release()


@dataclass(frozen=True)
class Footage:
    """Frames in the order of time: a video file, or a folder of pictures."""

    path: Path  # of it
    right: Path | None = None  # of the right camera's, in the same order, or None

    def frames(self, right: bool = False) -> Iterator[np.ndarray]:
        """The frames, uint8 RGB [H, W, 3]; see :meth:`pairs`."""
        path = self.right if right else self.path
        yield from map(read_picture, pictures_in(path)) if path.is_dir() else Video(path).frames()

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """The frames, each with the right camera's if there is one.

        Raises:
            InputError: one cannot be read, or the two cameras have not as many.
        """
        others = itertools.repeat(None) if self.right is None else self.frames(right=True)
        for frame in self.frames():
            other = next(others, None)
            if self.right is not None and (other is None or other.shape != frame.shape):
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
