"""Bounds on the work of one video: frames as they come, whatever its header says, and time."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from datasets.footage.video import Video
from prediction.depth_map import DepthMap
from prediction.engines import Engine
from prediction.predictor import DepthPredictor


class TooLong(Exception):
    """A video has more frames than are taken; says how many."""


class TooSlow(Exception):
    """A video took more time than it may; no TimeoutError, which would look like a file's."""


class Stopped(Exception):
    """A video's work is no longer wanted."""


class Watch:
    """Ends a video's work when its time is over, there are too many frames, or it is stopped."""

    def __init__(self, seconds: float = math.inf, frames: float = math.inf) -> None:
        self._end, self._frames, self._seen = time.monotonic() + seconds, frames, 0
        self._stopped = False

    def stop(self) -> None:
        """Let the next :meth:`look` raise Stopped."""
        self._stopped = True

    def look(self) -> None:
        """Raise TooSlow when the time is over, Stopped when it was stopped."""
        if self._stopped:
            raise Stopped
        if time.monotonic() > self._end:
            raise TooSlow

    def frame(self) -> None:
        """Count a frame; raise TooLong when there are too many."""
        self._seen += 1
        if self._seen > self._frames:
            raise TooLong(f"> {self._frames}")
        self.look()


@dataclass(frozen=True)
class Watched(DepthPredictor):
    """A predictor that looks at a watch for each frame, and that threads ask one at a time."""

    watch: Watch = field(default_factory=Watch)

    def network_input(self, picture: np.ndarray) -> np.ndarray:
        """See :meth:`DepthPredictor.network_input`; counts frames."""
        self.watch.frame()
        return super().network_input(picture)

    def depth_map(self, output: np.ndarray, shape: tuple[int, int]) -> DepthMap:
        """See :meth:`DepthPredictor.depth_map`."""
        self.watch.look()
        return super().depth_map(output, shape)


def one_at_a_time(predictor: DepthPredictor) -> Watched:
    """A predictor whose network is asked by one thread at a time."""
    engine, lock = predictor.network.engine, threading.Lock()

    def disparity(images: np.ndarray) -> np.ndarray:
        with lock:
            return engine.disparity(images)

    network = replace(predictor.network, engine=Engine(engine.name, disparity))
    return Watched(network, predictor.alignment, predictor.side)


def outline(file: Path) -> tuple[tuple[int, int], int]:
    """What a video says of its frames, before one is decoded: (width, height), and how many.

    The number may be an estimate, and is 0 where nothing is said.
    """
    video = Video(file)
    return video.size, video.count


def check_length(file: Path, most: int, seconds: float) -> None:
    """Count the frames of a video that says that it has too many, or nothing: headers err.

    Raises:
        TooLong: there are more than ``most``.
        TooSlow: counting took too long.
        InputError: it is no video.
    """
    video = Video(file)
    said, watch = video.count, Watch(seconds, most)
    if 0 < said <= most:
        return
    try:
        for _ in video.frames():
            watch.frame()
    except TooLong as error:
        raise TooLong(said or error) from error
