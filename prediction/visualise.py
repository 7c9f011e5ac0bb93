"""Disparity and depth as colours: uint8 RGB pictures of NumPy arrays, near bright, far dark."""

from __future__ import annotations

from functools import cache
from typing import Callable, NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from options import COLORMAPS
from prediction.depth_map import METRES, DepthMap

WHITE = (255, 255, 255)
BLACK = (0, 0, 0)
GREY = (150, 150, 150)  # no depth is known: in no colormap, so that it cannot be taken for far
COLORMAP = COLORMAPS[0]
SHOWN_SHARE = 0.95  # of the pixels, in whose range colours are
SAMPLED, MARGIN = 64, 0.01  # one of so many tells where that is, within such a share
SMALLEST_LETTERS, WIDTH_IN_LETTERS = 10, 53  # pixels; of a picture and its depth side by side

# Depths that a legend names: the first ones wherever they fit, the others in between.
ROUND_DEPTHS = (5, 10, 20, 40, 80, 2, 1, 0.5, 15, 30, 7, 3, 60, 4, 6, 8, 12, 25, 50, 1.5, 100)


def disparity_range(disparity: np.ndarray) -> tuple[float, float]:
    """Range shown of a disparity of any shape: from its minimum to its 95th percentile.

    The few nearest pixels would otherwise leave most of the picture dark.
    """
    values = disparity.ravel()
    place = SHOWN_SHARE * (values.size - 1)
    below = int(place)
    # Sorting out all values takes five times as long, and np.percentile more.
    top = values[values >= np.quantile(values[::SAMPLED], SHOWN_SHARE - MARGIN)]
    if top.size < values.size - below:  # the sample is not like the rest
        top = values
    below_top = below - (values.size - top.size)
    upper = np.partition(top, below_top)[below_top:]
    high = float(upper[0])
    if below < place:
        high += (float(upper[1:].min()) - high) * (place - below)
    return float(values.min()), high


class Shades(NamedTuple):
    """A picture in the colours of one colormap."""

    levels: np.ndarray  # uint8 [H, W], 0 dark
    colormap: str  # one of options.COLORMAPS


def shades(values: np.ndarray, low: float, high: float, colormap: str = COLORMAP) -> Shades:
    """Show values [H, W] in one of :data:`options.COLORMAPS`: ``low`` dark, ``high`` bright.

    Values beyond the two are shown as the nearer one; when both are equal all is ``low``.
    """
    span = high - low
    levels = (values - low) / span if span > 0 else np.zeros(values.shape)
    levels *= 256
    np.clip(levels, 0, 255, out=levels)
    return Shades(levels.astype(np.uint8), colormap)


def colorize(values: np.ndarray, low: float, high: float, colormap: str = COLORMAP) -> np.ndarray:
    """Show values as :func:`shades`, as uint8 RGB [H, W, 3]."""
    return cv2.applyColorMap(shades(values, low, high).levels, colours_of(colormap))


@cache
def colours_of(colormap: str) -> np.ndarray:
    """RGB of the 256 levels of a colormap, uint8 [256, 1, 3], as OpenCV takes them."""
    code = getattr(cv2, f"COLORMAP_{colormap.upper()}")
    colours = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], code)
    return cv2.cvtColor(colours, cv2.COLOR_BGR2RGB)


def colorize_disparity(disparity: np.ndarray, colormap: str = COLORMAP) -> np.ndarray:
    """Show a disparity [H, W], sigmoid or scaled, over its own range as uint8 RGB [H, W, 3]."""
    return colorize(disparity, *disparity_range(disparity), colormap)


def colorize_sparse_depth(depth: np.ndarray, low: float, high: float, radius: int) -> np.ndarray:
    """Show a sparse depth map as disparity, each point grown to be seen.

    Args:
        depth: [H, W], 0 where there is none.
        low: disparity (1 / depth) shown darkest.
        high: disparity shown brightest.
        radius: pixels that a point grows by in each direction; the nearer of two points wins.

    Returns:
        uint8 RGB [H, W, 3], :data:`GREY` where there is no depth.
    """
    known = depth > 0
    disparity = np.divide(1, depth, out=np.zeros(depth.shape, np.float32), where=known)
    diameter = 2 * radius + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    grown = cv2.dilate(disparity, disc)
    return np.where(grown[..., None] > 0, colorize(grown, low, high), np.uint8(GREY))


def resize_sparse_depth(depth: np.ndarray, height: int, width: int) -> np.ndarray:
    """Move the points of a sparse depth map [H, W] to another size, the nearer of two wins.

    Returns:
        float32 [``height``, ``width``], 0 where there is no depth. Nothing is interpolated.
    """
    rows, columns = np.nonzero(depth > 0)
    # Centres of pixels to centres of pixels.
    to_row = ((rows + 0.5) * height / depth.shape[0]).astype(np.intp)
    to_column = ((columns + 0.5) * width / depth.shape[1]).astype(np.intp)
    nearest = np.full((height, width), np.inf, np.float32)
    np.minimum.at(nearest, (to_row, to_column), depth[rows, columns])
    return np.where(np.isfinite(nearest), nearest, np.float32(0))


