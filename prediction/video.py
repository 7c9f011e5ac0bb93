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
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from datasets.footage.video import Video
from prediction.depth_map import DepthMap, limit_side
from prediction.predictor import DepthPredictor
from prediction.visualise import COLORMAP, colorize, disparity_range, side_by_side
from system.errors import InputError
from system.files import write_json, written_whole

logger = logging.getLogger(__name__)

# Four letters by which OpenCV knows a codec, per container.
CODECS = {"mp4": "mp4v", "webm": "VP80"}
CHUNK = 50  # frames whose disparities are kept, or lost, together
FOLLOWING = 0.05  # share of a new frame in the range that is shown of a camera


@dataclass(frozen=True)
class VideoFormat:
    """How the video of a depth is written."""

    container: str = "mp4"  # or webm, which browsers play
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
) -> None:
    """Write the depth of the video ``source`` as the video ``target``, and its metadata beside it.

    Args:
        predictor: the model.
        source: any video that OpenCV reads.
        target: file to write, with the ending of ``form.container``.
        form: container and colours.
        batch_size: frames predicted at once.
        about: the model and what ran it; an interrupted run goes on only with the same.

    Raises:
        InputError: the video cannot be read, or ``target`` not written; predictions stay.
    """
    parts = target.with_name(f".{target.name}.parts")
    store = DisparityStore(parts, {**about, "source": str(source)})
    video = Video(source)
    started = time.monotonic()
    done = store.frames
    if done:
        logger.info("%s: going on after %d frames", source, done)
    images = map(predictor.network_input, video.frames(skip=done))
    batches = iter(lambda: list(islice(images, batch_size)), [])
    progress = tqdm(total=video.count or None, initial=done, unit="frame", desc=source.name)
    with progress:
        for disparities in predictor.network.stream(map(np.stack, batches)):
            for disparity in disparities:
                store.add(disparity)
                progress.update()
        store.finish()
    rate = (store.frames - done) / max(time.monotonic() - started, 1e-9)

    shown = Range(*store.range(predictor)) if form.range == "whole" else Range()

    def colored() -> Iterator[np.ndarray]:
        pairs = zip(Video(source).frames(), store.disparities())
        for frame, sigmoid in tqdm(pairs, "colours", store.frames):
            picture = limit_side(frame, form.max_side)
            yield shown.picture(picture, predictor.depth_map(sigmoid, picture.shape[:2]), form)

    count = write_video(target, colored(), video.rate, form.container)
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
    shutil.rmtree(parts, ignore_errors=True)
    logger.info("%s: %d frames at %.1f a second", target, count, rate)


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
                for frame in islice(video.frames(), max_frames):
                    picture = limit_side(frame, form.max_side)
                    yield shown.picture(picture, predictor(picture), form)
                    progress.update()
            except KeyboardInterrupt:  # the way to end it; what there is is a whole video
                logger.info("%s: stopped", video.name)

    return write_video(target, frames(), video.rate, form.container)


class Range:
    """The disparities of the darkest and the brightest colour: fixed, or following the frames."""

    def __init__(self, low: float | None = None, high: float | None = None) -> None:
        self.low, self.high = low, high
        self._fixed = low is not None

    def picture(self, picture: np.ndarray, depth_map: DepthMap, form: VideoFormat) -> np.ndarray:
        """A frame in colours, and beside its source if the form says so."""
        if not self._fixed:
            low, high = disparity_range(depth_map.disparity)
            if self.low is None:
                self.low, self.high = low, high
            self.low += FOLLOWING * (low - self.low)
            self.high += FOLLOWING * (high - self.high)
        if form.side_by_side:
            return side_by_side(picture, depth_map, form.colormap, (self.low, self.high))
        return colorize(depth_map.disparity, self.low, self.high, form.colormap)


def write_video(target: Path, frames: Iterable[np.ndarray], rate: float, container: str) -> int:
    """Write frames, RGB uint8 [H, W, 3], as a video; returns how many there were.

    Odd sizes lose their last row or column: codecs take even ones.

    Raises:
        InputError: the codec is missing, or the folder cannot be written to.
    """
    # OpenCV picks the container by the ending.
    temporary = target.with_name(f".{target.stem}.writing{target.suffix}")
    codec, count, writer = CODECS[container], 0, cv2.VideoWriter()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for count, frame in enumerate(frames, 1):
            height, width = (side // 2 * 2 for side in frame.shape[:2])
            how = (cv2.VideoWriter_fourcc(*codec), rate, (width, height))
            if count == 1 and not writer.open(str(temporary), *how):
                raise InputError(
                    f"{target}: cannot be written as {container} by this OpenCV (codec {codec}); "
                    f"try --video_format {' or '.join(sorted(CODECS.keys() - {container}))}"
                )
            writer.write(cv2.cvtColor(frame[:height, :width], cv2.COLOR_RGB2BGR))
        writer.release()
        capture = cv2.VideoCapture(str(temporary))
        found = sum(iter(capture.grab, False))
        capture.release()
        if found < count:  # OpenCV says nothing of a full disk
            raise InputError(
                f"{target}: only {found} of {count} frames could be written; make room on the disk"
            )
        temporary.replace(target)
    except OSError as error:
        raise InputError(
            f"{target}: cannot be written ({error}); choose another folder with --output"
        ) from error
    finally:
        writer.release()
        temporary.unlink(missing_ok=True)
    return count


class DisparityStore:
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
        small = (predictor.depth_map(each, each.shape) for each in self.disparities())
        lows, highs = zip(*(disparity_range(depth_map.disparity) for depth_map in small))
        return min(lows), float(np.percentile(highs, 95))

    def _chunks(self) -> list[Path]:
        return sorted(self.folder.glob("*.npz"))

    @staticmethod
    def _read(path: Path) -> np.ndarray:
        with np.load(path, allow_pickle=False) as file:
            return file["arr_0"]
