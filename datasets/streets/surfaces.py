"""What the surfaces of a street look like: walls with windows, cars, tops, and the sky.

A ray's colour is ``color * gain + accent * gain * hue + constant``, where gain and hue come from
the texture. All else is the same for all rays of a column that see one wall, and worked out once
for these. Patterns are functions of where a surface is hit, never of the camera, so that a point
looks alike from everywhere; only haze and the blur of distant texture depend on depth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from datasets.camera import Camera
from datasets.streets.casting import Flats, Rays, Walls, count_up, rows_from, rows_to
from datasets.streets.sensors import CAMERA_HEIGHT
from datasets.streets.texture import COLUMNS, ROWS, level_of, lines, places
from datasets.streets.world import BUILDING, CAR, Appearance, Pose

TEXEL = 0.04  # m
COARSE = 6.7  # a second, larger copy of the texture hides that it repeats
# How bright a point is: shares of the texture and of its copy, about what they are in the middle.
FINE_SHARE, COARSE_SHARE, MIDDLE = 0.9, 0.7, 0.8
HAZE_RANGE = 500.0  # m
HAZE_COLOR = np.array([0.80, 0.83, 0.86], np.float32)
SHIFT_OF_FACES = 37 * TEXEL  # m, by which the textures of a box's faces differ
LIGHT_COLORS = np.array([[0.85, 0.85, 0.80], [0.65, 0.10, 0.08]])  # of a car, front and back
GLASS_COLOR = np.array([0.13, 0.16, 0.20])


@dataclass(frozen=True)
class Scene:
    """From where a street is seen, and what stands there."""

    appearance: Appearance
    boxes: np.ndarray  # BOX [B]
    pose: Pose
    camera: Camera
    rays: Rays

    @property
    def focal(self) -> tuple[np.float32, np.float32]:
        """Focal lengths in pixels, across and up."""
        return np.float32(self.camera.K[0, 0]), np.float32(self.camera.K[1, 1])


class Texturing(NamedTuple):
    """Where rays find the texture, by what they see: at (x, y + dy * slope) of an atlas, [N] each.

    Of the texture itself, and of its larger copy, for which u and v are exchanged so that the two
    are nowhere aligned.
    """

    x: np.ndarray
    y: np.ndarray
    dy: np.ndarray
    coarse_x: np.ndarray
    coarse_y: np.ndarray
    coarse_dy: np.ndarray
    contrast: np.ndarray


class Paint(NamedTuple):
    """Colours by what is seen, float32 [3, N] each."""

    color: np.ndarray
    accent: np.ndarray
    constant: np.ndarray


class Details(NamedTuple):
    """Parts of walls that look different from the rest, [D] each."""

    wall: np.ndarray  # the number of the wall
    first: np.ndarray  # rows of its column
    last: np.ndarray
    share: np.ndarray  # how much of the wall's own colour is left
    color: np.ndarray  # what is added to it, [D, 3]


def veil_at(depth: np.ndarray) -> np.ndarray:
    """How much of the haze's colour lies over what is at a depth, in [0, 1]."""
    return 1 - np.exp(depth * np.float32(-1 / HAZE_RANGE))


