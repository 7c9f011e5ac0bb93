"""Files of pictures and videos to files of their depth, at the rate of the network.

Pictures are read, resized, coloured and encoded by some threads beside the network. Their files are
written in order, by the thread that waits for them: what is written, said and refused is what it
would be one after the other.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

from datasets.footage import VIDEOS
from datasets.pictures import picture_size, read_picture
from prediction.depth_map import limit_side, squeezed
from prediction.outputs import ABOUT, SOURCE, Place, free_place, places_of
from prediction.pictures import depth_files, write_files
from prediction.points import camera_of_picture
from prediction.predictor import DepthPredictor
from system.errors import InputError
from system.memory import keep_freed_memory

if TYPE_CHECKING:
    from options import DemoOptions

logger = logging.getLogger(__name__)

MOST_WORKERS = 8  # threads beside a network that is faster than one of them
MOST_PIXELS = 16_000_000  # of the pictures in work together, where they are several


@dataclass(frozen=True)
class Predicted:
    """What there is to write of a picture, and to say of its shape.

    Attributes:
        files: their contents, by the endings of their names.
        squeezed: see :func:`prediction.depth_map.squeezed`.
    """

    files: Mapping[str, bytes]
    squeezed: str | None


# A place and what gives, or waits for, the prediction of its picture; None for a video.
InOrder = Iterator[tuple[Place, Optional[Callable[[], Predicted]]]]


def predict_files(
    predictor: DepthPredictor, inputs: Sequence[Path], options: DemoOptions
) -> list[str]:
    """Predict pictures and videos, and write their depth; returns what could not be done and why.

    Args:
        predictor: the model.
        inputs: files; those with an ending of :data:`VIDEOS` are videos.
        options: where to, what, in which unit and colours, and the camera.
    """
    about = {
        "model": predictor.info.name,
        "engine": predictor.network.engine.name,
        "precision": options.precision,
    }
    if options.calibration is not None:
        about["calibration"] = str(options.calibration)
    places = places_of(inputs, options.output)
    if len(places) == 1:  # no threads, and nothing to load for them
        place = places[0]
        work = None if is_video(place) else lambda: predicted(predictor, place, options, about)
        if work is None:
            keep_freed_memory(any_size=False)
        return _finish(predictor, iter([(place, work)]), options, about)
    keep_freed_memory(any_size=False)
    from tqdm import tqdm  # noqa: PLC0415

    with shared_by_threads(predictor) as shared:

        def work_at(place: Place) -> Predicted:
            return predicted(shared, place, options, about)

        in_order = tqdm(ahead(places, work_at), total=len(places), unit="file")
        return _finish(predictor, in_order, options, about)


def _finish(
    predictor: DepthPredictor, in_order: InOrder, options: DemoOptions, about: Mapping[str, Any]
) -> list[str]:
    """Write what was predicted, and predict the videos; returns what could not be done and why."""
    failures, said = [], set()
    for place, get in in_order:
        try:
            if get is None:
                from prediction.video_outputs import predict_video_file  # noqa: PLC0415 - PyAV

                described = {**about, SOURCE: place.seen_source}
                predict_video_file(predictor, place, options, described)
                continue
            done = get()
            if done.squeezed not in {None, *said}:
                logger.warning("%s: %s", place.source, done.squeezed)
                said.add(done.squeezed)
            free = free_place(place, done.files)
            # First what says that the others are of this picture.
            ends = sorted(done.files, key=ABOUT.__ne__)
            write_files(free.folder, {free.path(end).name: done.files[end] for end in ends})
        except InputError as error:
            failures.append(str(error))
    return failures


def predicted(
    predictor: DepthPredictor, place: Place, options: DemoOptions, about: Mapping[str, Any]
) -> Predicted:
    """Read and predict the picture of a place.

    Raises:
        InputError: it cannot be read, or its camera is not known as the options say.
    """
    picture = read_picture(place.source)
    words = None if predictor.keep_aspect else squeezed(predictor.info, picture.shape[1::-1])
    given = (options.camera, options.K, options.fov)
    camera = camera_of_picture(picture.shape[1::-1], *given, place.source)
    if predictor.side is None:  # otherwise the limit is the network's
        picture = limit_side(picture, options.max_side)
    camera = camera.resized(picture.shape[1::-1])
    described = {**about, SOURCE: place.seen_source}
    return Predicted(depth_files(picture, predictor(picture), camera, options, described), words)


def is_video(place: Place) -> bool:
    """Whether what is to be predicted is called like a video."""
    return place.source.suffix.lower() in VIDEOS


@contextmanager
def shared_by_threads(predictor: DepthPredictor) -> Iterator[DepthPredictor]:
    """A predictor that several threads may ask.

    Where its engine does one thing at a time, one thread asks it for all of them: some engines keep
    threads of their own for each one that asks.
    """
    predictor = replace(predictor, network=predictor.network.of_many())
    engine = predictor.network.engine
    if engine.at_once > 1:
        yield predictor
        return
    with ThreadPoolExecutor(1) as thread:
        shared = replace(
            engine, disparity=lambda images: thread.submit(engine.disparity, images).result()
        )
        yield replace(predictor, network=replace(predictor.network, engine=shared))


def ahead(places: Sequence[Place], work_at: Callable[[Place], Predicted]) -> InOrder:
    """Places in their order, with work that threads are at ahead of whoever takes them.

    However many there are, a few pictures are in memory: of :data:`MOST_PIXELS`, or a single one.
    """
    workers = min(MOST_WORKERS, 1 + (os.cpu_count() or 1))
    waiting: deque = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for place in places:
            pixels = 0 if is_video(place) else _pixels(place.source)
            while waiting and (
                is_video(place)
                or len(waiting) > workers
                or pixels + sum(each for _, _, each in waiting) > MOST_PIXELS
            ):
                yield _first(waiting)
            if is_video(place):
                yield place, None
            else:
                waiting.append((place, pool.submit(work_at, place), pixels))
        while waiting:
            yield _first(waiting)
    finally:
        pool.shutdown(cancel_futures=True)


def _first(waiting: deque) -> tuple[Place, Callable[[], Predicted]]:
    place, future, _ = waiting.popleft()
    return place, future.result


def _pixels(source: Path) -> int:
    """How many pixels a picture has; 0 where it cannot be read, which reading it says."""
    try:
        width, height = picture_size(source)
    except InputError:
        return 0
    return width * height
