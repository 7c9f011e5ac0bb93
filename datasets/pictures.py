"""The one reader of pictures: what a file holds, as RGB, for training, measuring and predicting."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from datasets.picture_kinds import register_heif, unread_kind
from system.errors import InputError
from system.files import check_regular, read_bytes
from system.memory import scratch

try:  # the same decoder as OpenCV's, into memory that is there
    import simplejpeg
except ImportError:  # no wheel for this system: OpenCV gives the same pixels
    simplejpeg = None

# Of the pixels that come out. Whoever keeps pixels keeps it beside them, and makes them anew when
# it differs; it grows whenever a file that was read before gives other pixels.
READING_VERSION = 2
_ENDINGS = ".avif .bmp .gif .heic .heif .hif .jfif .jpe .jpeg .jpg .png .tif .tiff .webp"
PICTURES = frozenset(_ENDINGS.split())
# By Pillow's names; its other readers, some of which run other programs, are not asked.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF", "HEIF")
# Its modules of them; all forty that it has take longer to load than most commands compute.
READERS = ("Jpeg", "Png", "WebP", "Bmp", "Tiff", "Gif", "Avif")
NOT_READ = (
    f"it is none, or of another kind than {', '.join(FORMATS)} with colours or grey of 8 or 16 "
    "bits: convert it"
)
MOST_BYTES = 1 << 30  # of a file
MOST_PIXELS = 100_000_000  # of a picture; more is taken for a decompression bomb
BAND = 256  # rows that are converted together
LONGEST_SIDE = 32_000  # two side by side still fit into a JPEG
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # of EXIF; those that swap width and height
EXIF, TAKEN = 0x8769, 0x9003  # where it says when a picture was taken
WITHOUT_TIME = (".png", ".gif", ".bmp")  # Pillow decodes PNGs to look for it

# How a whole file ends; OpenCV does not tell of one that was cut short.
JPEG_END, PNG_END = b"\xff\xd9", b"IEND\xae\x42\x60\x82"
PNG_SIZE, PNG_BITS = (16, 20), 24  # where it says its width, height, and bits of a channel
# What Pillow calls the parts of a PNG that OpenCV passes over or takes in another way.
PARTS_OF_PNG = {"transparency", "exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
LATE_PARTS = (b"eXIf", b"adobe.xmp", b"type exif")  # the same, behind the pixels
# How Pillow calls pixels of other than 8 bits, whose transparent colour it compares as if of 8.
LEVELS_OF_KEY = {"L;2": 85, "L;4": 17, "RGB;16B": 1 / 256}

# Tags of a TIFF, and the values of two of them.
WIDTH, HEIGHT, BITS, WHITE, PLANES, NUMBERS = 256, 257, 258, 262, 284, 339
WHITE_IS_0, APART, WHOLE, SIGNED = 0, 2, 1, 2
DARKEST = 4096  # of 65536: where all is below, 16 bits are likely to hold numbers of 12 or fewer
ROUNDING = 0.01  # what arithmetic may have taken from whole numbers

# What Pillow and its decoders raise about damaged files.
DAMAGE = (OSError, SyntaxError, ValueError, LookupError, TypeError, EOFError, struct.error)
DAMAGE += (zlib.error, ArithmeticError, RuntimeError, MemoryError, AttributeError)
DAMAGE += (Image.DecompressionBombError, cv2.error)

# Pillow warns of large pictures; the limit here is our own.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
register_heif()


class Unclear(ValueError):
    """It is not clear what the numbers of a picture mean."""


def read_picture(path: Path, reuse: bool = False) -> np.ndarray:
    """Read a picture, turned as its EXIF orientation says, as uint8 RGB [H, W, 3].

    Transparent parts become white, 16-bit pictures keep their upper 8 bits, other spaces of colour
    are converted by Pillow; of an animation it is the first frame. Profiles of colour are not
    applied: the numbers are taken as they are.

    Args:
        path: of the file.
        reuse: whether the array may be that of the thread's last such picture, written over: a
            third less time for those who are done with it before they read the next.

    Raises:
        InputError: there is no such file, it is not a whole picture, or its range is not clear.
    """
    with _explained(path):
        content = read_bytes(path, MOST_BYTES)
        with open_picture(io.BytesIO(content)) as picture:
            _check_size(path, *picture.size)
            if _is_plain(picture, content):
                pixels = _decode_plain(picture, content, reuse)
                if pixels is not None:
                    return pixels
            pixels = upright_rgb(picture)  # Pillow says what is wrong with a damaged one
        # Of colours of 16 bits, Pillow gives the upper 8 alone.
        if picture.format in ("PNG", "TIFF") and pixels.max() < DARKEST >> 8:
            deep = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
            if deep is not None and deep.dtype == np.uint16:
                _check_range(deep.reshape(*deep.shape[:2], -1)[..., :3])
        return pixels


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture as it is seen, from the head of its file.

    Raises:
        InputError: there is no such file, or it does not start like a picture.
    """
    with _explained(path), check_regular(path, MOST_BYTES).open("rb") as file:
        picture = open_picture(file)
        width, height = picture.size
        if picture.format == "TIFF":  # whose size some versions of Pillow turn already
            width, height = picture.tag_v2[WIDTH], picture.tag_v2[HEIGHT]
        _check_size(path, width, height)
        turned = picture.getexif().get(ORIENTATION) in TURNED
        return (height, width) if turned else (width, height)