def texels(metres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres on a surface as texels of the texture, and of its larger copy."""
    fine = metres * np.float32(1 / TEXEL)
    return fine, fine * np.float32(1 / COARSE)


def steps_of(scene: Scene) -> np.ndarray:
    """World x and y per metre of depth of every column, float32 [2, W]."""
    cos, sin = np.float32(np.cos(scene.pose.yaw)), np.float32(np.sin(scene.pose.yaw))
    ahead, left = scene.rays.directions.T
    return np.stack([cos * ahead - sin * left, sin * ahead + cos * left])


def texture_sky(scene: Scene) -> Texturing:
    """The clouds' texture for every column, [W].

    It has no larger copy: in the place of y there, the elevation is worked out.
    """
    ahead, left = scene.rays.directions.T
    bearing = (scene.pose.yaw + np.arctan2(left, ahead)).astype(np.float32)
    level, nothing = np.zeros(len(ahead), int), np.zeros(len(ahead), np.float32)
    y, dy = lines(nothing, 140 / np.hypot(ahead, left), nothing, level)
    x, rise = places(bearing * 60, level, COLUMNS), 1 / np.hypot(ahead, left)
    return Texturing(x, y, dy, nothing, nothing, rise, nothing)


def sky_gain(elevation: np.ndarray, clouds: np.ndarray, count: np.ndarray) -> np.ndarray:
    """How blue the sky is: from 0 to 1, and summed over ``count`` rays, as ``clouds`` are."""
    return np.clip(2 * count * elevation - np.float32(0.6) * (clouds - count / 2), 0, count)


def paint_sky(scene: Scene) -> Paint:
    """From haze, where the gain is 0, to the zenith, where it is 1; for every column, [3, W]."""
    zenith, nothing = scene.appearance.zenith_color - HAZE_COLOR, np.zeros(3)
    return Paint(*(_columns(color, scene) for color in (zenith, nothing, HAZE_COLOR)))


def _columns(color: np.ndarray, scene: Scene) -> np.ndarray:
    return np.repeat(color[:, None], len(scene.rays.directions), axis=1)


def texture_walls(scene: Scene, walls: Walls) -> Texturing:
    """How walls are textured, [K]."""
    focal_x, focal_y = scene.focal
    # How much wall a pixel covers: the more, the less squarely it is seen.
    along_pixel = walls.enter / (np.maximum(walls.facing, np.float32(1e-3)) * focal_x)
    up_pixel = walls.enter / focal_y
    shift_u, shift_v = scene.boxes["phase"].T * TEXEL
    u = shift_u.take(walls.box) + walls.face * SHIFT_OF_FACES + walls.along
    v = shift_v.take(walls.box) + walls.face * SHIFT_OF_FACES + CAMERA_HEIGHT
    lowest = scene.rays.slopes.take(walls.last - 1)
    found = []
    metres = u, v, walls.enter, along_pixel, up_pixel
    for each_u, each_v, step, du, dv in zip(*map(texels, metres)):
        found.append(places(each_u, level_of(du), COLUMNS))
        found.extend(lines(each_v, step, lowest, level_of(dv)))
    return Texturing(*found, scene.boxes["contrast"].take(walls.box))


def paint_walls(scene: Scene, walls: Walls, details: Details) -> Paint:
    """The colours of walls, and of their details behind them, [3, K + D]."""
    outward = scene.boxes["yaw"][:, None] + np.array([0, np.pi, np.pi / 2, -np.pi / 2])
    sun = 0.85 + 0.25 * np.cos(outward - scene.appearance.sun_azimuth)
    veil = veil_at(walls.enter)
    light = sun[walls.box, walls.face].astype(np.float32) * (1 - veil)
    color, accent, haze = _paint(scene, walls.box, light, veil)
    owner, share = details.wall, details.share
    added = haze[:, owner] + light.take(owner) * details.color.T
    own = color[:, owner] * share, accent[:, owner] * share, added
    return Paint(*(np.hstack(pair) for pair in zip((color, accent, haze), own)))


def texture_flats(scene: Scene, flats: Flats) -> Texturing:
    """How tops and bottoms of boxes are textured, [F]."""
    x, y = np.array([scene.pose.x, scene.pose.y])[:, None] - scene.boxes["centre"].T
    cos, sin = np.cos(scene.boxes["yaw"]), np.sin(scene.boxes["yaw"])
    x_step, y_step = (steps.take(flats.column) for steps in steps_of(scene))
    box, t = flats.box, flats.t
    along = (cos * x + sin * y).take(box) + t * (cos.take(box) * x_step + sin.take(box) * y_step)
    across = (cos * y - sin * x).take(box) + t * (cos.take(box) * y_step - sin.take(box) * x_step)
    shift_u, shift_v = scene.boxes["phase"].T * np.float32(TEXEL)
    u, v = shift_u.take(box) + along, shift_v.take(box) + across
    pixel, level = t / scene.focal[0], np.zeros(len(t), np.float32)
    found = []
    for each_u, each_v, du, dv in zip(*map(texels, (u, v, 4 * pixel, pixel))):
        found += places(each_u, level_of(du), COLUMNS), places(each_v, level_of(dv), ROWS), level
    return Texturing(*found, scene.boxes["contrast"].take(box))


def paint_flats(scene: Scene, flats: Flats) -> Paint:
    """The colours of tops and bottoms of boxes, [3, F]: bright from above, dark from below."""
    light = np.where(scene.boxes["top"] < CAMERA_HEIGHT, np.float32(1.1), np.float32(0.55))
    veil = veil_at(flats.t)
    return _paint(scene, flats.box, light.take(flats.box) * (1 - veil), veil)


def _paint(scene: Scene, box: np.ndarray, light: np.ndarray, veil: np.ndarray) -> Paint:
    """The colours of boxes under a light, behind a veil of haze, [3, N]."""
    first, second = (scene.boxes[name].T for name in ("color", "accent"))
    color, accent = (np.take(each, box, axis=1) * light for each in (first, second - first))
    return Paint(color, accent, veil * HAZE_COLOR[:, None])


def details_of(scene: Scene, walls: Walls) -> Details:
    """The windows of facades; wheels, lights and dark undersides of cars."""
    material = scene.boxes["material"].take(walls.box)
    facades, bodies = (np.flatnonzero(material == each) for each in (BUILDING, CAR))
    parts = [*_windows(scene, walls, facades), *_car_details(scene, walls, bodies)]
    found = Details(*(np.concatenate(each) for each in zip(*parts)))
    keep = np.flatnonzero(found.first < found.last)
    return Details(*(values[keep] for values in found))


def _detail(
    scene: Scene,
    walls: Walls,
    wall: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    share: float,
    color: np.ndarray,
) -> Details:
    """What is between two heights on some of the walls; the colour is [3] or [D, 3]."""
    t = walls.enter.take(wall)
    first = rows_from(scene.rays, ((high - CAMERA_HEIGHT) / t).astype(np.float32))
    last = rows_to(scene.rays, ((low - CAMERA_HEIGHT) / t).astype(np.float32))
    rows = np.maximum(first, walls.first.take(wall)), np.minimum(last, walls.last.take(wall))
    colors = np.broadcast_to(np.asarray(color, np.float32), (len(wall), 3))
    return Details(wall, *rows, np.full(len(wall), share, np.float32), colors)


def _windows(scene: Scene, walls: Walls, facades: np.ndarray) -> list[Details]:
    """Rows of framed windows, each of its own brightness."""
    box = walls.box.take(facades)
    width, height = (each.take(box) for each in scene.boxes["pattern"].T)
    column = walls.along.take(facades) / width
    x = np.abs(column - np.floor(column) - 0.5)
    storeys = np.where(x < 0.30, np.ceil(scene.boxes["top"].take(box) / height), 0).astype(int)
    own = np.repeat(np.arange(len(facades)), storeys)
    storey, height = count_up(np.zeros(len(facades), int), storeys), height.take(own)
    frames = (storey + 0.22) * height, (storey + 0.88) * height
    panes = (storey + 0.27) * height, (storey + 0.83) * height
    has_pane = np.flatnonzero(((x < 0.24) & (x > 0.015)).take(own))
    # Any scrambled but fixed number per window will do.
    phase = scene.boxes["phase"][:, 0].take(box)
    code = (np.float32(12.9898) * np.floor(column) + phase).take(own)
    code += np.float32(78.233) * storey.astype(np.float32)
    scatter = np.abs(np.sin(code)) * np.float32(437.5)
    glass = np.float32(0.30) * (scatter - np.floor(scatter))[:, None] + GLASS_COLOR
    wall = facades.take(own)
    return [
        _detail(scene, walls, wall, *frames, 0.4, np.full(3, 0.42)),
        # A pane lies on its frame.
        _detail(
            scene,
            walls,
            wall.take(has_pane),
            *(each.take(has_pane) for each in panes),
            0.15 * 0.4,
            0.15 * 0.42 + glass[has_pane],
        ),
    ]


def _car_details(scene: Scene, walls: Walls, bodies: np.ndarray) -> list[Details]:
    """Wheels, lights and a dark underside."""
    length, width = 2 * scene.boxes["half"][walls.box.take(bodies)].T
    face, along = walls.face.take(bodies), walls.along.take(bodies)
    from_axle = np.where(face < 2, np.inf, np.abs(np.abs(along - length / 2) - 0.31 * length))
    low = np.zeros(len(bodies))
    parts = [_detail(scene, walls, bodies, low - 1, low + 0.22, 0, np.full(3, 0.09))]
    for radius, grey in ((0.31, 0.09), (0.17, 0.45)):
        near = np.flatnonzero(from_axle < radius)
        reach = np.sqrt(radius**2 - from_axle[near] ** 2)
        ends = 0.30 - reach, 0.30 + reach
        parts.append(_detail(scene, walls, bodies[near], *ends, 0, np.full(3, grey)))
    for which, color in enumerate(LIGHT_COLORS):
        lit = np.flatnonzero((face == which) & (np.abs(along - width / 2) > 0.36 * width))
        parts.append(_detail(scene, walls, bodies[lit], low[lit] + 0.58, low[lit] + 0.78, 0, color))
    return parts
