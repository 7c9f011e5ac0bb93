"""Files of pictures and videos to files of their depth: colours, numbers, points in space."""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin
from tqdm import tqdm

from datasets.camera import Camera
from datasets.depth_files import NOTE, STATED_UNITS, UNIT
from datasets.footage.video import VIDEOS
from datasets.pictures import read_picture
from prediction.depth_map import RELATIVE_INVERSE, DepthMap, limit_side, squeezed
from prediction.outputs import ABOUT, SOURCE, Place, free_place, places_of
from prediction.points import back_project, camera_of_picture, encode_glb, encode_ply
from prediction.predictor import DepthPredictor
from prediction.video import VideoFormat, predict_video
from prediction.visualise import colorize, disparity_range, side_by_side
from system.errors import InputError
from system.files import folder_written_whole, json_text, written_whole

if TYPE_CHECKING:
    from options import DemoOptions

logger = logging.getLogger(__name__)

UNITS_PER_METRE = {n: round(1 / note.metres_per_step) for n, note in STATED_UNITS.items()}
FARTHEST = 2**16 - 1
VERSION = 3  # of what is written and how it is described


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
    failures, shapes = [], set()
    places = places_of(inputs, options.output)
    for place in tqdm(places, unit="file", disable=len(places) == 1):
        described = {**about, SOURCE: place.seen_source}
        try:
            if place.source.suffix.lower() in VIDEOS:
                _predict_video(predictor, place, options, described)
            else:
                _predict_picture(predictor, place, options, described, shapes)
        except InputError as error:
            failures.append(str(error))
    return failures


def _predict_picture(
    predictor: DepthPredictor,
    place: Place,
    options: DemoOptions,
    about: Mapping[str, Any],
    shapes: set[str],
) -> None:
    """Predict a picture; ``shapes`` keeps what was said of shapes, to say it once of each."""
    picture = read_picture(place.source)
    words = None if predictor.keep_aspect else squeezed(predictor.info, picture.shape[1::-1])
    if words is not None and words not in shapes:
        logger.warning("%s: %s", place.source, words)
        shapes.add(words)
    given = (options.camera, options.K, options.fov)
    camera = camera_of_picture(picture.shape[1::-1], *given, place.source)
    if predictor.side is None:  # otherwise the limit is the network's
        picture = limit_side(picture, options.max_side)
    camera = camera.resized(picture.shape[1::-1])
    files = depth_files(picture, predictor(picture), camera, options, about)
    free = free_place(place, files)
    # First what says that the others are of this picture.
    ends = sorted(files, key=ABOUT.__ne__)
    write_files(free.folder, {free.path(end).name: files[end] for end in ends})


def _predict_video(
    predictor: DepthPredictor, place: Place, options: DemoOptions, about: Mapping[str, Any]
) -> None:
    form = video_format(predictor, options)
    end, depth = f"disp.{form.container}", ["depth"] if options.video_depth else []
    free = free_place(place, [ABOUT, end, *depth])
    how = (free.path(end), form, options.batch_size, about)
    if not options.video_depth:
        predict_video(predictor, place.source, *how)
        return
    with folder_written_whole(free.path("depth"), replace=True) as folder:
        predict_video(predictor, place.source, *how, DepthFrames(folder, options.depth_unit).add)


class DepthFrames:
    """Writes the depth of one frame after the other as a 16-bit PNG into a folder."""

    def __init__(self, folder: Path, depth_unit: str) -> None:
        self.folder, self.unit, self.count = folder, depth_unit, 0

    def add(self, depth_map: DepthMap, largest: float) -> None:
        """Write the next one: metres in the unit, or else disparity in steps of the ``largest``."""
        if depth_map.metric:
            steps, _ = encode_depth(depth_map.depth, self.unit)
            said = {UNIT: self.unit, "depth_picture": f"1/{UNITS_PER_METRE[self.unit]} m"}
        else:
            step = (largest or 1.0) / FARTHEST
            steps = np.clip(np.rint(depth_map.disparity / step), 0, FARTHEST).astype(np.uint16)
            said = {UNIT: depth_map.unit, "disparity_picture": f"whole numbers of {step:.9g}"}
        path = self.folder / f"{self.count:06d}.png"
        try:
            if depth_map.metric and self.count == 0:
                step = STATED_UNITS[self.unit].metres_per_step
                note = json_text({"kind": "depth", "metres_per_step": step})
                (self.folder / NOTE).write_text(note, encoding="utf-8")
            path.write_bytes(_png(steps, said))
        except OSError as error:
            raise InputError(
                f"{path}: cannot be written ({error.strerror}); make room on the disk"
            ) from error
        self.count += 1


def video_format(predictor: DepthPredictor, options: DemoOptions) -> VideoFormat:
    """How the options want videos to be written."""
    return VideoFormat(
        options.video_format,
        options.colormap,
        "side" in (options.extras or ()),
        options.video_range,
        options.max_side if predictor.side is None else None,  # otherwise it is the network's
    )


