"""The one reader of depth: PNG, TIFF, NPY, NPZ and EXR, for training, measuring and aligning.

A file holds one number a pixel. Floating-point numbers are metres unless a :class:`DepthNote` says
otherwise; whole numbers have no unit of their own. 0, negative, and what is not finite is unknown.
A sparse ``.npz`` has ``index``, flat pixel numbers, ``depth`` at these, and ``shape``; a dense one
has ``depth``, or one array of any name.
"""

from __future__ import annotations

import io
import os
import struct
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
from PIL import Image, UnidentifiedImageError

from datasets.pictures import MOST_BYTES, PNG_END, PNG_SIZE, open_picture
from system.errors import InputError
from system.files import check_regular, read_bytes, read_json

MOST_PIXELS = 40_000_000  # of a depth map; reading it takes 20 bytes of memory for each
MOST_UNPACKED = 16 * MOST_PIXELS  # bytes of the arrays of an archive: sparse depth and its places
EXR_WINDOW = b"dataWindow\0box2i\0\x10\0\0\0"  # what comes before the corners of its pixels
KINDS = ("depth", "inverse_depth")
NOTE = "depth.json"  # what a data set says of its depth
# Names that programs give the channel of depth, its layer left out; grey pictures have R, G and B.
DEPTH_CHANNELS = ("Z", "Y", "V", "R")
COLOURS = {"R": ("G", "B"), "Y": ("RY", "BY")}  # what is beside these where they are no depth
# What NumPy and zipfile raise about damaged files, and Pillow; MemoryError of a huge false shape.
DAMAGE = (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error, TypeError)
DAMAGE += (RuntimeError, SyntaxError, tokenize.TokenError, MemoryError, OverflowError, struct.error)
DAMAGE += (Image.DecompressionBombError, cv2.error)

PLAUSIBLE_METRES = (0.05, 300.0)  # of half of what a picture shows
FARTHEST_METRES = 1e9  # beyond is what programs write for infinity, such as 1e10 and 3.4e38


@dataclass(frozen=True)
class DepthNote:
    """What depth files hold."""

    kind: str = "depth"  # ``depth`` or ``inverse_depth``
    metres_per_step: float | None = None  # what 1 means; None when it is not said
    # Likewise of floating-point numbers; without it as whole ones, or metres.
    metres_per_float: float | None = None


# Units of whole numbers; beside them floating-point numbers are metres.
METRES = DepthNote("depth", 1.0, 1.0)
MILLIMETRES = DepthNote("depth", 1 / 1000, 1.0)
KITTI_STEPS = DepthNote("depth", 1 / 256, 1.0)  # of KITTI's 16-bit pictures of depth

UNIT = "unit"  # the key by which predictions written here name one of these
STATED_UNITS = {"millimetres": MILLIMETRES, "kitti": KITTI_STEPS}
PREDICTED, ABOUT = "_depth.png", "_disp.json"  # ends of a prediction, and of what describes it


def read_depth(path: Path, note: DepthNote, dtype: type = np.float32) -> np.ndarray:
    """Depth in metres, [H, W] of ``dtype``, 0 where it is not known.

    Raises:
        InputError: the file is damaged, of another form, or of whole numbers of an unknown unit.
    """
    return in_metres(read_numbers(path), note, path, dtype)


def read_numbers(path: Path) -> np.ndarray:
    """The numbers of a depth file as they are stored, [H, W], whole or floating-point.

    Raises:
        InputError: the file is damaged, or holds no depth: colours, 8 bits, no pixel, several
            numbers a pixel, or what is no real number.
    """
    values = _read_values(path)
    if values.dtype.kind in "ui" and values.dtype.itemsize == 1:
        raise InputError(
            f"{path}: has 8 bits, which is a picture of depth; it needs 16, or floating-point "
            "numbers"
        )
    if values.dtype.kind in "uif" and values.ndim == 3 and values.shape[2] > 0:
        first = values[..., 0]
        channels = (values[..., index] for index in range(1, values.shape[2]))
        if not all(np.array_equal(channel, first, equal_nan=True) for channel in channels):
            raise InputError(
                f"{path}: has shape {list(values.shape)}, whose {values.shape[2]} channels differ, "
                "as those of a picture in colour; depth is one number a pixel"
            )
        values = first
    if values.ndim != 2 or values.dtype.kind not in "uif" or values.size == 0:
        held = f"{values.dtype} {values.shape}"
        raise InputError(f"{path}: must hold one number a pixel, holds {held}")
    return values


