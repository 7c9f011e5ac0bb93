"""The one reader of depth: PNG, NPY, NPZ and EXR, for training, measuring and aligning.

0, negative, and what is not finite is unknown. A sparse ``.npz`` has ``index``, flat pixel numbers,
``depth`` at these, and ``shape``; a dense one has ``depth``, or one array of any name.
"""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# OpenCV reads EXR only where it is told to, before it is loaded.
os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")

import cv2
import numpy as np
from PIL import Image

from datasets.pictures import MOST_BYTES, MOST_PIXELS, PNG_END, PNG_SIZE
from system.errors import InputError
from system.files import check_regular, read_bytes

KINDS = ("depth", "inverse_depth")
NOTE = "depth.json"  # what a data set says of its depth
# Names that programs give the channel of depth, its layer left out; grey pictures have R, G and B.
DEPTH_CHANNELS = ("Z", "Y", "V", "R")
# What NumPy and zipfile raise about damaged files, and Pillow; MemoryError of a huge false shape.
DAMAGE = (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error, TypeError)
DAMAGE += (RuntimeError, SyntaxError, tokenize.TokenError, MemoryError, OverflowError)


@dataclass(frozen=True)
class DepthNote:
    """What depth files hold."""

    kind: str = "depth"  # ``depth`` or ``inverse_depth``
    metres_per_step: float | None = None  # of whole numbers; None when it is not said


METRES = DepthNote("depth", 1.0)
MILLIMETRES = DepthNote("depth", 1 / 1000)
KITTI_STEPS = DepthNote("depth", 1 / 256)  # of KITTI's 16-bit pictures of depth


def read_depth(path: Path, note: DepthNote, dtype: type = np.float32) -> np.ndarray:
    """Depth in metres, [H, W] of ``dtype``, 0 where it is not known.

    Raises:
        InputError: the file is damaged, of another form, or of whole numbers of an unknown unit.
    """
    values = _read_values(path)
    if values.ndim == 3 and values.shape[2] > 0:
        values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in "uif":
        held = f"{values.dtype} {values.shape}"
        raise InputError(f"{path}: must hold one number a pixel, holds {held}")
    if values.dtype.kind in "ui":
        if note.metres_per_step is None:
            raise InputError(
                f"{path}: holds whole numbers of an unknown unit; say in {NOTE} of its data set "
                'how many metres a step is, as in {"metres_per_step": 0.001}'
            )
        # 1 / 0.001 is exactly 1000, while 0.001 is not exactly a thousandth.
        values = values / (1 / np.float64(note.metres_per_step))
    with np.errstate(invalid="ignore", divide="ignore"):
        known = np.isfinite(values) & (values > 0)
        metres = np.where(known, values, 1)
        if note.kind == "inverse_depth":
            metres = 1 / metres
    return np.where(known, metres, 0).astype(dtype)


def depth_size(path: Path, note: DepthNote) -> tuple[int, int]:
    """(width, height) of a depth file; from its head alone, where that says it.

    Raises:
        InputError: see :func:`read_depth`.
    """
    try:
        check_regular(path, MOST_BYTES)
        if path.suffix.lower() == ".png":
            with Image.open(path) as image:
                return image.size
        if path.suffix.lower() == ".npy":
            height, width = np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
            return width, height
    except (*DAMAGE, Image.DecompressionBombError):
        pass  # read_depth says what is wrong with it
    return read_depth(path, note).shape[::-1]


def _read_values(path: Path) -> np.ndarray:
    """The numbers of a depth file as they are stored."""
    suffix = path.suffix.lower()
    try:
        check_regular(path, MOST_BYTES)
        if suffix == ".npy":
            return np.load(path, allow_pickle=False)
        if suffix == ".npz":
            return _read_npz(path)
        if suffix == ".exr":
            return _read_exr(path)
        return _read_picture(path)
    except InputError:
        raise
    except DAMAGE as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read as depth ({why})") from error


def _read_npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as file:
        if sum(member.file_size for member in file.zip.infolist()) > MOST_BYTES:
            raise ValueError("unpacked, it is too large")
        if not {"index", "depth", "shape"} <= set(file.files):
            return file["depth" if "depth" in file.files else file.files[0]]
        height, width = map(int, file["shape"])
        if not (0 < height * width <= MOST_PIXELS and min(height, width) > 0):
            raise ValueError(f"its shape is {height}x{width}")
        dense = np.zeros(height * width, np.float32)
        dense[file["index"]] = file["depth"]
        return dense.reshape(height, width)


def _read_picture(path: Path) -> np.ndarray:
    content = read_bytes(path, MOST_BYTES)
    is_png = path.suffix.lower() == ".png"
    width, height = (int.from_bytes(content[i : i + 4], "big") for i in PNG_SIZE)
    if is_png and width * height > MOST_PIXELS:
        raise ValueError(f"it has {width}x{height} pixels, and at most {MOST_PIXELS} are read")
    whole = not is_png or content.endswith(PNG_END)  # OpenCV does not tell of one cut short
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if whole else None
    if values is None:
        raise ValueError("it is damaged or of another kind")
    if is_png and values.dtype == np.uint8:
        raise InputError(f"{path}: has 8 bits, which is a picture of depth; it needs 16")
    return values


def _read_exr(path: Path) -> np.ndarray:
    """The depth channel of an EXR file, [H, W], or [H, W, C] of equal channels.

    Through OpenCV where it is built with EXR, else through the package OpenEXR.
    """
    if cv2.haveImageWriter("depth.exr"):
        values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if values is None:
            raise InputError(f"{path}: cannot be read as EXR; it is damaged or of another kind")
        return values
    try:
        import OpenEXR  # noqa: PLC0415 - an extra
    except ImportError:
        raise InputError(
            f"{path}: this OpenCV ({cv2.__version__}) is built without EXR; install the package "
            "that reads it: pip install OpenEXR, or convert such files to .npy"
        ) from None
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as EXR ({error})") from error
    return depth_channel(channels, path).astype(np.float32)


def depth_channel(channels: Mapping[str, np.ndarray], path: Path) -> np.ndarray:
    """The one of an EXR file's channels that is depth, by its name.

    Raises:
        InputError: none has such a name, and there are several.
    """
    if len(channels) == 1:
        return next(iter(channels.values()))
    for wanted in DEPTH_CHANNELS:
        found = [name for name in channels if name.rpartition(".")[2].upper() == wanted]
        if len(found) == 1:
            return channels[found[0]]
    raise InputError(
        f"{path}: holds the channels {', '.join(sorted(channels))}; one of them must be named "
        f"{', '.join(DEPTH_CHANNELS[:-1])} or {DEPTH_CHANNELS[-1]}"
    )
