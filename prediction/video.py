"""Depth of videos and cameras, as videos in colours that do not flicker.

A video is done in two passes, so that one range of colours fits all of it: the disparities are
predicted into a folder beside the result, from where an interrupted run goes on, and are then
coloured. Memory does not grow with the length. A camera is coloured as it goes, over a range
that follows slowly.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from datasets.video_file import Video
from errors import InputError
from files import written_whole
from prediction.depth_map import DepthMap
from prediction.disparity_store import Store
from prediction.predictor import DepthPredictor
from prediction.reading import limit_side
from prediction.visualise import COLORMAP, colorize, disparity_range, side_by_side

logger = logging.getLogger(__name__)

# Four letters by which OpenCV knows a codec, per container.
CODECS = {"mp4": "mp4v", "webm": "VP80"}
FOLLOWING = 0.05  # share of a new frame in the range that is shown of a camera


@dataclass(frozen=True)
class VideoFormat:
    """How the video of a depth is written.

    Attributes:
        container: ``mp4``, or ``webm``, which browsers play.
        colormap: one of ``visualise.COLORMAPS``.
        side_by_side: whether the source is shown, too.
        range: ``whole``: one range of colours for all; ``smooth``: one that follows the frames.
        max_side: longest side of the frames.
    """

    container: str = "mp4"
    colormap: str = COLORMAP
    side_by_side: bool = False
    range: str = "whole"
    max_side: int | None = None


def predict_video(
    predictor: DepthPredictor,
    source: Path,
    target: Path,
    form: VideoFormat,
    batch_size: int,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the depth of the video ``source`` as the video ``target``, and its metadata beside it.

    Args:
        predictor: the model.
        source: any video that OpenCV reads.
        target: file to write, with the ending of ``form.container``.
        form: container and colours.
        batch_size: frames predicted at once.
        about: the model and what ran it; an interrupted run goes on only with the same.

    Returns:
        What is written to ``{target}.json``: frames, rate, range of disparities shown.

    Raises:
        InputError: the video cannot be read, or ``target`` not written; predictions stay.
    """
    store = Store(target.with_name(f".{target.name}.parts"), {**about, "source": str(source)})
    video = Video(source)
    started = time.monotonic()
    done = store.frames
    if done:
        logger.info("%s: going on after %d frames", source, done)
    progress = tqdm(total=video.count or None, initial=done, unit="frame", desc=source.name)
    with progress:
        for disparities in _predictions(predictor, video.frames(skip=done), batch_size):
            for disparity in disparities:
                store.add(disparity)
                progress.update()
        store.finish()
    rate = (store.frames - done) / max(time.monotonic() - started, 1e-9)

    low, high = store.range(predictor) if form.range == "whole" else (None, None)
    shown = Range(low, high)
    frames = _colored(predictor, Video(source).frames(), store.disparities(), form, shown)
    count = write_video(target, tqdm(frames, "colours", store.frames), video.rate, form.container)
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
    with written_whole(target.with_suffix(".json")) as path:
        path.write_text(json.dumps(description, indent=2) + "\n")
    store.remove()
    logger.info("%s: %d frames at %.1f a second", target, count, rate)
    return description


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

    def frames() -> Iterator[np.ndarray]:
        with tqdm(unit="frame", desc=video.name, total=max_frames) as progress:
            try:
                for number, frame in enumerate(video.frames()):
                    if number == max_frames:
                        return
                    picture = limit_side(frame, form.max_side)
                    yield shown.picture(picture, predictor(picture), form)
                    progress.update()
            except KeyboardInterrupt:  # the way to end it; what there is is a whole video
                logger.info("%s: stopped", video.name)

    return write_video(target, frames(), video.rate, form.container)


def _predictions(
    predictor: DepthPredictor, frames: Iterable[np.ndarray], batch_size: int
) -> Iterator[np.ndarray]:
    """Sigmoid disparities [b, h, w] of frames, in batches."""

    def batches() -> Iterator[np.ndarray]:
        batch = []
        for frame in frames:
            batch.append(predictor.network_input(frame))
            if len(batch) == batch_size:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)

    return predictor.network.stream(batches())


def _colored(
    predictor: DepthPredictor,
    frames: Iterable[np.ndarray],
    sigmoids: Iterable[np.ndarray],
    form: VideoFormat,
    shown: Range,
) -> Iterator[np.ndarray]:
    for frame, sigmoid in zip(frames, sigmoids):
        picture = limit_side(frame, form.max_side)
        yield shown.picture(picture, predictor.depth_map(sigmoid, picture.shape[:2]), form)


class Range:
    """The disparities of the darkest and the brightest colour: fixed, or following the frames."""

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        self.low, self.high = low, high
        self._fixed = low is not None

    def picture(self, picture: np.ndarray, depth_map: DepthMap, form: VideoFormat) -> np.ndarray:
        """A frame in colours, and beside its source if the form says so."""
        if not self._fixed:
            self._follow(*disparity_range(depth_map.disparity))
        if form.side_by_side:
            return side_by_side(picture, depth_map, form.colormap, (self.low, self.high))
        return colorize(depth_map.disparity, self.low, self.high, form.colormap)

    def _follow(self, low: float, high: float) -> None:
        if self.low is None:
            self.low, self.high = low, high
        self.low += FOLLOWING * (low - self.low)
        self.high += FOLLOWING * (high - self.high)


def write_video(target: Path, frames: Iterable[np.ndarray], rate: float, container: str) -> int:
    """Write frames, RGB uint8 [H, W, 3], as a video; returns how many there were.

    Odd sizes lose their last row or column: codecs take even ones.

    Raises:
        InputError: the codec is missing, or the folder cannot be written to.
    """
    count, writer = 0, None
    with _written_video(target) as temporary:
        try:
            for frame in frames:
                height, width = (side // 2 * 2 for side in frame.shape[:2])
                if writer is None:
                    codec = cv2.VideoWriter_fourcc(*CODECS[container])
                    writer = cv2.VideoWriter(str(temporary), codec, rate, (width, height))
                    if not writer.isOpened():
                        raise InputError(
                            f"{target}: cannot be written as {container} by this OpenCV (codec "
                            f"{CODECS[container]}); try --video_format "
                            + " or ".join(sorted(CODECS.keys() - {container}))
                        )
                writer.write(cv2.cvtColor(frame[:height, :width], cv2.COLOR_RGB2BGR))
                count += 1
        finally:
            if writer is not None:
                writer.release()
        _check_written(temporary, target, count)
    return count


@contextmanager
def _written_video(target: Path) -> Iterator[Path]:
    """A temporary path with the target's ending, by which OpenCV picks the container."""
    temporary = target.with_name(f".{target.stem}.writing{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(target)
    except OSError as error:
        raise InputError(
            f"{target}: cannot be written ({error}); choose another folder with --output"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _check_written(path: Path, target: Path, count: int) -> None:
    """OpenCV says nothing of a full disk: look whether all frames are there."""
    capture = cv2.VideoCapture(str(path))
    found = 0
    while capture.grab():
        found += 1
    capture.release()
    if found < count:
        raise InputError(
            f"{target}: only {found} of {count} frames could be written; make room on the disk"
        )
