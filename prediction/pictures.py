"""Depth of single pictures: find and read them, predict at their own size, write the results."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

from errors import InputError
from files import written_whole
from layers import disp_to_depth
from networks.model_info import ModelInfo
from prediction.predictor import Predictor
from prediction.visualise import colorize_disparity

UNITS_PER_METRE = {"millimetres": 1000, "kitti": 256}
UNIT_WORDS = {"millimetres": "1/1000 m", "kitti": "1/256 m"}
FARTHEST = 2**16 - 1
OUTPUT_ENDINGS = ("_disp.jpeg", "_depth.png")


@dataclass(frozen=True)
class OutputFormat:
    """How a prediction is written.

    Attributes:
        depth_unit: of the 16-bit depth picture, a key of ``UNITS_PER_METRE``.
        metric_array: whether the depth in metres is also written as an array.
    """

    depth_unit: str = "millimetres"
    metric_array: bool = False


def find_pictures(path: Path, extension: str) -> list[Path]:
    """The pictures to predict: ``path`` itself, or those of a folder in the order of their names.

    In a folder only files with ``extension`` (in any case) count, and no output of an earlier run.

    Raises:
        InputError: ``path`` does not exist, or is a folder without such a picture, or with two
            that differ only in their endings, so that one's outputs would replace the other's.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"--image_path {path}: there is no such file or folder; check the path")
    suffix = "." + extension.lower().lstrip(".")
    found = sorted(
        file
        for file in path.iterdir()
        if file.suffix.lower() == suffix and not file.name.endswith(OUTPUT_ENDINGS)
    )
    if not found:
        raise InputError(
            f"--image_path {path}: has no picture that ends in {suffix}; "
            "name another ending with --ext, as in --ext png"
        )
    by_stem: dict[str, Path] = {}
    for file in found:
        other = by_stem.setdefault(file.stem, file)
        if other != file:
            raise InputError(
                f"{other} and {file.name}: their predictions would have the same name; rename one"
            )
    return found


def read_picture(path: Path) -> np.ndarray:
    """Read a picture, turned as its EXIF orientation says, as uint8 RGB [H, W, 3].

    Raises:
        InputError: the file cannot be read as a picture.
    """
    try:
        with Image.open(path) as file:
            return np.array(ImageOps.exif_transpose(file).convert("RGB"))
    # Pillow raises SyntaxError and ValueError, too, for some kinds of damage.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: cannot be read as a picture ({error}); replace or remove it"
        ) from error


def predict_disparity(predictor: Predictor, picture: np.ndarray) -> np.ndarray:
    """Scaled disparity, 1 / depth in model units, of a picture of any size.

    Args:
        predictor: the model.
        picture: uint8 RGB [H, W, 3].

    Returns:
        float32 [H, W], resized bilinearly from the model's size.
    """
    info = predictor.info
    height, width = picture.shape[:2]
    network_input = Image.fromarray(picture).resize((info.width, info.height), Image.LANCZOS)
    sigmoid = predictor.disparity(np.asarray(network_input)[None])[0]
    sigmoid = cv2.resize(sigmoid, (width, height), interpolation=cv2.INTER_LINEAR)
    scaled_disparity, _ = disp_to_depth(sigmoid, info.min_depth, info.max_depth)
    return scaled_disparity.astype(np.float32)


def metric_depth(disparity: np.ndarray, info: ModelInfo) -> np.ndarray:
    """Depth in metres, of the shape of a metric model's scaled disparity."""
    return info.metres_per_unit / disparity


def encode_depth(depth: np.ndarray, unit: str) -> tuple[np.ndarray, int]:
    """Depth in metres as 16-bit whole numbers of a unit, and how many pixels were too far for it.

    Too far a depth becomes 65535. 0, which means "no value" to readers of such pictures, never
    comes out: too near a depth becomes 1.
    """
    steps = np.rint(depth * UNITS_PER_METRE[unit])
    return np.clip(steps, 1, FARTHEST).astype(np.uint16), int((steps > FARTHEST).sum())


def write_prediction(
    folder: Path, stem: str, disparity: np.ndarray, info: ModelInfo, output: OutputFormat
) -> dict[str, Any]:
    """Write what was predicted of one picture into ``folder``.

    ``{stem}_disp.jpeg`` shows the disparity, ``{stem}_disp.npy`` holds it, ``{stem}_disp.json``
    says what it is. A metric model's depth is in ``{stem}_depth.png`` (16 bit) and, if asked
    for, in ``{stem}_depth.npy`` (metres).

    Args:
        folder: is made when it does not exist.
        stem: name of the picture without its ending.
        disparity: scaled disparity [H, W].
        info: of the model that predicted it.
        output: unit of the depth picture, and whether to write the array of metres.

    Returns:
        The content of ``{stem}_disp.json``.

    Raises:
        InputError: ``folder`` cannot be written to.
    """
    description = {
        "model": info.name,
        "width": disparity.shape[1],
        "height": disparity.shape[0],
        "unit": "relative",
        "disparity": "1 / depth, depth in model units",
    }
    files = {
        f"{stem}_disp.npy": _npy(disparity),
        f"{stem}_disp.jpeg": _jpeg(colorize_disparity(disparity)),
    }
    if info.metric:
        depth = metric_depth(disparity, info)
        steps, saturated = encode_depth(depth, output.depth_unit)
        description["unit"] = output.depth_unit
        description["metres_per_model_unit"] = info.metres_per_unit
        description["depth_picture"] = (
            f"whole numbers of {UNIT_WORDS[output.depth_unit]}; "
            f"{FARTHEST} means {FARTHEST / UNITS_PER_METRE[output.depth_unit]:g} m or farther"
        )
        description["saturated_pixels"] = saturated
        files[f"{stem}_depth.png"] = _png(steps, description)
        if output.metric_array:
            files[f"{stem}_depth.npy"] = _npy(depth.astype(np.float32))
    files[f"{stem}_disp.json"] = (json.dumps(description, indent=2) + "\n").encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            with written_whole(folder / name) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written to ({error}); choose another folder with --output"
        ) from error
    return description


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