def in_metres(
    numbers: np.ndarray, note: DepthNote, path: Path, dtype: type = np.float32
) -> np.ndarray:
    """The numbers of a depth file, [H, W], as :func:`read_depth` gives them.

    Raises:
        InputError: they are whole numbers of an unknown unit; ``path`` is named.
    """
    whole = numbers.dtype.kind in "ui"
    step = note.metres_per_step if whole else note.metres_per_float or note.metres_per_step or 1
    if step is None and note.kind == "depth" and (unit := stated_unit(path)) is not None:
        step = STATED_UNITS[unit].metres_per_step
    if step is None:
        raise InputError(
            f"{path}: holds whole numbers of an unknown unit; say in {NOTE} of its data set "
            'how many metres a step is, as in {"metres_per_step": 0.001}'
        )
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if whole or step != 1:
            # 1 / 0.001 is exactly 1000, while 0.001 is not exactly a thousandth.
            numbers = numbers.astype(np.float64) / (1 / np.float64(step))
        return known_depth(1 / numbers if note.kind == "inverse_depth" else numbers, dtype)


def stated_unit(path: Path) -> str | None:
    """The unit that a 16-bit picture of predicted depth says it is in: a key of STATED_UNITS.

    Predictions written here say it in a text chunk, and ``NAME_disp.json`` says it beside
    ``NAME_depth.png``. None where neither does.
    """
    if path.suffix.lower() != ".png":
        return None
    try:
        with open_picture(path) as picture:
            unit = picture.info.get(UNIT)
        if unit is None and path.name.endswith(PREDICTED):
            fields = read_json(path.with_name(path.name[: -len(PREDICTED)] + ABOUT))
            unit = fields.get(UNIT) if isinstance(fields, dict) else None
    except DAMAGE:
        return None
    return unit if isinstance(unit, str) and unit in STATED_UNITS else None


def known_depth(metres: np.ndarray, dtype: type = np.float32) -> np.ndarray:
    """Depth with 0 for all that is unknown: not finite, not positive, or no distance on earth."""
    with np.errstate(invalid="ignore", over="ignore"):
        known = (metres > 0) & (metres < FARTHEST_METRES)
        return np.where(known, metres, 0).astype(dtype)


def unit_doubt(median: float) -> str | None:
    """What the unit of depth seems to be, in words, where half of it can hardly be metres."""
    low, high = PLAUSIBLE_METRES
    if low <= median <= high:
        return None
    unit = "millimetres or steps" if median > high else "kilometres, or scaled twice"
    return f"half of the depth is beyond {median:.3g} m: it looks like {unit}"


def depth_size(path: Path, note: DepthNote) -> tuple[int, int]:
    """(width, height) of a depth file; from its head alone, where that says it.

    Raises:
        InputError: see :func:`read_depth`.
    """
    try:
        check_regular(path, MOST_BYTES)
        if path.suffix.lower() == ".png":
            with open_picture(path) as image:
                return image.size
        if path.suffix.lower() == ".npy":
            shape = read_array(path, "r").shape
            if len(shape) == 2 and min(shape) > 0:
                return shape[::-1]
    except DAMAGE:
        pass  # read_depth says what is wrong with it
    return read_depth(path, note).shape[::-1]


def _read_values(path: Path) -> np.ndarray:
    """The numbers of a depth file as they are stored."""
    suffix = path.suffix.lower()
    try:
        check_regular(path, MOST_BYTES)
        if suffix == ".npy":
            return read_array(path)
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


def read_array(path: Path, mmap_mode: str | None = None) -> np.ndarray:
    """The array of a ``.npy`` file.

    Raises:
        Exception: one of :data:`DAMAGE`.
    """
    values = np.load(path, mmap_mode="r", allow_pickle=False)  # its size is known before it is read
    if not isinstance(values, np.ndarray):
        values.close()
        raise ValueError("it is an archive of arrays")
    if values.size > MOST_PIXELS:
        raise ValueError(f"it has {values.size} pixels, and at most {MOST_PIXELS} are read")
    return np.array(values) if mmap_mode is None else values


