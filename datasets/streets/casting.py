"""Rays against a street: exactly, against upright boxes and flat ground.

Neither the camera nor the scanner pitches or rolls: the rays of one image column (or of one scanner
azimuth) lie in one vertical plane and meet the same walls. Walls are intersected once per column in
the ground plane; of each it is then known which rows of the column see it. All walls of all columns
are worked out at once, and painted into the map of rays from far to near. Maps of rays are kept
column by column in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from datasets.streets.world import Pose

SKY, GROUND = -2, -1
BINS = 4
NEAREST = 0.05  # m, what is nearer along the rays is behind the sensor


@dataclass(frozen=True)
class Rays:
    """A grid of rays: ray (row, column) is at ``t * (directions[column], slopes[row])``.

    For a camera t is the depth, for a scanner the horizontal range, both in metres.
    """

    directions: np.ndarray  # float32 [W, 2], ahead (> 0) and left, per unit of t; left to right
    slopes: np.ndarray  # float32 [H], up per unit of t, falling from row to row

    @cached_property
    def guesses(self) -> np.ndarray:
        """A row at or before the first one that falls as much, for BINS steps a row, int."""
        count = BINS * len(self.slopes)
        falls = np.linspace(-self.slopes[0], -self.slopes[-1], count + 1)
        rows = np.searchsorted(-self.slopes, falls.astype(np.float32))
        return np.concatenate([[0, 0], rows[:-2]])  # whatever is rounded


class Walls(NamedTuple):
    """The wall by which a column of rays enters a box: all pairs of these that meet, [K] each.

    In the order of their columns, and in a column from far to near.
    """

    box: np.ndarray
    column: np.ndarray
    enter: np.ndarray  # float32, t where the column enters the box
    leave: np.ndarray  # t where it leaves the box
    along: np.ndarray  # m, where it enters along the wall, from the wall's end
    facing: np.ndarray  # metres towards the wall per unit of t, near 0 for a grazing ray
    face: np.ndarray  # which wall that is: 0 front, 1 back, 2 left, 3 right
    first: np.ndarray  # the rows of the column that see the wall, if nothing nearer is before it
    last: np.ndarray  # one after them
    covered: np.ndarray  # from this row on, nearer boxes hide it

    def part(self, chosen: np.ndarray) -> Walls:
        """Some of them, chosen by indices or a mask."""
        return Walls(*(values[chosen] for values in self))

    def seen(self) -> Walls:
        """Those that some ray sees, unless what is nearer floats before it; with these rows."""
        last = np.minimum(self.last, self.covered)
        return self._replace(last=last).part(np.flatnonzero(self.first < last))


class Flats(NamedTuple):
    """Rays that see the top or the bottom of a box, [F] each."""

    box: np.ndarray
    column: np.ndarray
    row: np.ndarray
    t: np.ndarray  # float32


@dataclass(frozen=True)
class Hits:
    """What every ray of a grid meets first.

    ``surface`` is SKY, GROUND, b for a wall of box b, or B + b for the top or the bottom of box b.
    Both maps are transposed: their columns are contiguous.
    """

    t: np.ndarray  # float32 [H, W], infinite for the sky
    surface: np.ndarray  # int16 [H, W]


def cast_rays(boxes: np.ndarray, pose: Pose, height: float, rays: Rays) -> Hits:
    """Intersect rays that start ``height`` metres above the road at ``pose`` with the world."""
    walls = meet_walls(boxes, pose, height, rays)
    seen = walls.seen()
    numbers = number_rays(rays, seen.column, seen.first, seen.last)
    t = numbered_depths(rays, seen.enter)
    ground = ground_depths(height, rays)
    flats = meet_flats(boxes, walls, height, rays, numbers, t)
    add_flats(numbers, flats, len(t))
    depth = np.append(t, flats.t).take(numbers)
    np.copyto(depth, ground, where=numbers == 0)
    nothing = np.full(len(t) - len(seen.box), SKY)
    nothing[0] = GROUND
    surface = np.concatenate([nothing, seen.box, len(boxes) + flats.box]).astype(np.int16)
    return Hits(depth.T, surface.take(numbers).T)


def number_rays(
    rays: Rays,
    column: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    order: np.ndarray | None = None,
) -> np.ndarray:
    """A number for what each ray sees, int32 [W, H]: 0 for the ground, 1 + column for the sky.

    And 1 + W + k for entry k of the other arguments, [K], which is seen in a column from row
    ``first`` up to ``last``.

    Args:
        order: the entries from far to near, by default as they are.
    """
    width, height = len(rays.directions), len(rays.slopes)
    first, last = (column * height + rows for rows in (first, last))
    starts = np.zeros(width * height + 1, bool)
    starts[first], starts[last] = True, True
    starts[::height], starts[first_falling(rays) : -1 : height] = True, True
    # Between two starts, all rays of a column see the same.
    edges = np.flatnonzero(starts)
    segments = np.empty(len(starts), np.intp)
    segments[edges] = np.arange(len(edges))
    column, row = np.divmod(edges[:-1], height)
    seen = np.where(rays.slopes.take(row) < 0, 0, 1 + column)
    order = np.arange(len(first)) if order is None else order
    begin, end = (segments.take(places.take(order)) for places in (first, last))
    seen[count_up(begin, end - begin)] = np.repeat(1 + width + order, end - begin)
    return np.repeat(seen.astype(np.int32), np.diff(edges)).reshape(width, height)


def first_falling(rays: Rays) -> int:
    """The first row of rays that meet the ground if nothing is before it."""
    return int(np.searchsorted(-rays.slopes, 0, "right"))


def numbered_depths(rays: Rays, enter: np.ndarray) -> np.ndarray:
    """t by the numbers of :func:`number_rays`, float32 [1 + W + K], infinite for ground and sky."""
    return np.concatenate([np.full(1 + len(rays.directions), np.inf, np.float32), enter])


def ground_depths(height: float, rays: Rays) -> np.ndarray:
    """t at which the rays of each row meet the ground, infinite for the sky, float32 [H]."""
    depths = np.full(len(rays.slopes), np.inf, np.float32)
    first = first_falling(rays)
    depths[first:] = -np.float32(height) / rays.slopes[first:]
    return depths


def add_flats(numbers: np.ndarray, flats: Flats, first: int) -> None:
    """Enter ``first``, ``first + 1``, ... where the map of numbers sees a top or a bottom."""
    numbers[flats.column, flats.row] = np.arange(first, first + len(flats.t))


def count_up(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """From each of ``first``, [K], as many numbers as ``counts`` says: int [counts.sum()]."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - ends + counts, counts)