def add_label(picture: np.ndarray, label: str) -> np.ndarray:
    """Put a white strip with a line of text above a picture, uint8 RGB [H, W, 3]."""
    return np.concatenate([text_line([(8, label)], picture.shape[1]), picture])


def stack_labelled(pictures: dict[str, np.ndarray]) -> np.ndarray:
    """Put pictures of one width, uint8 RGB, below each other, each under its label."""
    return np.concatenate([add_label(picture, label) for label, picture in pictures.items()])


def text_line(pieces: list[tuple[int, str]], width: int, size: int = 18) -> np.ndarray:
    """Write pieces of text, each at its column, on a white strip: uint8 RGB [h, ``width``, 3]."""
    strip = Image.new("RGB", (width, round(1.6 * size)), WHITE)
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(size)
    for column, text in pieces:
        draw.text((column, strip.height // 2), text, fill=BLACK, font=font, anchor="lm")
    return np.asarray(strip)


def legend(
    low: float, high: float, width: int, unit: str, unknown: str = "", size: int = 18
) -> np.ndarray:
    """Draw the colours from disparity ``low`` to ``high``, with ticks at round depths.

    Ticks are placed by inverse depth, as colours are.

    Args:
        low: disparity of the darkest colour, above 0.
        high: disparity of the brightest colour.
        width: of the legend, pixels.
        unit: of the depths, such as ``m``.
        unknown: what to write beside a patch of :data:`GREY`; without it there is none.
        size: of the letters, pixels.

    Returns:
        uint8 RGB [h, ``width``, 3].
    """
    font = ImageFont.load_default(size)
    patch = round(3 * size + font.getlength(unknown)) if unknown else 0
    span, margin, tick = width - patch, size // 2, size // 2
    bar = colorize(np.tile(np.linspace(low, high, span), (size, 1)), low, high)
    page = Image.new("RGB", (width, size + tick + round(1.4 * size)), WHITE)
    page.paste(Image.fromarray(bar), (0, 0))
    draw = ImageDraw.Draw(page)
    if unknown:
        left = span + size
        draw.rectangle((left, 0, left + size - 1, size - 1), fill=GREY)
        draw.text((left + 1.6 * size, size // 2), unknown, fill=BLACK, font=font, anchor="lm")
    for column, text in legend_ticks(low, high, span, unit, font.getlength):
        draw.line((column, size, column, size + tick - 1), fill=BLACK, width=max(1, size // 9))
        half = font.getlength(text) / 2
        centre = min(max(column, half + margin), span - half - margin)
        draw.text((centre, size + tick), text, fill=BLACK, font=font, anchor="mt")
    return np.asarray(page)


def legend_ticks(
    low: float, high: float, width: int, unit: str, length: Callable[[str], float]
) -> list[tuple[int, str]]:
    """Columns and texts of the round depths in a legend, from far to near; texts do not touch.

    Args:
        low, high, width, unit: as of :func:`legend`.
        length: of a text, pixels.
    """
    chosen: list[tuple[int, str]] = []
    for depth in ROUND_DEPTHS:
        share = (1 / depth - low) / (high - low) if high > low else -1
        column, text = round(share * (width - 1)), f"{depth:g} {unit}".rstrip()
        apart = 1.5 * length(text)
        if 0 <= share <= 1 and all(abs(column - other) >= apart for other, _ in chosen):
            chosen.append((column, text))
    return sorted(chosen)


def side_by_side(
    picture: np.ndarray,
    depth_map: DepthMap,
    colormap: str = COLORMAP,
    shown: tuple[float, float] | None = None,
) -> np.ndarray:
    """A picture beside its depth in colours, above a bar that says which are near.

    Of metric depth it also says how near and far, in metres. Bar and letters grow with the picture.

    Args:
        picture: uint8 RGB [H, W, 3].
        depth_map: of it.
        colormap: one of :data:`options.COLORMAPS`.
        shown: disparities of the darkest and the brightest colour; without it, its own range.

    Returns:
        uint8 RGB [H + h, 2 W, 3].
    """
    low, high = disparity_range(depth_map.disparity) if shown is None else shown
    width = 2 * picture.shape[1]
    size = max(SMALLEST_LETTERS, round(width / WIDTH_IN_LETTERS))
    pair = [picture, colorize(depth_map.disparity, low, high, colormap)]
    ramp = np.tile(np.linspace(low, high, width), (round(size * 2 / 3), 1))
    bar = colorize(ramp, low, high, colormap)
    length, margin = ImageFont.load_default(size).getlength, round(size / 6)
    far, near = "far", "near"
    if depth_map.metric:
        ends = DepthMap(np.array([low, high], np.float32), METRES, depth_map.inverse_depth)
        words = [f"{word} ({d:.3g} m)" for word, d in zip((far, near), ends.depth)]
        if sum(map(length, words)) + size + 2 * margin <= width:  # or there is no room for them
            far, near = words
    pieces = [(margin, far), (width - margin - round(length(near)), near)]
    return np.concatenate([np.concatenate(pair, axis=1), bar, text_line(pieces, width, size)])