def time_taken(path: Path) -> str | None:
    """When a picture says that it was taken, ``YYYY:MM:DD HH:MM:SS``; None where it does not."""
    if path.suffix.lower() in WITHOUT_TIME:
        return None
    try:
        with _explained(path), check_regular(path, MOST_BYTES).open("rb") as file:
            taken = open_picture(file).getexif().get_ifd(EXIF).get(TAKEN)
    except InputError:  # reading it says what is wrong
        return None
    return taken if isinstance(taken, str) and len(taken) == len("YYYY:MM:DD HH:MM:SS") else None


def open_picture(file: BinaryIO) -> Image.Image:
    """Have Pillow open a file, not yet decoded, if it is of one of :data:`FORMATS`.

    Raises:
        UnidentifiedImageError: it is of no kind that is read here. There are others for damage.
    """
    return Image.open(file, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    """Those of :data:`FORMATS` that this Pillow reads."""
    for name in READERS:
        with suppress(ImportError):  # older versions lack some
            import_module(f"PIL.{name}ImagePlugin")
    return tuple(name for name in FORMATS if name in Image.OPEN)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what Pillow raises about a file into an InputError that names it."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such image", kind="missing") from None
    except DAMAGE as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        kind = "unclear" if isinstance(error, Unclear) else "damaged"
        if isinstance(error, UnidentifiedImageError):
            with path.open("rb") as file:
                foreign = unread_kind(file.read(12))
            why, kind = foreign or NOT_READ, "foreign" if foreign else "no_picture"
        raise InputError(
            f"{path}: cannot be read as a picture ({why}); replace or remove it", kind=kind
        ) from error


def _check_size(path: Path, width: int, height: int) -> None:
    """Refuse a picture by its declared size, before it is decoded."""
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise InputError(
            f"{path}: has {width}x{height} pixels; at most {MOST_PIXELS // 10**6} million, and "
            f"{LONGEST_SIDE} on a side, are read; make it smaller",
            kind="too_large",
        )


def _is_plain(picture: Image.Image, content: bytes) -> bool:
    """Whether decoders that are faster give the pixels that Pillow gives."""
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


def _decode_plain(picture: Image.Image, content: bytes, reuse: bool) -> np.ndarray | None:
    """The pixels of a plain picture by the fastest decoder that finds no damage."""
    if picture.format == "JPEG" and simplejpeg is not None:
        memory = scratch("picture", (picture.height, picture.width, 3)) if reuse else None
        with suppress(ValueError):  # OpenCV and Pillow say what becomes of it
            return simplejpeg.decode_jpeg(content, "RGB", buffer=memory)
    decode = png_decoder() if picture.format == "PNG" and picture.mode == "RGB" else None
    if decode is not None:
        with suppress(Exception):  # of no narrower kind
            return decode(content, (picture.height, picture.width), "rgb")
    pixels = cv2.imdecode(
        np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, pixels)