def read_member(archive: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    """An array of a ``.npz`` file.

    Raises:
        Exception: one of :data:`DAMAGE`.
    """
    values = archive[key]
    if not isinstance(values, np.ndarray):  # bytes, where it does not start like one
        raise ValueError(f"its {key} is no array")
    return values


def _read_npz(path: Path) -> np.ndarray:
    if not zipfile.is_zipfile(path):
        raise ValueError("it is no archive of arrays")
    with np.load(path, allow_pickle=False) as file:
        if sum(member.file_size for member in file.zip.infolist()) > MOST_UNPACKED:
            raise ValueError("unpacked, it is too large")
        if {"index", "depth", "shape"} <= set(file.files):
            return _dense(*(read_member(file, key) for key in ("index", "depth", "shape")))
        if "depth" not in file.files and len(file.files) != 1:
            raise ValueError(f"it holds {len(file.files)} arrays, and none is named depth")
        values = read_member(file, "depth" if "depth" in file.files else file.files[0])
        if values.size > MOST_PIXELS:
            raise ValueError(f"it has {values.size} pixels, and at most {MOST_PIXELS} are read")
        return values


def _dense(index: np.ndarray, depth: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """The numbers ``depth`` [N] at flat pixels ``index`` [N] of a map of ``shape``, 0 elsewhere."""
    if shape.shape != (2,) or {shape.dtype.kind, index.dtype.kind} - set("ui"):
        raise ValueError("shape must be two whole numbers, and index whole numbers")
    height, width = map(int, shape)
    if not (0 < height * width <= MOST_PIXELS and min(height, width) > 0):
        raise ValueError(f"its shape is {height}x{width}")
    if index.ndim != 1 or index.shape != depth.shape:
        raise ValueError(f"index has shape {list(index.shape)}, depth {list(depth.shape)}")
    if index.size and not 0 <= index.min() <= index.max() < height * width:
        raise ValueError(f"an index lies outside of its {height}x{width} pixels")
    dense = np.zeros(height * width, depth.dtype)
    dense[index] = depth
    if not np.array_equal(dense[index], depth, equal_nan=depth.dtype.kind in "fc"):
        raise ValueError("it gives a pixel two numbers")
    return dense.reshape(height, width)


def _read_picture(path: Path) -> np.ndarray:
    content = read_bytes(path, MOST_BYTES)
    is_png = path.suffix.lower() == ".png"
    if is_png:
        width, height = (int.from_bytes(content[i : i + 4], "big") for i in PNG_SIZE)
    else:
        width, height = _checked_head(content)
    if width * height > MOST_PIXELS:
        raise ValueError(f"it has {width}x{height} pixels, and at most {MOST_PIXELS} are read")
    whole = not is_png or content.endswith(PNG_END)  # OpenCV does not tell of one cut short
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if whole else None
    if values is None:
        raise ValueError("it is damaged or of another kind")
    return values


def _checked_head(content: bytes) -> tuple[int, int]:
    """(width, height) of a picture of one page; (0, 0) where OpenCV alone may know its kind."""
    try:
        with open_picture(io.BytesIO(content)) as head:
            if getattr(head, "n_frames", 1) != 1:
                raise ValueError(f"it has {head.n_frames} pages; depth is one")
            return head.size
    except UnidentifiedImageError:
        return 0, 0


def _read_exr(path: Path) -> np.ndarray:
    """The depth channel of an EXR file, [H, W], or [H, W, C] of equal channels.

    Through OpenCV where it is built with EXR, else through the package OpenEXR.
    """
    with path.open("rb") as file:
        head = file.read(1 << 16)
    place = head.find(EXR_WINDOW) + len(EXR_WINDOW)
    if place >= len(EXR_WINDOW):
        left, top, right, bottom = np.frombuffer(head[place : place + 16], "<i4").tolist()
        if (right - left + 1) * (bottom - top + 1) > MOST_PIXELS:
            raise ValueError(f"it has more than {MOST_PIXELS} pixels, which are too many")
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
    values = depth_channel(channels, path)
    return values.astype(np.float32) if values.dtype.kind == "f" else values


def depth_channel(channels: Mapping[str, np.ndarray], path: Path) -> np.ndarray:
    """The one of an EXR file's channels that is depth, by its name.

    Raises:
        InputError: none has such a name, and there are several; or it is one of a colour.
    """
    if len(channels) == 1:
        return next(iter(channels.values()))
    for wanted in DEPTH_CHANNELS:
        found = [name for name in channels if name.rpartition(".")[2].upper() == wanted]
        if len(found) == 1:
            layer, dot, _ = found[0].rpartition(".")
            others = [layer + dot + other for other in COLOURS.get(wanted, ())]
            depth = channels[found[0]]
            if any(n in channels and not np.array_equal(channels[n], depth) for n in others):
                raise InputError(
                    f"{path}: holds the colours {', '.join((found[0], *others))}, and no depth"
                )
            return depth
    raise InputError(
        f"{path}: holds the channels {', '.join(sorted(channels))}; one of them must be named "
        f"{', '.join(DEPTH_CHANNELS[:-1])} or {DEPTH_CHANNELS[-1]}"
    )
