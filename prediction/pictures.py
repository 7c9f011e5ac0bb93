"""The files that say what was predicted of a picture: colours, numbers, points in space."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

from datasets.camera import Camera
from datasets.depth_files import STATED_UNITS, UNIT
from prediction.depth_map import RELATIVE_INVERSE, DepthMap
from prediction.points import back_project, encode_glb, encode_ply
from prediction.visualise import colorize, disparity_range, side_by_side
from system.compression import compress
from system.errors import InputError
from system.files import json_text, written_whole

if TYPE_CHECKING:
    from options import DemoOptions

UNITS_PER_METRE = {n: round(1 / note.metres_per_step) for n, note in STATED_UNITS.items()}
FARTHEST = 2**16 - 1
PNG_START, UP = b"\x89PNG\r\n\x1a\n", 2  # of the file; a row filter's number
VERSION = 3  # of what is written and how it is described


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
        files["depth.png"] = encode_png(steps, description)
        if options.pred_metric_depth and not options.no_arrays:
            files["depth.npy"] = _npy(depth_map.depth)
    else:
        largest = float(disparity.max()) or 1.0
        description["disparity_picture"] = f"whole numbers of {largest / FARTHEST:.9g}"
        steps = np.rint(disparity * (FARTHEST / largest)).astype(np.uint16)
        files["disp.png"] = encode_png(steps, description)
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
    steps = depth * UNITS_PER_METRE[unit]
    np.rint(steps, out=steps)
    saturated = int(np.count_nonzero(steps > FARTHEST))
    np.clip(steps, 1, FARTHEST, out=steps)
    return steps.astype(np.uint16), saturated


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


def encode_png(steps: np.ndarray, description: Mapping[str, Any]) -> bytes:
    """A grey PNG of 16-bit whole numbers [H, W] that carries the description in its text chunks.

    Each row is what it adds to the one above, which suits depth, at the fastest level. Pillow tries
    all filters on all rows, which takes eight times as long for a tenth of the bytes, and more.
    """
    height, width = steps.shape
    rows = steps.astype(">u2").view(np.uint8)
    filtered = np.empty((height, 1 + 2 * width), np.uint8)
    filtered[:, 0] = UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    text = PngImagePlugin.PngInfo()
    for key, value in description.items():
        text.add_text(key, str(value))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)),
        *(chunk[:2] for chunk in text.chunks),
        (b"IDAT", compress(filtered)),
        (b"IEND", b""),
    ]
    return PNG_START + b"".join(map(_chunk, *zip(*chunks)))


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)