@cache
def png_decoder() -> Callable[[bytes, tuple[int, int], str], np.ndarray] | None:
    """The decoder of PNGs of 8 bits a colour in kornia_rs, where that is installed.

    It is loaded for the first such PNG: with CUDA's wheels, kornia_rs loads a library of theirs.
    """
    try:
        from kornia_rs.io import decode_image_png_u8  # noqa: PLC0415 - an extra
    except ImportError:  # OpenCV gives the same pixels in twice the time
        return None
    return decode_image_png_u8


def upright_rgb(picture: Image.Image) -> np.ndarray:
    """uint8 RGB [H, W, 3] of a Pillow image of any mode; see :func:`read_picture`.

    Raises:
        Unclear: it is not clear what its numbers mean.
    """
    if picture.format == "TIFF":
        _check_tiff(picture.tag_v2)
        picture.filename = ""  # or Pillow 12 maps the file into memory, and garbles turned ones
    elif picture.mode == "I" and picture.format != "PNG":  # of 16 bits to older versions of Pillow
        raise Unclear(_unclear("whole numbers of 32 bits"))
    key = _transparent_level(picture)
    picture.load()
    if picture.getexif().get(ORIENTATION, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):  # Pillow's own conversion would clip at 255
        values = np.asarray(picture)
        grey = _fractions(values) if picture.mode == "F" else _check_range(values) >> 8
        if key is not None:
            grey = np.where(values == key, 255, grey)
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if key is not None:
        picture.info["transparency"] = key
    width, height = picture.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, BAND):  # what is in between takes the memory of a band
        bottom = min(top + BAND, height)
        pixels[top:bottom] = _on_white(picture.crop((0, top, width, bottom)))
    return pixels


def _on_white(picture: Image.Image) -> Image.Image:
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA"):
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    return picture.convert("RGB")


def _unclear(numbers: str) -> str:
    """What to say of numbers that may mean several things."""
    return f"it holds {numbers}, of which it is not clear what is white: save it with 8 or 16 bits"


def _check_tiff(tags: Mapping[int, Any]) -> None:
    """Refuse what a TIFF, by its ``tags``, holds in a way that Pillow takes for another."""
    bits, numbers = max(tags.get(BITS, (1,))), set(tags.get(NUMBERS, (WHOLE,)))
    if SIGNED in numbers:
        raise Unclear(_unclear(f"signed numbers of {bits} bits"))
    if numbers == {WHOLE} and bits not in (1, 2, 4, 8, 16):
        raise Unclear(_unclear(f"whole numbers of {bits} bits"))
    if bits > 8 and tags.get(WHITE, WHITE_IS_0) == WHITE_IS_0:
        raise Unclear(f"it holds numbers of {bits} bits whose white is 0: save it with 8 bits")
    if bits > 8 and tags.get(PLANES) == APART:
        raise Unclear(f"it holds planes of {bits} bits: save it with all colours in one")


def _check_range(values: np.ndarray) -> np.ndarray:
    """Whole numbers of 16 bits, which must use these."""
    high = values.max()
    if 0 < high < DARKEST and (values % 256).any() and (values % 257).any():
        raise Unclear(
            f"it has 16 bits and no number above {high}, where white is 65535: it would be black; "
            "if white is 255, 1023 or 4095 in it, save it with 8 bits, or scaled to 65535"
        )
    return values


def _transparent_level(picture: Image.Image) -> Any:
    """What a picture says is transparent, in the levels of the pixels that Pillow gives."""
    key = picture.info.get("transparency")
    stored = picture.tile[0][3] if picture.format == "PNG" and picture.tile else None
    factor = LEVELS_OF_KEY.get(stored)
    if key is None or factor is None or isinstance(key, bytes):
        return key
    return tuple(int(k * factor) for k in key) if isinstance(key, tuple) else key * factor


def _fractions(values: np.ndarray) -> np.ndarray:
    """Floating-point grey values, which must be clearly of 0 to 255."""
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 255) or 0 < high <= 1:  # NaN is in no range
        raise Unclear(
            f"it holds floating-point numbers from {low:g} to {high:g}, where black is 0 and white "
            "may be 1, 255 or something else: save it with 8 or 16 bits"
        )
    return np.floor(values + ROUNDING)
