"""A frame as the networks see it: decoded, resized, one plane per colour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from datasets.kitti import read_image
from errors import InputError

AREA, LANCZOS = "area", "lanczos"
KEPT_FRAMES = 16  # neighbouring items of an ordered split share frames

# Where a whole file starts and ends; OpenCV does not tell of one that was cut short.
JPEG = (b"\xff\xd8", b"\xff\xd9")
PNG = (b"\x89PNG\r\n\x1a\n", b"IEND\xae\x42\x60\x82")
DECODE = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


@dataclass(frozen=True)
class FrameFiles:
    """Frames from their image files, decoded and resized each time they are asked for.

    Attributes:
        height: to resize to.
        width: likewise.
        resize: ``area`` (fast) or ``lanczos`` (as published).
    """

    height: int
    width: int
    resize: str = AREA

    def read(self, path: Path, size: tuple[int, int]) -> np.ndarray:
        """The frame at ``path``, RGB uint8 [3, height, width], not to be written to.

        Args:
            path: of the image.
            size: (width, height) that it must have.

        Raises:
            InputError: it is missing, damaged, or of another size.
        """
        try:
            facts = path.stat()
        except OSError:
            raise InputError(f"{path}: no such image") from None
        key = (facts.st_mtime_ns, facts.st_size)
        return _read(self, path, key, size)

    def load(self, path: Path) -> tuple[np.ndarray, tuple[int, int]]:
        """Like :meth:`read` of any size: the frame, and the (width, height) that the image had."""
        image = read_bgr(path)
        small = resize_image(image, self.height, self.width, self.resize)
        frame = np.stack([cv2.extractChannel(small, channel) for channel in (2, 1, 0)])
        return frame, image.shape[1::-1]


@lru_cache(maxsize=KEPT_FRAMES)
def _read(files: FrameFiles, path: Path, key: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    frame, found = files.load(path)
    if found != size:
        raise InputError(wrong_size(path, found, size))
    frame.setflags(write=False)
    return frame


def wrong_size(path: Path, found: tuple[int, int], expected: tuple[int, int]) -> str:
    """What to say of a frame whose (width, height) are not its camera's."""
    return (
        f"{path}: is {found[0]}x{found[1]}, but its drive's camera has "
        f"{expected[0]}x{expected[1]}; take the frame out of the split or restore it"
    )


def read_bgr(path: Path) -> np.ndarray:
    """Read an image completely, as BGR uint8 [H, W, 3].

    Raises:
        InputError: the file is missing, is no image, or is truncated or damaged.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except OSError:
        content = np.empty(0, np.uint8)
    start, end = content[:8].tobytes(), content[-8:].tobytes()
    if any(start.startswith(first) and end.endswith(last) for first, last in (JPEG, PNG)):
        image = cv2.imdecode(content, DECODE)
        if image is not None:
            return image
    # Other formats, and files with something wrong, of which Pillow says what it is.
    return read_image(path)[:, :, ::-1]


def resize_image(image: np.ndarray, height: int, width: int, resize: str) -> np.ndarray:
    """Resize uint8 [h, w, 3] to [height, width, 3].

    ``lanczos`` is Pillow's, as published. ``area`` enlarges to the next whole multiple of the
    target (cubic) and takes the mean of each block: about as close to Lanczos as the mean over
    each pixel's exact area, in less than half of its time.
    """
    if image.shape[:2] == (height, width):
        return image
    if resize == LANCZOS:
        picture = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(picture)
    columns, rows = -(-image.shape[1] // width), -(-image.shape[0] // height)
    enlarged = cv2.resize(image, (columns * width, rows * height), interpolation=cv2.INTER_CUBIC)
    if (columns, rows) == (1, 1):
        return enlarged
    return cv2.resize(enlarged, (width, height), interpolation=cv2.INTER_AREA)