def meet_walls(boxes: np.ndarray, pose: Pose, height: float, rays: Rays) -> Walls:
    """Slab test of the columns against the boxes in the ground plane, and the rows of each wall."""
    first, last = _column_spans(boxes, pose, rays.directions)
    counts = np.maximum(last - first, 0)
    box, column = np.repeat(np.arange(len(boxes)), counts), count_up(first, counts)
    turn = pose.yaw - boxes["yaw"].astype(np.float64)
    cos, sin = np.cos(turn).take(box), np.sin(turn).take(box)
    ahead, left = (axis.take(column).astype(np.float64) for axis in rays.directions.T)
    origin = [axis.take(box) for axis in _from_centres(boxes, pose)]
    half = [axis.take(box).astype(np.float64) for axis in boxes["half"].T]
    direction = cos * ahead - sin * left, sin * ahead + cos * left
    near, far = [], []
    for place, extent, step in zip(origin, half, direction):
        step[np.abs(step) < 1e-9] = 1e-9
        # A ray is inside for half a width before and after it passes the centre.
        at_centre, reach = -place / step, extent / np.abs(step)
        near.append(at_centre - reach)
        far.append(at_centre + reach)
    is_side = near[1] > near[0]
    enter, leave = np.maximum(*near), np.minimum(*far)
    towards = np.where(is_side, direction[1], direction[0])
    along = np.where(is_side, origin[0], origin[1]) + np.where(is_side, half[0], half[1])
    along += enter * np.where(is_side, direction[0], direction[1])
    face = 2 * is_side + (towards >= 0)

    met = np.flatnonzero((enter < leave) & (enter >= NEAREST))
    enter = enter.astype(np.float32)
    # One key for both: positive floats are in the order of their bits.
    key = (column.take(met) << 32) | enter.take(met).view(np.int32)
    order = met.take(np.argsort(key, kind="stable"))
    box, column, enter, face = (values.take(order) for values in (box, column, enter, face))
    measures = (leave, along, np.abs(towards))
    leave, along, facing = (values.take(order).astype(np.float32) for values in measures)
    bottom, top = ((boxes[edge] - np.float32(height)).take(box) for edge in ("bottom", "top"))
    above, below = rows_from(rays, top / enter), rows_to(rays, bottom / enter)
    is_on_ground = (boxes["bottom"] <= boxes["bottom"].min(initial=0)).take(box)
    covered = _covered_rows(column, np.where(is_on_ground, above, len(rays.slopes)), rays)
    walls = Walls(box, column, enter, leave, along, facing, face, above, below, covered)
    return walls.part(np.s_[::-1])


def rows_from(rays: Rays, slope: np.ndarray) -> np.ndarray:
    """The first row whose rays do not rise more than ``slope``, float32 [N]; H if all do."""
    return _first_row(rays, -slope, np.less)


def rows_to(rays: Rays, slope: np.ndarray) -> np.ndarray:
    """The row after the last one whose rays rise at least as much as ``slope``."""
    return _first_row(rays, -slope, np.less_equal)


