"""What the ground of a street looks like: road with markings, kerb, pavement and grass."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from datasets.streets.casting import ground_depths
from datasets.streets.sensors import CAMERA_HEIGHT
from datasets.streets.surfaces import (
    COARSE,
    COARSE_SHARE,
    FINE_SHARE,
    HAZE_COLOR,
    MIDDLE,
    TEXEL,
    Scene,
    steps_of,
    veil_at,
)
from datasets.streets.texture import COLUMNS, ROWS, level_of, look_up, places
from datasets.streets.world import CentreLine

EDGES = (6.2, 6.45, 9.0)  # m from the centre: road, kerb, pavement
CONTRAST, LINE_CONTRAST = 1.1, 0.4
LINE_COLOR = np.array([0.80, 0.80, 0.78], np.float32)
KNOTS = 8  # columns from one at which the road's curve is worked out to the next


class Ground(NamedTuple):
    """What rows of rays, [G], and columns, [W], see of the ground; all float32.

    Every second row and column begins a pixel.
    """

    depth: np.ndarray  # [G]
    along_pixel: np.ndarray  # m that one pixel covers along the view, [G]
    across_pixel: np.ndarray
    x: np.ndarray  # m in the world, [W, G]
    across: np.ndarray  # m to the left of the centre of the road


def see_ground(scene: Scene, centre_line: CentreLine, columns: slice, rows: slice) -> Ground:
    """Where rays meet the ground if nothing is before it."""
    depth = ground_depths(CAMERA_HEIGHT, scene.rays)
    # A row of the sky, where a pixel has one of either, is taken along.
    depth = np.where(np.isfinite(depth[rows]), depth[rows], np.float32(1))
    focal_x, focal_y = scene.focal
    steps = steps_of(scene)[:, columns]
    x = steps[0, :, None] * depth
    x += np.float32(scene.pose.x)
    # Straight from knot to knot, and beyond the last column.
    knots = np.arange(0, steps.shape[1] + KNOTS, KNOTS, dtype=np.float32)
    steps = steps[:, :1] + knots * (steps[:, 1:2] - steps[:, :1])
    knot_x = np.float32(scene.pose.x) + steps[0, :, None] * depth
    offset, slope = centre_line.offset_and_slope(knot_x)
    knot_y = np.float32(scene.pose.y) + steps[1, :, None] * depth
    start = ((knot_y - offset) / np.sqrt(1 + slope * slope))[:, None]
    across = np.diff(start, axis=0) * (np.arange(KNOTS, dtype=np.float32) / KNOTS)[:, None]
    across += start[:-1]
    across = across.reshape(-1, len(depth))[: len(x)]
    along_pixel = depth * depth / (np.float32(CAMERA_HEIGHT) * focal_y)
    return Ground(depth, along_pixel, depth / focal_x, x, across)


def shade_ground(scene: Scene, ground: Ground, seen: np.ndarray) -> np.ndarray:
    """What the ground adds to pixels, float32 [3, W / 2, G / 2].

    ``seen`` says of which rays, [W, G]; the others of a pixel add nothing.
    """
    texture, colors = scene.appearance.texture, scene.appearance.ground_colors
    level_u, level_v = level_of(ground.along_pixel / TEXEL), level_of(ground.across_pixel / TEXEL)
    x = places(ground.x * np.float32(1 / TEXEL), level_u, COLUMNS)
    y = places(ground.across * np.float32(1 / TEXEL), level_v, ROWS)
    fine = look_up(texture.atlas, x, y)
    fine *= np.float32(FINE_SHARE * CONTRAST)
    # All but the fine texture is the same for the rays of a pixel, or nearly so.
    halves = ((values[::2] + values[1::2]) / 2 for values in ground[:3])
    whole = Ground(*halves, _pixels(ground.x), _pixels(ground.across))
    coarse = np.float32(1 / (TEXEL * COARSE))
    level_u, level_v = (level_of(e * coarse) for e in (whole.along_pixel, whole.across_pixel))
    x, y = places(whole.x * coarse, level_u, COLUMNS), places(whole.across * coarse, level_v, ROWS)
    base = look_up(texture.turned, x, y)
    base *= np.float32(COARSE_SHARE * CONTRAST)
    base += np.float32(1 - MIDDLE * CONTRAST)
    veil = veil_at(whole.depth)
    seen = seen.astype(np.float32)
    share = _pixels(seen)
    gain = base * share
    gain += _pixels(fine * seen)
    gain *= 1 - veil
    veil = veil * share
    kind = _kinds(np.abs(whole.across))
    planes = np.stack(
        [color.take(kind) * gain + haze * veil for color, haze in zip(colors.T, HAZE_COLOR)]
    )
    chosen = np.flatnonzero(_is_mixed(ground, whole) & (share > 0))
    planes.reshape(3, -1)[:, chosen] = _shade_mixed(scene, ground, chosen, base, fine, seen)
    return planes


def _shade_mixed(
    scene: Scene,
    ground: Ground,
    pixels: np.ndarray,
    base: np.ndarray,
    fine: np.ndarray,
    seen: np.ndarray,
) -> np.ndarray:
    """Colours of pixels, [M], whose rays see different things, float32 [3, M].

    Their gain is the sum of ``base``, [W / 2, G / 2], and of ``fine``, [W, G].
    """
    column, row = 2 * np.stack(np.divmod(pixels, base.shape[1]))
    column, row = column + np.array([[0], [0], [1], [1]]), row + np.array([[0], [1], [0], [1]])
    ray = column * len(ground.depth) + row  # [4, M]
    gain = base.take(pixels) + fine.take(ray)
    side = np.abs(ground.across.take(ray))
    extents = ground.along_pixel.take(row), ground.across_pixel.take(row)
    paint = _coverage(ground.x.take(ray), side, *extents)
    veil, shown = veil_at(ground.depth).take(row), seen.take(ray) / 4
    bare = gain * (1 - paint) * (1 - veil) * shown
    # Paint is less rough than the ground.
    paint *= (1 + (gain - 1) * np.float32(LINE_CONTRAST / CONTRAST)) * (1 - veil) * shown
    kind, veil = _kinds(side), veil * shown
    planes = [
        (color.take(kind) * bare + line * paint + haze * veil).sum(axis=0)
        for color, line, haze in zip(scene.appearance.ground_colors.T, LINE_COLOR, HAZE_COLOR)
    ]
    return np.stack(planes)


def _pixels(rays: np.ndarray) -> np.ndarray:
    """The means of the rays of pixels, [W / 2, G / 2]."""
    return cv2.resize(rays, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


def _kinds(side: np.ndarray) -> np.ndarray:
    """The kind of ground at distances from the centre of the road, by its place among colours."""
    return sum((side > edge).view(np.int8) for edge in EDGES).astype(np.intp)


def _is_mixed(ground: Ground, whole: Ground) -> np.ndarray:
    """Which pixels may see paint, or more than one kind of ground, bool [W / 2, G / 2].

    ``whole`` is the ground at the middle of pixels.
    """
    side = np.abs(whole.across)
    spread = _spread(ground.across, whole.across)
    reach = spread + whole.across_pixel * np.float32(0.6)
    mixed = side < reach + 0.08
    mixed |= np.abs(side - np.float32(3.7)) < reach + 0.06
    for edge in EDGES:
        mixed |= np.abs(side - np.float32(edge)) <= spread
    reach = _spread(ground.x, whole.x) + whole.along_pixel * np.float32(0.6)
    bay = _from_multiple(whole.x, 6) < reach + 0.06
    bay &= side > 3.7 - spread
    bay &= side < 6.2 + spread
    mixed |= bay
    return mixed


def _spread(rays: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """How far the rays of pixels are from their middles, [W / 2, G / 2], and a little more."""
    one, other = np.abs(rays[::2, ::2] - whole), np.abs(rays[::2, 1::2] - whole)
    return np.maximum(one, other) * np.float32(1.1)


def _coverage(
    along: np.ndarray, side: np.ndarray, along_pixel: np.ndarray, across_pixel: np.ndarray
) -> np.ndarray:
    """Coverage by paint: a dashed line in the middle and a thin one beside the parked cars."""
    dash = _stripe(side, 0.08, across_pixel) * _stripe(_from_multiple(along, 7), 1.6, along_pixel)
    edge = _stripe(np.abs(side - 3.7), 0.06, across_pixel)
    bay = _stripe(_from_multiple(along, 6), 0.06, along_pixel)
    return np.maximum(np.maximum(dash, edge), ((side > 3.7) & (side < 6.2)) * bay)


def _from_multiple(distance: np.ndarray, spacing: float) -> np.ndarray:
    """How far distances are from the nearest multiple of a spacing."""
    turns = distance * np.float32(1 / spacing)
    turns -= np.rint(turns)
    np.abs(turns, out=turns)
    turns *= np.float32(spacing)
    return turns


def _stripe(distance: np.ndarray, half_width: float, pixel: np.ndarray) -> np.ndarray:
    """How much of a pixel a stripe covers whose middle is ``distance`` metres away, in [0, 1]."""
    inner = np.clip((half_width + pixel / 2 - distance) / pixel, 0, 1)
    return np.minimum(inner, 2 * half_width / pixel)
