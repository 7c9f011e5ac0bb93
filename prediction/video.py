"""Depth of videos and cameras, as videos in colours that do not flicker.

A video is done in two passes, so that one range of colours fits all of it: the disparities are
predicted into a folder beside the result, from where an interrupted run goes on, and are then
coloured. Memory does not grow with the length. A camera is coloured as it goes, over a range
that follows slowly.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from errors import InputError
from files import written_whole
from prediction.depth_map import DepthMap
from prediction.predictor import DepthPredictor
from prediction.reading import limit_side
from prediction.visualise import COLORMAP, colorize, disparity_range, side_by_side

logger = logging.getLogger(__name__)

# Four letters by which OpenCV knows a codec, per container.
CODECS = {"mp4": "mp4v", "webm": "VP80"}
FOLLOWING = 0.05  # share of a new frame in the range that is shown of a camera
CHUNK = 50  # frames that are kept, or lost, together
ASSUMED_RATE = 25.0
LARGEST_RATE = 1000.0


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
            why = (
                "there is no such camera, or another program has it"
                if isinstance(source, int)
                else "it is damaged or no video, or OpenCV has no decoder for it; convert it, as "
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


class Store:
    """Predicted disparities of a video on disk, in whole chunks; made for one source and model.

    What the network says, in float16, :data:`CHUNK` frames to a file.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        self.folder = folder
        text = json.dumps(key, sort_keys=True)
        note = folder / "key.json"
        try:
            if not (note.is_file() and note.read_text() == text):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                note.write_text(text)
        except OSError as error:
            raise InputError(
                f"{folder.parent}: cannot be written to ({error}); choose another with --output"
            ) from error
        self._pending: list[np.ndarray] = []
        self.frames = sum(len(self._read(path)) for path in self._chunks())

    def add(self, sigmoid: np.ndarray) -> None:
        """Keep the next frame's disparity [h, w]."""
        self._pending.append(sigmoid.astype(np.float16))
        self.frames += 1
        if len(self._pending) == CHUNK:
            self.finish()

    def finish(self) -> None:
        """Write what is not yet a whole chunk."""
        if not self._pending:
            return
        number = len(self._chunks())
        try:
            with written_whole(self.folder / f"{number:06d}.npz") as path, path.open("wb") as file:
                np.savez_compressed(file, np.stack(self._pending))
        except OSError as error:
            raise InputError(
                f"{self.folder}: cannot be written to ({error}); make room on the disk; the same "
                "command goes on from there"
            ) from error
        self._pending = []

    def disparities(self) -> Iterator[np.ndarray]:
        """Every frame's disparity [h, w] float32, in order."""
        for path in self._chunks():
            for values in self._read(path):
                yield values.astype(np.float32)

    def range(self, predictor: DepthPredictor) -> tuple[float, float]:
        """Range of disparities for all frames: from the lowest to nearly the highest."""
        ranges = []
        for sigmoid in self.disparities():
            small = predictor.depth_map(sigmoid, sigmoid.shape)
            ranges.append(disparity_range(small.disparity))
        lows, highs = zip(*ranges)
        return min(lows), float(np.percentile(highs, 95))

    def remove(self) -> None:
        """Delete it all."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _chunks(self) -> list[Path]:
        return sorted(self.folder.glob("*.npz"))

    @staticmethod
    def _read(path: Path) -> np.ndarray:
        with np.load(path, allow_pickle=False) as file:
            return file["arr_0"]
