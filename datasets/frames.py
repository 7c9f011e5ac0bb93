"""A frame as the networks see it, one plane per colour: decoded and resized, or from the cache."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from datasets.lanczos import resize_lanczos
from datasets.pictures import read_picture
from system.errors import InputError
from system.files import FileState, file_state
from system.memory import scratch

AREA, LANCZOS = "area", "lanczos"
KEPT_FRAMES = 16  # neighbouring items of an ordered split share frames


@dataclass(frozen=True)
class FrameFiles:
    """Frames from their image files, decoded and resized each time they are asked for."""

    height: int  # to resize to
    width: int  # likewise
    resize: str = AREA  # ``area`` (fast) or ``lanczos`` (as published)
    cached = False

    def read(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        """The frame at ``path``, RGB uint8 [3, height, width], not to be written to.

        Raises:
            InputError: it is missing, damaged, or its image of another size than (width, height).
        """
        return _read(self, path, image_state(path), size)

    def load(self, path: Path) -> tuple[np.ndarray, tuple[int, int]]:
        """Like :meth:`read` of any size: the frame, and the (width, height) that the image had."""
        image = read_picture(path, reuse=True)
        small = resize_image(image, self.height, self.width, self.resize)
        frame = np.empty((3, self.height, self.width), np.uint8)
        cv2.split(small, list(frame))
        return frame, image.shape[1::-1]


@lru_cache(maxsize=KEPT_FRAMES)
def _read(files: FrameFiles, path: Path, key: FileState, size: tuple[int, int]) -> np.ndarray:
    frame, found = files.load(path)
    _check_size(path, found, size)
    frame.setflags(write=False)
    return frame


class Row(NamedTuple):
    """One frame of a store."""

    number: int  # its place in ``frames.bin``
    made_from: FileState  # size and times of the image file
    content: int  # CRC-32 of the image file
    size: tuple[int, int]  # (width, height) of the image
    frame: int  # CRC-32 of the frame


@dataclass(frozen=True)
class FrameStore:
    """Frames from a store; as :class:`FrameFiles` to those who read."""

    data_path: Path  # folder that the paths in the store are below
    rows: Mapping[str, Row]  # per path
    frames: np.ndarray  # [N, 3, height, width] uint8, mapped
    place: Path  # file of the frames
    checked: set[int] = field(default_factory=set, compare=False)  # numbers of those found whole
    cached = True

    def read(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        """The frame at ``path``, RGB uint8 [3, height, width], not to be written to.

        Raises:
            InputError: the store does not hold it, it is damaged there, or it was of another size
                than (width, height).
        """
        row = self.rows.get(relative(path, self.data_path))
        if row is None:
            raise InputError(f"{path}: is not in the cache; start again to add it")
        _check_size(path, row.size, size)
        frame = self.frames[row.number]
        if row.number not in self.checked:  # once in a process: it takes a tenth of the reading
            if zlib.crc32(frame) != row.frame:
                raise InputError(
                    f"{self.place}: damaged, the frame of {path} is not what was put there; remove "
                    f"the folder {self.place.parent}, it is made anew"
                )
            self.checked.add(row.number)
        return frame


def image_state(path: Path) -> FileState:
    """Size and times of an image file.

    Raises:
        InputError: there is none.
    """
    try:
        return file_state(path)
    except OSError:
        raise InputError(f"{path}: no such image") from None


def relative(path: Path, data_path: Path) -> str:
    """How a store names a frame: a split may name folders that are not below the data's."""
    below = path.is_relative_to(data_path)
    return (path.relative_to(data_path) if below else path.absolute()).as_posix()


def _check_size(path: Path, found: tuple[int, int], expected: tuple[int, int]) -> None:
    """Refuse a frame whose (width, height) are not its camera's."""
    if found != expected:
        raise InputError(
            f"{path}: is {found[0]}x{found[1]}, but its drive's camera has "
            f"{expected[0]}x{expected[1]}; take the frame out of the split or restore it"
        )


def resize_image(image: np.ndarray, height: int, width: int, resize: str) -> np.ndarray:
    """Resize uint8 [h, w, 3] to [height, width, 3].

    ``lanczos`` is Pillow's, as published. ``area`` enlarges to the next whole multiple of the
    target (cubic) and takes the mean of each block: about as close to Lanczos as the mean over
    each pixel's exact area, in less than half of its time.
    """
    if image.shape[:2] == (height, width):
        return image
    if resize == LANCZOS:
        return resize_lanczos(image, (width, height))
    columns, rows = -(-image.shape[1] // width), -(-image.shape[0] // height)
    if (columns, rows) == (1, 1):
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
    enlarged = scratch("enlarged", (rows * height, columns * width, 3))
    cv2.resize(image, enlarged.shape[1::-1], enlarged, interpolation=cv2.INTER_CUBIC)
    return cv2.resize(enlarged, (width, height), interpolation=cv2.INTER_AREA)