def _first_row(rays: Rays, fall: np.ndarray, is_before: np.ufunc) -> np.ndarray:
    """As ``np.searchsorted`` finds it, in a tenth of the time."""
    falls = np.append(-rays.slopes, np.float32(np.nan))  # which is before nothing
    scale = np.float32((len(rays.guesses) - 1) / (falls[-2] - falls[0]))
    bins = np.clip((fall - falls[0]) * scale, 0, len(rays.guesses) - 1).astype(np.int32)
    rows = rays.guesses.take(bins)
    while True:
        wrong = is_before(falls.take(rows), fall)
        if not wrong.any():
            return rows
        rows += wrong


def _covered_rows(column: np.ndarray, upper: np.ndarray, rays: Rays) -> np.ndarray:
    """The row from which on nearer boxes hide whatever is behind them, for each of sorted walls.

    A box that stands on the ground hides all below its upper edge: what is behind it begins higher.

    Args:
        column: columns of walls, from near to far in each column, [K].
        upper: the first row of the wall, H if it does not reach down to the ground.
    """
    # One running minimum for all columns: each is put lower than the one before it.
    depth = len(rays.slopes) + 1
    lowest = np.minimum.accumulate(upper - column * depth)
    before = np.append(depth, lowest)[: len(column)] + column * depth
    return np.minimum(before, len(rays.slopes))


def _from_centres(boxes: np.ndarray, pose: Pose) -> np.ndarray:
    """Where the sensor is along the axes of each box, from its centre, float64 [2, B]."""
    yaw = boxes["yaw"].astype(np.float64)
    x, y = (np.array([pose.x, pose.y]) - boxes["centre"].astype(np.float64)).T
    return np.stack([np.cos(yaw) * x + np.sin(yaw) * y, np.cos(yaw) * y - np.sin(yaw) * x])


def _column_spans(
    boxes: np.ndarray, pose: Pose, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The first column that may meet each box, and the one after the last: int [B] both.

    The columns that do meet it are between its outermost corners. A corner behind the sensor is
    taken to the plane just before it, as far to the side as it is: no less of the box is seen.
    """
    forward, sideways = _from_centres(boxes, pose)
    turn = pose.yaw - boxes["yaw"].astype(np.float64)
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    x = boxes["half"][:, :1] * np.array([1, 1, -1, -1]) - forward[:, None]
    y = boxes["half"][:, 1:] * np.array([1, -1, 1, -1]) - sideways[:, None]
    ahead, left = cos * x + sin * y, cos * y - sin * x  # of the corners, [B, 4]
    is_behind = (ahead < NEAREST).any(axis=1, keepdims=True)
    bearing = left / np.maximum(ahead, NEAREST)
    bearing = np.concatenate([bearing, np.where(is_behind, left / NEAREST, bearing)], axis=1)
    columns = -directions[:, 1].astype(np.float64) / directions[:, 0]  # rising
    # One more on each side, whatever is rounded.
    first = np.searchsorted(columns, -bearing.max(axis=1)) - 1
    last = np.searchsorted(columns, -bearing.min(axis=1)) + 1
    return np.maximum(first, 0), np.minimum(last, len(columns))


def meet_flats(
    boxes: np.ndarray,
    walls: Walls,
    height: float,
    rays: Rays,
    numbers: np.ndarray,
    t: np.ndarray,
) -> Flats:
    """The rays that see tops and bottoms of boxes, from far to near.

    ``numbers``, [W, H], says what else rays see, and ``t`` where that is.
    """
    bottom, top = (boxes[edge] - np.float32(height) for edge in ("bottom", "top"))
    # From between its bottom and its top neither of them is seen.
    level = np.where(top < 0, top, np.maximum(bottom, 0))[walls.box]
    chosen = np.flatnonzero(level)
    walls, level = walls.part(chosen), level.take(chosen)
    near, far = level / walls.enter, level / walls.leave
    first = rows_from(rays, np.maximum(near, far))
    last = np.minimum(rows_to(rays, np.minimum(near, far)), walls.covered)
    counts = np.maximum(last - first, 0)
    place = count_up(walls.column * len(rays.slopes) + first, counts)
    # Of rays along the horizon none is among them.
    own = np.repeat(level, counts) / rays.slopes.take(place % len(rays.slopes))
    seen = np.flatnonzero(own < t.take(numbers.reshape(-1).take(place)))
    seen = seen.take(np.argsort(-own.take(seen), kind="stable"))
    column, row = np.divmod(place.take(seen), len(rays.slopes))
    return Flats(np.repeat(walls.box, counts).take(seen), column, row, own.take(seen))


def visible_boxes(boxes: np.ndarray, pose: Pose, view_range: float = 220.0) -> np.ndarray:
    """Only the boxes that may be in front of the sensor and within ``view_range`` metres."""
    x, y = (boxes["centre"] - (pose.x, pose.y)).T
    ahead = np.cos(pose.yaw) * x + np.sin(pose.yaw) * y
    reach = np.hypot(*boxes["half"].T)
    return boxes[(ahead > -reach) & (ahead < view_range + reach)]
