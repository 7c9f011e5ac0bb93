"""The one reader of pictures: what a file holds, as RGB, for training, measuring and predicting."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from system.errors import InputError
from system.files import check_regular, read_bytes

# Of the pixels that come out. Whoever keeps pixels keeps it beside them, and makes them anew when
# it differs; it grows whenever a file that was read before gives other pixels.
READING_VERSION = 2
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
MOST_BYTES = 1 << 30  # of a file
MOST_PIXELS = 100_000_000  # of a picture; more is taken for a decompression bomb
LONGEST_SIDE = 32_000  # two side by side still fit into a JPEG
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # of EXIF; those that swap width and height

# How a whole file ends; OpenCV does not tell of one that was cut short.
JPEG_END, PNG_END = b"\xff\xd9", b"IEND\xae\x42\x60\x82"
PNG_SIZE, PNG_BITS = (16, 20), 24  # where it says its width, height, and bits of a channel
# What Pillow calls the parts of a PNG that OpenCV passes over or takes in another way.
PARTS_OF_PNG = {"transparency", "exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
LATE_PARTS = (b"eXIf", b"adobe.xmp", b"type exif")  # the same, behind the pixels

# Pillow warns of large pictures; the limit here is our own.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def read_picture(path: Path) -> np.ndarray:
    """Read a picture, turned as its EXIF orientation says, as uint8 RGB [H, W, 3].

    Transparent parts become white, 16-bit pictures keep their upper 8 bits, other spaces of colour
    are converted by Pillow; of an animation it is the first frame.

    Raises:
        InputError: there is no such file, it is not a whole picture, or its range is not clear.
    """
    with _explained(path):
        content = read_bytes(path, MOST_BYTES)
        with Image.open(io.BytesIO(content)) as picture:
            _check_size(path, *picture.size)
            if _is_plain(picture, content):
                pixels = cv2.imdecode(
                    np.frombuffer(content, np.uint8),
                    cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
                )
                if pixels is not None:
                    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
            return upright_rgb(picture)  # Pillow says what is wrong with a damaged one


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture as it is seen, from the head of its file.

    Raises:
        InputError: there is no such file, or it does not start like a picture.
    """
    with _explained(path), Image.open(check_regular(path, MOST_BYTES)) as picture:
        width, height = picture.size
        _check_size(path, width, height)
        turned = picture.getexif().get(ORIENTATION) in TURNED
        return (height, width) if turned else (width, height)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what Pillow raises about a file into an InputError that names it."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such image") from None
    # Pillow raises SyntaxError and ValueError, too, for some kinds of damage.
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        why = getattr(error, "strerror", None) or error
        if isinstance(error, UnidentifiedImageError):
            why = "it is none, or of an unknown kind"
        raise InputError(
            f"{path}: cannot be read as a picture ({why}); replace or remove it"
        ) from error


def _check_size(path: Path, width: int, height: int) -> None:
    """Refuse a picture by its declared size, before it is decoded."""
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise InputError(
            f"{path}: has {width}x{height} pixels; at most {MOST_PIXELS // 10**6} million, and "
            f"{LONGEST_SIDE} on a side, are read; make it smaller"
        )


def _is_plain(picture: Image.Image, content: bytes) -> bool:
    """Whether OpenCV, which is faster, gives the pixels that Pillow gives."""
    if picture.mode not in ("RGB", "L"):
        return False
    if picture.format == "JPEG":
        upright = picture.getexif().get(ORIENTATION, 1) == 1
        return upright and content.endswith(JPEG_END)
    if picture.format != "PNG" or content[PNG_BITS] != 8 or not content.endswith(PNG_END):
        return False
    if picture.info.keys() & PARTS_OF_PNG or picture.is_animated:
        return False
    rest = content[content.rfind(b"IDAT") :]
    return not any(part in rest for part in LATE_PARTS)


def upright_rgb(picture: Image.Image) -> np.ndarray:
    """uint8 RGB [H, W, 3] of a Pillow image of any mode; see :func:`read_picture`.

    Raises:
        ValueError: its numbers are fractions of an unknown range.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):  # Pillow's own conversion would clip at 255
        values = np.asarray(picture)
        grey = _fractions(values) if picture.mode == "F" else np.clip(values, 0, 65535) >> 8
        if "transparency" in picture.info:
            grey = np.where(values == picture.info["transparency"], 255, grey)
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA"):
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    return np.array(picture.convert("RGB"))


def _fractions(values: np.ndarray) -> np.ndarray:
    """Floating-point grey values, which must be clearly of 0 to 255."""
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255) or 0 < high <= 1:  # NaN is in no range
        raise ValueError(
            f"it holds floating-point numbers from {low:g} to {high:g}, where black is 0 and white "
            "may be 1, 255 or something else: save it with 8 or 16 bits"
        )
    return values
