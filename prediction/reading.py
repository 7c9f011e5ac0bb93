"""Pictures from anywhere, as RGB: what is named on a command line, and what a file holds."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from errors import InputError

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
# Ends of the names of what predictions write, so that it is not predicted in its turn.
OUTPUT_ENDINGS = ("_disp.jpeg", "_disp.png", "_depth.png", "_side.jpeg")
MOST_PIXELS = 100_000_000  # of a picture; more is taken for a decompression bomb
LONGEST_SIDE = 32_000  # two side by side still fit into a JPEG
GLOB = set("*?[")


def find_inputs(paths: Sequence[Path], extension: str | None) -> list[Path]:
    """The files that paths on a command line name: files, folders of pictures, patterns.

    In a folder, and for a pattern, only pictures count, or only files with ``extension`` (in any
    case), in the order of their names, and no output of an earlier run.

    Raises:
        InputError: a path does not exist, or names no picture, or two files differ only in their
            endings, so that one's outputs would replace the other's.
    """
    found = dict.fromkeys(file for path in paths for file in _files_of(path, extension))
    by_stem: dict[Path, Path] = {}
    for file in found:
        other = by_stem.setdefault(file.with_suffix(""), file)
        if other != file:
            raise InputError(
                f"{other} and {file.name}: their predictions would have the same name; rename one"
                + ("" if extension else ", or choose an ending with --ext")
            )
    return list(found)


def _files_of(path: Path, extension: str | None) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        found = _pictures(path.iterdir(), extension)
    elif GLOB & set(path.name):
        found = _pictures(path.parent.glob(path.name), extension)
    else:
        raise InputError(f"--image_path {path}: there is no such file or folder; check the path")
    if not found:
        kind = f"that ends in .{extension.lstrip('.')}" if extension else "in it"
        raise InputError(
            f"--image_path {path}: has no picture {kind}; "
            "name another ending with --ext, as in --ext png"
        )
    return found


def _pictures(files: Iterable[Path], extension: str | None) -> list[Path]:
    suffixes = {"." + extension.lower().lstrip(".")} if extension else PICTURES
    return sorted(
        file
        for file in files
        if file.suffix.lower() in suffixes
        and not file.name.endswith(OUTPUT_ENDINGS)
        and file.is_file()
    )


def read_picture(path: Path) -> np.ndarray:
    """Read a picture, turned as its EXIF orientation says, as uint8 RGB [H, W, 3].

    Of an animation it is the first frame; 16-bit pictures keep their upper 8 bits.

    Raises:
        InputError: the file cannot be read as a picture.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures; the limit here is our own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                _check_size(path, *file.size)
                return upright_rgb(file)
    except InputError:
        raise
    # Pillow raises SyntaxError and ValueError, too, for some kinds of damage.
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: cannot be read as a picture ({error}); replace or remove it"
        ) from error


def _check_size(path: Path, width: int, height: int) -> None:
    """Refuse a picture by its declared size, before it is decoded."""
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise InputError(
            f"{path}: has {width}x{height} pixels; at most {MOST_PIXELS // 10**6} million, and "
            f"{LONGEST_SIDE} on a side, are read; make it smaller"
        )


def upright_rgb(picture: Image.Image) -> np.ndarray:
    """uint8 RGB [H, W, 3] of a Pillow image of any mode; transparent parts become white."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture)
        if picture.mode != "F":  # 16 bit: Pillow's own conversion would clip at 255
            values = np.clip(values, 0, 65535) / 257
        return np.repeat(np.clip(values, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA"):
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(white, picture)
    return np.array(picture.convert("RGB"))


def limit_side(picture: np.ndarray, max_side: int | None) -> np.ndarray:
    """A picture [H, W, 3], made smaller where its longer side has more than ``max_side`` pixels."""
    height, width = picture.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return picture
    share = max_side / max(height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
