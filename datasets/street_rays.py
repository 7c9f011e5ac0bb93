"""Exact ray casting against upright boxes and flat ground.

Neither the camera nor the scanner pitches or rolls. The rays of one image column (or of one scanner
azimuth) then lie in one vertical plane and meet the same walls: walls are intersected once per
column in the ground plane, and only heights are left to compare for every ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.street_world import Pose

SKY, GROUND = -2, -1
NEAREST = 0.05  # m, what is nearer along the rays is behind the sensor


@dataclass(frozen=True)
class Rays:
    """A grid of rays: ray (row, column) is at ``t * (directions[column], slopes[row])``.

    For a camera t is the depth, for a scanner the horizontal range, both in metres.
    """

    directions: np.ndarray  # float32 [W, 2], ahead and left, per unit of t
    slopes: np.ndarray  # float32 [H], up per unit of t, falling from row to row


@dataclass(frozen=True)
class Hits:
    """What every ray of a grid meets first.

    ``surface`` is SKY, GROUND, b for a wall of box b, or B + b for the top or the bottom of box b.
    """

    t: np.ndarray  # float32 [H, W], infinite for the sky
    surface: np.ndarray  # int16 [H, W]
    walls: Walls


@dataclass(frozen=True)
class Walls:
    """How the columns of rays pass through the boxes, seen from above; all arrays [B, W]."""

    enter: np.ndarray  # t where the column enters the box, infinite if it passes by
    leave: np.ndarray  # t where it leaves the box
    face: np.ndarray  # which wall it enters: 0 front, 1 back, 2 left, 3 right
    along: np.ndarray  # m, where it enters along that wall, from the wall's end


def cast_rays(boxes: np.ndarray, pose: Pose, height: float, rays: Rays) -> Hits:
    """Intersect rays that start ``height`` metres above the road at ``pose`` with the world."""
    slopes = rays.slopes
    falling = slopes < 0
    ground = np.where(falling, -np.float32(height) / np.where(falling, slopes, -1), np.inf)
    shape = len(slopes), len(rays.directions)
    t = np.repeat(ground[:, None], shape[1], axis=1)
    surface = np.repeat(np.where(falling, GROUND, SKY).astype(np.int16)[:, None], shape[1], axis=1)
    walls = _meet_walls(boxes, pose, rays.directions)
    for index in np.flatnonzero(np.isfinite(walls.enter).any(axis=1)):
        _draw_box(t, surface, boxes, index, walls, height, slopes)
    return Hits(t, surface, walls)


def _meet_walls(boxes: np.ndarray, pose: Pose, directions: np.ndarray) -> Walls:
    """Slab test of every column against every box in the ground plane."""
    turn = pose.yaw - boxes["yaw"].astype(np.float64)
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    ahead, left = directions.T.astype(np.float64)
    direction = np.stack([cos * ahead - sin * left, sin * ahead + cos * left])  # [2, B, W]
    direction = np.where(np.abs(direction) < 1e-9, 1e-9, direction)
    origin = _to_box(boxes, np.array([[pose.x, pose.y]]))[..., None]  # [2, B, 1]
    half = boxes["half"].T[..., None].astype(np.float64)
    first, second = (-half - origin) / direction, (half - origin) / direction
    near, far = np.minimum(first, second), np.maximum(first, second)
    enter, leave = near.max(axis=0), far.min(axis=0)
    axis = near.argmax(axis=0)
    enters_front = np.where(axis == 0, direction[0], direction[1]) < 0
    face = 2 * axis + ~enters_front
    other = np.where(axis == 0, 1, 0)[None]
    along = np.take_along_axis(origin + enter * direction, other, 0)[0]
    along += np.take_along_axis(np.broadcast_to(half, direction.shape), other, 0)[0]
    missed = (enter >= leave) | (enter < NEAREST)
    enter[missed] = np.inf
    return Walls(enter.astype(np.float32), leave.astype(np.float32), face, along.astype(np.float32))


def _to_box(boxes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """World points [N, 2] along the axes of boxes [B] (N or B may be 1): float64 [2, max(N, B)]."""
    x, y = (points - boxes["centre"].astype(np.float64)).T
    cos, sin = np.cos(boxes["yaw"].astype(np.float64)), np.sin(boxes["yaw"].astype(np.float64))
    return np.stack([cos * x + sin * y, cos * y - sin * x])


def _draw_box(
    t: np.ndarray,
    surface: np.ndarray,
    boxes: np.ndarray,
    index: int,
    walls: Walls,
    height: float,
    slopes: np.ndarray,
) -> None:
    """Enter one box into the maps ``t`` and ``surface`` where it is nearer than what they hold."""
    columns = np.flatnonzero(np.isfinite(walls.enter[index]))
    columns = slice(columns[0], columns[-1] + 1)  # a box is convex: no columns between are missed
    enter, leave = walls.enter[index, columns], walls.leave[index, columns]
    bottom = boxes["bottom"][index] - np.float32(height)
    top = boxes["top"][index] - np.float32(height)
    nearest, farthest = enter.min(), leave.max()
    highest = top / (nearest if top > 0 else farthest)
    lowest = bottom / (farthest if bottom > 0 else nearest)
    rows = slice(np.searchsorted(-slopes, -highest), np.searchsorted(-slopes, -lowest, "right"))
    slope = slopes[rows, None]
    t_view, surface_view = t[rows, columns], surface[rows, columns]

    elevation = slope * enter
    hit = (elevation >= bottom) & (elevation <= top) & (enter < t_view)
    np.copyto(t_view, enter[None], where=hit)
    surface_view[hit] = index

    # From between its bottom and its top neither of them is seen.
    flat = top if top < 0 else bottom
    if top < 0 or bottom > 0:
        with np.errstate(divide="ignore"):
            t_flat = flat / slope
        hit = (t_flat >= enter) & (t_flat <= leave) & (t_flat < t_view)
        np.copyto(t_view, t_flat, where=hit)
        surface_view[hit] = len(boxes) + index
