"""What is written of a picture's depth: colours, numbers, points in space, and what they mean."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from datasets.camera_file import Camera
from errors import InputError
from files import written_whole
from prediction.depth_map import RELATIVE_INVERSE, DepthMap
from prediction.points import back_project, encode_glb, encode_ply
from prediction.visualise import COLORMAP, colorize_disparity, disparity_range, side_by_side

UNITS_PER_METRE = {"millimetres": 1000, "kitti": 256}
UNIT_WORDS = {"millimetres": "1/1000 m", "kitti": "1/256 m"}
FARTHEST = 2**16 - 1
EXTRAS = ("side", "cloud", "mesh")
VERSION = 2  # of what is written and how it is described


@dataclass(frozen=True)
class OutputFormat:
    """How a prediction is written.

    Attributes:
        depth_unit: of the 16-bit depth picture, a key of ``UNITS_PER_METRE``.
        metric_array: whether the depth in metres is also written as an array.
        colormap: one of ``visualise.COLORMAPS``.
        extras: what is written besides, of ``EXTRAS``.
    """

    depth_unit: str = "millimetres"
    metric_array: bool = False
    colormap: str = COLORMAP
    extras: tuple[str, ...] = ()


def encode_depth(depth: np.ndarray, unit: str) -> tuple[np.ndarray, int]:
    """Depth in metres as 16-bit whole numbers of a unit, and how many pixels were too far for it.

    Too far a depth becomes 65535. 0, which means "no value" to readers of such pictures, never
    comes out: too near a depth becomes 1.
    """
    steps = np.rint(depth * UNITS_PER_METRE[unit])
    return np.clip(steps, 1, FARTHEST).astype(np.uint16), int((steps > FARTHEST).sum())


def describe(depth_map: DepthMap, about: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a prediction in its metadata.

    Args:
        depth_map: the prediction.
        about: the model and what ran it.
    """
    height, width = depth_map.disparity.shape
    description = {
        **about,
        "version": VERSION,
        "width": width,
        "height": height,
        "unit": depth_map.unit,
        "disparity": "relative inverse depth, up to scale and shift; near is large"
        if depth_map.unit == RELATIVE_INVERSE
        else "inverse depth in model units; near is large",
    }
    if depth_map.metric:
        description["inverse_metres"] = (
            f"{depth_map.inverse_depth.scale:.9g} * disparity + {depth_map.inverse_depth.shift:.9g}"
        )
    return description


def write_prediction(
    folder: Path,
    stem: str,
    picture: np.ndarray,
    depth_map: DepthMap,
    camera: Camera,
    output: OutputFormat,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Write what was predicted of one picture into ``folder``.

    ``{stem}_disp.jpeg`` shows the disparity, ``{stem}_disp.npy`` holds it, ``{stem}_disp.json``
    says what it is. Depth in metres is in ``{stem}_depth.png`` (16 bit) and, if asked for, in
    ``{stem}_depth.npy``; relative depth has its disparity in ``{stem}_disp.png`` (16 bit).
    ``extras`` are ``{stem}_side.jpeg``, ``{stem}_cloud.ply`` and ``{stem}_mesh.glb``.

    Args:
        folder: is made when it does not exist.
        stem: name of the picture without its ending.
        picture: uint8 RGB [H, W, 3].
        depth_map: of it.
        camera: that it was taken with.
        output: what to write, in which unit and colours.
        about: the model and what ran it, for the metadata.

    Returns:
        The content of ``{stem}_disp.json``.

    Raises:
        InputError: ``folder`` cannot be written to.
    """
    disparity, colormap = depth_map.disparity, output.colormap
    description = describe(depth_map, about)
    low, high = disparity_range(disparity)
    description["colours"] = f"{colormap}, disparity {low:.6g} dark to {high:.6g} bright (near)"
    description["K"] = np.round(camera.K, 4).tolist()
    description["camera"] = camera.source
    files = {
        f"{stem}_disp.npy": _npy(disparity),
        f"{stem}_disp.jpeg": _jpeg(colorize_disparity(disparity, colormap)),
    }
    if depth_map.metric:
        steps, saturated = encode_depth(depth_map.depth, output.depth_unit)
        description["unit"] = output.depth_unit
        if depth_map.inverse_depth.shift == 0:
            description["metres_per_model_unit"] = 1 / depth_map.inverse_depth.scale
        description["depth_picture"] = (
            f"whole numbers of {UNIT_WORDS[output.depth_unit]}; "
            f"{FARTHEST} means {FARTHEST / UNITS_PER_METRE[output.depth_unit]:g} m or farther"
        )
        description["saturated_pixels"] = saturated
        files[f"{stem}_depth.png"] = _png(steps, description)
        if output.metric_array:
            files[f"{stem}_depth.npy"] = _npy(depth_map.depth)
    else:
        largest = float(disparity.max())
        description["disparity_picture"] = f"whole numbers of {largest / FARTHEST:.9g}"
        steps = np.rint(disparity * (FARTHEST / largest)).astype(np.uint16)
        files[f"{stem}_disp.png"] = _png(steps, description)
    if "side" in output.extras:
        files[f"{stem}_side.jpeg"] = _jpeg(side_by_side(picture, depth_map, colormap))
    if {"cloud", "mesh"} & set(output.extras):
        points = back_project(depth_map.depth, camera.K)
        if "cloud" in output.extras:
            unit = "metres" if depth_map.metric else "relative"
            note = f"{unit}; x right, y down, z forward; camera {camera.source}"
            files[f"{stem}_cloud.ply"] = encode_ply(points, picture, note)
        if "mesh" in output.extras:
            files[f"{stem}_mesh.glb"] = encode_glb(points, picture)
    files[f"{stem}_disp.json"] = (json.dumps(description, indent=2) + "\n").encode()
    write_files(folder, files)
    return description


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


def _jpeg(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _png(picture: np.ndarray, description: Mapping[str, Any]) -> bytes:
    """A PNG that carries the description in its text chunks."""
    text = PngImagePlugin.PngInfo()
    for key, value in description.items():
        text.add_text(key, str(value))
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()
