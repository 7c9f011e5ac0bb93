"""Reading videos, through PyAV, and cameras, through OpenCV."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Callable

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.frame import Frame
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from datasets.pictures import MOST_PIXELS
from system.errors import InputError

logger = logging.getLogger(__name__)

ASSUMED_RATE = 25.0  # where a video does not say
LARGEST_RATE = 1000.0
# Titles in an old spelling are no reason to refuse a video; PyAV says so itself from 19 on.
ANY_LETTERS = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
# What a file is read as; others, such as lists of addresses, would open further files.
FORMATS = (
    *("mov", "matroska", "avi", "mpeg", "mpegts", "mpegvideo", "flv", "asf", "ogg", "mxf", "ivf"),
    *("h264", "hevc", "m4v", "dv", "yuv4mpegpipe"),
)
OPENING = {"protocol_whitelist": "file", "format_whitelist": ",".join(FORMATS)}
CONVERSION = "as with ffmpeg -i IN -c:v libx264 OUT.mp4"
MOST_DAMAGE = 1000  # places, after which a video is given up
SHORT = 0.98  # of the frames that a file says it has, below which it counts as cut short


class NoPictures(ValueError):
    """A file holds no moving pictures."""


class Video:
    """The frames of a video file or camera, upright RGB uint8 [H, W, 3] of one size, in order.

    Attributes:
        rate: frames per second, of which those of telephones are means.
        count: frames that the file says it has; 0 when it does not say.
        size: (width, height) of the frames.
        seconds: at which the frame that was read last is shown.

    Raises:
        InputError: it cannot be opened.
    """

    def __init__(self, source: Path | int) -> None:
        self.name = f"camera {source}" if isinstance(source, int) else str(source)
        self._opened = _Camera(source) if isinstance(source, int) else _File(source)
        self.size = self._opened.size
        rate = self._opened.rate
        self.rate = float(rate) if 0 < rate <= LARGEST_RATE else ASSUMED_RATE
        self.count = self._opened.count
        self.seconds = 0.0

    def frames(self, skip: int = 0) -> Iterator[np.ndarray]:
        """The frames from the one of number ``skip`` on, once.

        Raises:
            InputError: there is not even one.
        """
        return (frame for _, frame in self.timed_frames(skip))

    def timed_frames(self, skip: int = 0) -> Iterator[tuple[Fraction, np.ndarray]]:
        """The frames as :meth:`frames`, each with the seconds at which it is shown, which rise."""
        number, last = 0, None
        step = Fraction(1 / self.rate).limit_denominator(1 << 20)
        for number, (shown, frame) in enumerate(self._opened.frames(), start=1):
            usual = Fraction(0) if last is None else last + step
            # Without times, and where they go back, frames follow at the usual rate.
            last = usual if shown is None or (last is not None and shown <= last) else shown
            if number > skip:
                self.seconds = float(last)
                yield last, frame()
        if number == 0:
            raise InputError(
                f"{self.name}: no frame can be read; it is empty or damaged", kind="no_frame"
            )
        if number < SHORT * self._opened.listed:
            logger.warning(
                "%s: ends after %d of the %d frames that it should have: it was cut short, or is "
                "damaged",
                *(self.name, number, self._opened.listed),
            )


class _Camera:
    """A camera, by OpenCV."""

    count = listed = 0

    def __init__(self, index: int) -> None:
        self._capture = cv2.VideoCapture(index)
        if not self._capture.isOpened():
            raise InputError(
                f"camera {index}: cannot be opened: there is no such camera, or another program "
                "has it"
            )
        self.rate = self._capture.get(cv2.CAP_PROP_FPS)
        sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        self.size = tuple(int(self._capture.get(side)) for side in sides)

    def frames(self) -> Iterator[tuple[Fraction, Callable[[], np.ndarray]]]:
        """Frames as they are asked for, at the time since the first one."""
        start = None
        try:
            while True:
                there, frame = self._capture.read()
                if not there:
                    return
                start = time.monotonic_ns() if start is None else start
                since = Fraction(time.monotonic_ns() - start, 10**9)
                yield since, partial(cv2.cvtColor, frame, cv2.COLOR_BGR2RGB)
        finally:
            self._capture.release()


class _File:
    """A video file, by FFmpeg in PyAV."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such video", kind="missing")
        self._path = path
        try:
            with open_video(path) as container:
                stream = _pictures(container)
                width, height = stream.codec_context.width, stream.codec_context.height
                self.rate = stream.average_rate or stream.guessed_rate or 0
                self.listed = stream.frames  # by the file's table of contents, if it has one
                self.count = self.listed or _estimate(container, stream)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be opened: it is damaged or no video ({reason_of(error)}); "
                f"convert it, {CONVERSION}",
                kind="no_pictures" if isinstance(error, NoPictures) else "no_video",
            ) from error
        if width * height > MOST_PIXELS:
            raise InputError(
                f"{path}: has frames of {width}x{height} pixels; at most {MOST_PIXELS // 10**6} "
                f"million are read; make it smaller",
                kind="too_large",
            )
        self.size = (width, height)

    def frames(self) -> Iterator[tuple[Fraction | None, Callable[[], np.ndarray]]]:
        """Frames, of which those that are asked for are made RGB, with their times."""
        size = None
        with open_video(self._path) as container:
            stream = _pictures(container)
            stream.thread_type = "AUTO"
            for frame in decoded_frames(container, stream):
                size = size or (frame.width, frame.height)
                shown = None if frame.pts is None else frame.pts * frame.time_base
                yield shown, partial(_upright, frame, size)


def open_video(path: Path) -> InputContainer:
    """A video file, open for reading; nothing but that file is read for it.

    Raises:
        av.FFmpegError, OSError: it cannot be opened.
    """
    # From the root: before a colon there might stand a protocol.
    return av.open(str(path.absolute()), container_options=OPENING, **ANY_LETTERS)


def decoded_frames(container: InputContainer, stream: Stream) -> Iterator[Frame]:
    """What can be decoded of a stream; what is damaged is passed over, and said."""
    packets, damaged = container.demux(stream), 0
    while damaged <= MOST_DAMAGE:
        try:
            yield from next(packets).decode()
        except StopIteration:
            break
        except av.FFmpegError:
            damaged += 1
    if damaged:
        words = "%s: the %s is damaged in %d places, which are left out"
        logger.warning(words, container.name, stream.type, damaged)


def reason_of(error: Exception) -> str:
    """What PyAV, or the system, says is wrong."""
    return str(getattr(error, "strerror", None) or error)


def _pictures(container: InputContainer) -> VideoStream:
    """The pictures of a video; those of music are none.

    Raises:
        NoPictures: it has none, or none that can be decoded.
    """
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            return stream
    raise NoPictures("it holds no moving pictures that can be decoded")


def _estimate(container: InputContainer, stream: VideoStream) -> int:
    """How many frames there should be by the length of a video; 0 where it does not say."""
    return max(0, int((container.duration or 0) / av.time_base * (stream.average_rate or 0)))


def _upright(frame: av.VideoFrame, size: tuple[int, int]) -> np.ndarray:
    """A frame as RGB, of a size before it is turned as telephones say."""
    # The filter of OpenCV's reader, which gives the same pixels.
    width, height = size
    scaled = frame.reformat(width, height, "rgb24", interpolation="BICUBIC")
    turned = np.rot90(scaled.to_ndarray(), round(frame.rotation / 90) % 4)
    return np.ascontiguousarray(turned)
