"""Reading videos and cameras, through OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from system.errors import InputError

_ENDINGS = ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts .webm .wmv"
VIDEOS = frozenset(_ENDINGS.split())
ASSUMED_RATE = 25.0  # where a video does not say
LARGEST_RATE = 1000.0


class Video:
    """The frames of a video file or camera, RGB uint8 [H, W, 3], in order.

    Attributes:
        rate: frames per second.
        count: frames that the file says it has; 0 when it does not say.
        seconds: at which the frame that was read last is shown.

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
        self.seconds = 0.0

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
                    self.seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                    yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            if number == 0:
                raise InputError(f"{self.name}: no frame can be read; it is empty or damaged")
        finally:
            self._capture.release()
