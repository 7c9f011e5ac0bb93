"""Depth of videos and cameras, as videos in colours that do not flicker.

A video is done in two passes, so that one range of colours fits all of it: the disparities are
predicted into a folder beside the result, from where an interrupted run goes on, and are then
coloured. Memory does not grow with the length. A camera is coloured as it goes, over a range
that follows slowly.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import Any, Callable, TypeVar

import numpy as np
from tqdm import tqdm

from datasets.footage.video import Video
from prediction.depth_map import DepthMap, limit_side, squeezed
from prediction.disparity_store import DisparityStore, FrameRange
from prediction.predictor import DepthPredictor
from prediction.video_files import Frame, try_to_write, write_video
from prediction.visualise import COLORMAP, disparity_range, shades, side_by_side
from system.errors import InputError
from system.files import sha256, write_json

logger = logging.getLogger(__name__)

STORED = 3  # version of how they are kept
FOLLOWING = 0.05  # share of a new frame in the range that is shown of a camera

Made = TypeVar("Made")


@dataclass(frozen=True)
class VideoFormat:
    """How the video of a depth is written."""

    container: str = "mp4"  # or webm
    colormap: str = COLORMAP  # one of options.COLORMAPS
    side_by_side: bool = False  # whether the source is shown, too
    range: str = "whole"  # of colours: one for all; "smooth": one that follows the frames
    max_side: int | None = None  # longest side of the frames


def predict_video(
    predictor: DepthPredictor,
    source: Path,
    target: Path,
    form: VideoFormat,
    batch_size: int,
    about: Mapping[str, Any],
    keep: Callable[[DepthMap, float], None] | None = None,
) -> None:
    """Write the depth of the video ``source`` as the video ``target``, and its metadata beside it.

    Times and sound are the source's.

    Args:
        predictor: the model.
        source: any video that FFmpeg reads.
        target: file to write, with the ending of ``form.container``.
        form: container and colours.
        batch_size: frames that an engine is given at once, if it is asked by one thread at a time.
        about: the model and what ran it; an interrupted run goes on only with the same, the same
            weights, and the same content of the source.
        keep: is given the depth of every frame, and the largest disparity of them all.

    Raises:
        InputError: the video cannot be read, or ``target`` not written; predictions stay.
    """
    before = _facts(source)
    video = Video(source)
    # Whatever refuses the result does so before the long work.
    first = limit_side(next(Video(source).frames()), form.max_side)
    warn_of_shape(predictor, first, source)
    try_to_write(target, _rehearsed(first, form), video.rate, form.container)
    parts = target.with_name(f".{target.name}.parts")
    size = {"side": predictor.side, "keep_aspect": predictor.keep_aspect}
    key = {**about, "version": STORED, **size, "source": sha256(source)}
    range_of = partial(_frame_range, predictor, first.shape[:2])
    store = DisparityStore(parts, {**key, "weights": predictor.network.digest}, range_of)
    started = time.monotonic()
    done = store.frames
    if done:
        logger.info("%s: going on after %d frames", source, done)
    times: deque[Fraction] = deque()  # of the frames that were read, and are not yet kept

    def images() -> Iterator[np.ndarray]:
        for seconds, frame in video.timed_frames(skip=done):
            times.append(seconds)
            # Padding is that of the frames that are shown.
            shown = limit_side(frame, form.max_side) if predictor.keep_aspect else frame
            yield predictor.network_input(shown)

    given = images()
    network = predictor.network.of_many()
    # An engine that several threads ask gains nothing from batches: its first frames come later.
    count = batch_size if network.engine.at_once == 1 else 1
    batches = iter(lambda: list(islice(given, count)), [])
    progress = tqdm(total=video.count or None, initial=done, unit="frame", desc=source.name)
    with progress:
        for disparities in network.stream(made_ahead(map(np.stack, batches))):
            for disparity in disparities:
                store.add(disparity, times.popleft())
                progress.update()
        store.finish()
    rate = (store.frames - done) / max(time.monotonic() - started, 1e-9)

    low, high, largest = store.range()
    shown = Range(low, high) if form.range == "whole" else Range()

    def colored() -> Iterator[tuple[Fraction, Frame]]:
        kept = store.timed_disparities()
        # Only where they are shown, too, are the frames read once more.
        frames = made_ahead(Video(source).frames()) if form.side_by_side else repeat(first)
        for frame, (seconds, sigmoid) in zip(frames, kept):
            picture = limit_side(frame, form.max_side)
            depth_map = predictor.depth_map(sigmoid, picture.shape[:2])
            if keep is not None:
                keep(depth_map, largest)
            yield seconds, _frame(picture, depth_map, shown.of(depth_map), form)
        if _facts(source) != before:
            raise InputError(
                f"{source}: was changed while it was read; give the same command again when it "
                "stays as it is"
            )

    def describe(count: int) -> None:
        description = {
            **about,
            "unit": predictor.unit,
            "frames": count,
            "frames_per_second": video.rate,
            "predicted_per_second": round(rate, 2),
            "colours": form.colormap,
            "range": form.range,
            "disparity_range": [shown.low, shown.high],
        }
        write_json(target.with_suffix(".json"), description)

    # What says of which source the video is comes first: without it, the video would be another's.
    coloured = tqdm(made_ahead(colored()), "colours", store.frames)
    count = write_video(target, coloured, video.rate, form.container, source, describe)
    shutil.rmtree(parts, ignore_errors=True)
    logger.info("%s: %d frames at %.1f a second", target, count, rate)


def _frame_range(
    predictor: DepthPredictor, shape: tuple[int, int], sigmoid: np.ndarray
) -> FrameRange:
    """The disparities in what the network says [h, w] of a frame of ``shape`` (height, width)."""
    shown = predictor.without_padding(sigmoid, shape)
    disparity = predictor.depth_map(shown, shown.shape).disparity
    return FrameRange(*disparity_range(disparity), float(disparity.max()))


def made_ahead(items: Iterable[Made]) -> Iterator[Made]:
    """The items in their order, the next two of which a thread makes while one is used."""
    iterator, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, iterator, end) for _ in range(2))
        while (item := coming.popleft().result()) is not end:
            coming.append(thread.submit(next, iterator, end))
            yield item


def warn_of_shape(predictor: DepthPredictor, frame: np.ndarray, source: Path | str) -> None:
    """Say where frames are squeezed into the shape of a network."""
    words = None if predictor.keep_aspect else squeezed(predictor.info, frame.shape[1::-1])
    if words is not None:
        logger.warning("%s: %s", source, words)


def _frame(
    picture: np.ndarray, depth_map: DepthMap, shown: tuple[float, float], form: VideoFormat
) -> Frame:
    """A frame in colours of a range of disparities, and beside its source if the form says so."""
    if form.side_by_side:
        return side_by_side(picture, depth_map, form.colormap, shown)
    return shades(depth_map.disparity, *shown, form.colormap)


def _rehearsed(picture: np.ndarray, form: VideoFormat) -> Frame:
    """A frame of the result, of one of the source, with any depth."""
    depth_map = DepthMap(np.zeros(picture.shape[:2], np.float32))
    return _frame(picture, depth_map, (0.0, 1.0), form)


def _facts(source: Path) -> tuple[int, int]:
    """Size and time of a file, which tell that it was changed."""
    try:
        facts = source.stat()
    except OSError as error:
        raise InputError(f"{source}: no such video ({error.strerror})") from error
    return facts.st_size, facts.st_mtime_ns


def predict_camera(
    predictor: DepthPredictor,
    index: int,
    target: Path,
    form: VideoFormat,
    max_frames: int | None,
) -> int:
    """Write the depth of a camera as a video until Ctrl-C or ``max_frames``; returns the frames.

    Raises:
        InputError: there is no such camera, or ``target`` cannot be written.
    """
    video = Video(index)
    shown = Range()

    def frames() -> Iterator[tuple[Fraction, Frame]]:
        with tqdm(unit="frame", desc=video.name, total=max_frames) as progress:
            try:
                for seconds, frame in islice(video.timed_frames(), max_frames):
                    picture = limit_side(frame, form.max_side)
                    if progress.n == 0:
                        warn_of_shape(predictor, picture, video.name)
                    depth_map = predictor(picture)
                    yield seconds, _frame(picture, depth_map, shown.of(depth_map), form)
                    progress.update()
            except KeyboardInterrupt:  # the way to end it; what there is is a whole video
                logger.info("%s: stopped", video.name)

    return write_video(target, frames(), video.rate, form.container)


class Range:
    """The disparities of the darkest and the brightest colour: fixed, or following the frames."""

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        self.low, self.high = low, high
        self._fixed = low is not None

    def of(self, depth_map: DepthMap) -> tuple[float, float]:
        """Both, for the next frame."""
        if not self._fixed:
            low, high = disparity_range(depth_map.disparity)
            if self.low is None:
                self.low, self.high = low, high
            self.low += FOLLOWING * (low - self.low)
            self.high += FOLLOWING * (high - self.high)
        return self.low, self.high