def depth_files(
    picture: np.ndarray,
    depth_map: DepthMap,
    camera: Camera,
    options: DemoOptions,
    about: Mapping[str, Any],
) -> dict[str, bytes]:
    """The files that say what was predicted of a picture, by the endings of their names.

    ``disp.jpeg`` shows the disparity, ``disp.npy`` holds it unless arrays are switched off, and
    ``disp.json`` says what it is. Depth in metres is in ``depth.png`` (16 bit) and, if asked for,
    in ``depth.npy``; relative depth has its disparity in ``disp.png`` (16 bit). Extras are
    ``side.jpeg``, ``cloud.ply``, ``mesh.glb``.

    Args:
        picture: uint8 RGB [H, W, 3].
        depth_map: of it.
        camera: that it was taken with.
        options: what is wanted, in which unit and colours.
        about: the model and what ran it, for the metadata.
    """
    disparity, colormap, extras = depth_map.disparity, options.colormap, options.extras or ()
    fit = depth_map.inverse_depth
    height, width = disparity.shape
    low, high = disparity_range(disparity)
    description = {
        **about,
        "version": VERSION,
        "width": width,
        "height": height,
        UNIT: options.depth_unit if depth_map.metric else depth_map.unit,
        "disparity": "relative inverse depth, up to scale and shift; near is large"
        if depth_map.unit == RELATIVE_INVERSE
        else "inverse depth in model units; near is large",
    }
    if depth_map.metric:
        description["inverse_metres"] = f"{fit.scale:.9g} * disparity + {fit.shift:.9g}"
    description["colours"] = f"{colormap}, disparity {low:.6g} dark to {high:.6g} bright (near)"
    description["K"] = np.round(camera.K, 4).tolist()
    description["camera"] = camera.source
    files = {} if options.no_arrays else {"disp.npy": _npy(disparity)}
    files["disp.jpeg"] = _jpeg(colorize(disparity, low, high, colormap))
    if depth_map.metric:
        per_metre = UNITS_PER_METRE[options.depth_unit]
        steps, saturated = encode_depth(depth_map.depth, options.depth_unit)
        if fit.shift == 0:
            description["metres_per_model_unit"] = 1 / fit.scale
        description["depth_picture"] = (
            f"whole numbers of 1/{per_metre} m; "
            f"{FARTHEST} means {FARTHEST / per_metre:g} m or farther"
        )
        description["metres_per_step"] = STATED_UNITS[options.depth_unit].metres_per_step
        description["saturated_pixels"] = saturated
        files["depth.png"] = _png(steps, description)
        if options.pred_metric_depth and not options.no_arrays:
            files["depth.npy"] = _npy(depth_map.depth)
    else:
        largest = float(disparity.max()) or 1.0
        description["disparity_picture"] = f"whole numbers of {largest / FARTHEST:.9g}"
        steps = np.rint(disparity * (FARTHEST / largest)).astype(np.uint16)
        files["disp.png"] = _png(steps, description)
    if "side" in extras:
        files["side.jpeg"] = _jpeg(side_by_side(picture, depth_map, colormap))
    if {"cloud", "mesh"} & set(extras):
        points = back_project(depth_map.depth, camera.K)
        if "cloud" in extras:
            unit = "metres" if depth_map.metric else "relative"
            note = f"{unit}; x right, y down, z forward; camera {camera.source}"
            files["cloud.ply"] = encode_ply(points, picture, note)
        if "mesh" in extras:
            files["mesh.glb"] = encode_glb(points, picture)
    files["disp.json"] = json_text(description).encode()
    return files


def unit_in_words(unit: str) -> str:
    """What 1 means in a 16-bit picture of depth, for people."""
    return f"16-bit depth in steps of 1/{UNITS_PER_METRE[unit]} m, {unit}"


def encode_depth(depth: np.ndarray, unit: str) -> tuple[np.ndarray, int]:
    """Depth in metres as 16-bit whole numbers of a unit, and how many pixels were too far for it.

    Too far a depth becomes 65535. 0, which means "no value" to readers of such pictures, never
    comes out: too near a depth becomes 1.
    """
    steps = np.rint(depth * UNITS_PER_METRE[unit])
    return np.clip(steps, 1, FARTHEST).astype(np.uint16), int((steps > FARTHEST).sum())


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, by name, into a folder that is made when it does not exist.

    Raises:
        InputError: it cannot be written to, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            with written_whole(folder / name) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written to ({error}); choose another folder with --output"
        ) from error


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _encoded(picture: np.ndarray, kind: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **settings)
    return buffer.getvalue()


def _jpeg(picture: np.ndarray) -> bytes:
    return _encoded(picture, "JPEG", quality=95)


def _png(picture: np.ndarray, description: Mapping[str, Any]) -> bytes:
    """A PNG that carries the description in its text chunks."""
    text = PngImagePlugin.PngInfo()
    for key, value in description.items():
        text.add_text(key, str(value))
    return _encoded(picture, "PNG", pnginfo=text)
