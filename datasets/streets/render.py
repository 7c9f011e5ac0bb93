"""Pictures and exact depth of generated streets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np

from datasets.camera import Camera
from datasets.streets.sensors import (
    CAMERA_HEIGHT,
    GROUND,
    SKY,
    Hits,
    Rays,
    camera_rays,
    cast_rays,
    visible_boxes,
)
from datasets.streets.world import BUILDING, CAR, Pose, Street

SUPERSAMPLING = 2  # rays per pixel along each axis
TEXEL = 0.04  # m
COARSE = 6.7  # a second, larger copy of the texture hides that it repeats
HAZE_RANGE = 500.0  # m
HAZE_COLOR = np.array([0.80, 0.83, 0.86], np.float32)
LINE_COLOR = np.array([0.80, 0.80, 0.78], np.float32)
GROUND_EDGES = np.array([6.2, 6.45, 9.0], np.float32)  # m from the centre: road, kerb, pavement


@dataclass(frozen=True)
class View:
    """What is seen at the pixel centres of a picture.

    Attributes:
        depth: metres, infinite for the sky, float32 [H, W].
        objects: number of the car, pole or tree, 0 for everything else, int32 [H, W].
        kinds: kind of every object of the drive by its number, seen or not.
    """

    depth: np.ndarray
    objects: np.ndarray
    kinds: Mapping[int, str]


def render_depth(street: Street, frame: int, pose: Pose, camera: Camera) -> np.ndarray:
    """Exact depth at the pixel centres in metres, infinite for the sky: float32 [H, W]."""
    return render_view(street, frame, pose, camera).depth


def render_view(street: Street, frame: int, pose: Pose, camera: Camera) -> View:
    """Exact depth and the objects at the pixel centres of a picture by ``render_image``."""
    boxes = visible_boxes(street.boxes_at(frame), pose)
    hits = cast_rays(boxes, pose, CAMERA_HEIGHT, camera_rays(camera))
    # Walls, then tops and bottoms, then what is no box: SKY and GROUND, -2 and -1, find the end.
    numbers = np.concatenate([np.tile(boxes["object"], 2), np.zeros(2, np.int32)])
    return View(hits.t, numbers[hits.surface], street.object_kinds())


def render_image(street: Street, frame: int, pose: Pose, camera: Camera) -> np.ndarray:
    """The street at ``frame`` as a camera at ``pose`` sees it: RGB, uint8 [H, W, 3]."""
    boxes = visible_boxes(street.boxes_at(frame), pose)
    rays = camera_rays(camera, SUPERSAMPLING)
    hits = cast_rays(boxes, pose, CAMERA_HEIGHT, rays)
    colors = _Shader(street, boxes, pose, camera, rays, hits).colors()
    columns = colors.reshape(3, -1, SUPERSAMPLING, colors.shape[2]).sum(axis=2)
    pixels = reduce(np.add, (columns[:, :, i::SUPERSAMPLING] for i in range(SUPERSAMPLING)))
    pixels *= 255 * street.appearance.exposure / SUPERSAMPLING**2
    pixels += 0.5
    pixels = np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(2, 1, 0))


@dataclass(frozen=True)
class _Runs:
    """Rays one below the other that hit the same surface, or beside each other on the ground.

    What such a run shares is worked out once: most of what makes up a colour.
    """

    first: np.ndarray  # int [R], flat index of its first ray in maps [W, H]
    counts: np.ndarray  # int [R], number of its rays

    def spread(self, values: np.ndarray) -> np.ndarray:
        """What each run has, [R], as what each ray has, [N]."""
        return np.repeat(values, self.counts)

    def count_up(self, first: np.ndarray) -> np.ndarray:
        """From the number of each run, [R], one more for each of its rays, int [N]."""
        before = np.cumsum(self.counts) - self.counts
        return np.arange(self.counts.sum()) + self.spread(first - before)

    def indices(self) -> np.ndarray:
        """The flat indices of all rays, int [N]."""
        return self.count_up(self.first)

    def part(self, chosen: np.ndarray) -> _Runs:
        """Some of the runs, chosen by indices or a mask."""
        return _Runs(self.first[chosen], self.counts[chosen])


@dataclass(frozen=True)
class _Shader:
    """Colours the hits of one picture. Colours of rays are three planes, float32 [3, N].

    All patterns are functions of where the surface is hit, never of the camera, so that a point
    looks alike from everywhere; only haze and the blur of distant texture depend on depth.
    """

    street: Street
    boxes: np.ndarray
    pose: Pose
    camera: Camera
    rays: Rays
    hits: Hits

    def colors(self) -> np.ndarray:
        """Colours of all rays, float32 [3, W, H]."""
        surface = self.hits.surface.T
        starts = np.ones(surface.shape, bool)
        np.not_equal(surface[:, 1:], surface[:, :-1], out=starts[:, 1:])
        first = np.flatnonzero(starts)
        runs = _Runs(first, np.diff(first, append=surface.size))
        surface = surface.ravel()[first]
        colors = np.empty((3, *starts.shape), np.float32)
        is_wall = (surface >= 0) & (surface < len(self.boxes))
        for part, shade in (
            (surface == SKY, self._sky),
            (is_wall, self._walls),
            (surface >= len(self.boxes), self._tops),
        ):
            if part.any():
                shade(colors.reshape(3, -1), runs.part(part), surface[part])
        self._ground(colors)
        return colors

    def _sky(self, colors: np.ndarray, runs: _Runs, _: np.ndarray) -> None:
        index = runs.indices()
        ahead, left = self.rays.directions[runs.first // len(self.rays.slopes)].T
        bearing = (self.pose.yaw + np.arctan2(left, ahead)).astype(np.float32)
        elevation = self._slopes(runs) * runs.spread(1 / np.hypot(ahead, left))
        extent = np.full(len(bearing), 0.5, np.float32)
        look = self.street.appearance
        clouds = look.texture.sample(bearing * 60, elevation * 140, extent, extent, runs.counts)
        blend = np.clip(elevation * 2 - 0.6 * (clouds - 0.5), 0, 1)
        for plane, haze, zenith in zip(colors, HAZE_COLOR, look.zenith_color):
            plane[index] = haze + blend * (zenith - haze)

    def _ground(self, colors: np.ndarray) -> None:
        """Unlike the others row by row: at a depth, all is seen with the same blur."""
        is_ground = np.ascontiguousarray(self.hits.surface == GROUND)
        rows = np.flatnonzero(is_ground.any(axis=1))
        if not len(rows):
            return
        counts = np.count_nonzero(is_ground[rows], axis=1)
        column = np.flatnonzero(is_ground[rows]) % is_ground.shape[1]
        depth = np.float32(-CAMERA_HEIGHT) / self.rays.slopes[rows]
        x_step, y_step = self._steps()
        spread_depth = np.repeat(depth, counts)
        x = np.float32(self.pose.x) + spread_depth * x_step[column]
        y = np.float32(self.pose.y) + spread_depth * y_step[column]
        offset, slope = self.street.centre_line.offset_and_slope(x)
        across = (y - offset) / np.sqrt(1 + slope * slope)
        across_pixel = depth / np.float32(self.camera.K[0, 0])
        along_pixel = depth * depth / np.float32(CAMERA_HEIGHT * self.camera.K[1, 1])
        brightness, _ = self._noise(x, across, along_pixel, across_pixel, counts)
        paint = _lane_markings(x, across, along_pixel, across_pixel, counts)
        kind = np.searchsorted(GROUND_EDGES, np.abs(across))
        gain, line_gain = 1 + 1.1 * brightness, 1 + 0.4 * brightness
        veil = np.repeat(_veil(depth), counts)
        index = column * len(self.rays.slopes) + np.repeat(rows, counts)
        grounds = self.street.appearance.ground_colors.T
        planes = colors.reshape(3, -1)
        for plane, ground, line, haze in zip(planes, grounds, LINE_COLOR, HAZE_COLOR):
            color = ground[kind] * gain
            color += paint * (line * line_gain - color)
            color += veil * (haze - color)
            plane[index] = color

    def _walls(self, colors: np.ndarray, runs: _Runs, box: np.ndarray) -> None:
        # By material, so that all rays on buildings and all on cars are slices.
        order = np.argsort(self.boxes["material"][box], kind="stable")
        runs, box = runs.part(order), box[order]
        index = runs.indices()
        column = runs.first // len(self.rays.slopes)
        walls = self.hits.walls
        depth, face, along = (x[box, column] for x in (walls.enter, walls.face, walls.along))
        # How much wall a pixel covers: the more, the less squarely it is seen.
        grazing = np.maximum(walls.facing[box, column], np.float32(1e-3))
        along_pixel = depth / (grazing * np.float32(self.camera.K[0, 0]))
        up_pixel = depth / np.float32(self.camera.K[1, 1])
        up = CAMERA_HEIGHT + self._slopes(runs) * runs.spread(depth)
        u, v = self._texture_shift(box) + face * np.float32(37 * TEXEL)
        u, v = u + along, runs.spread(v) + up
        brightness, hue = self._noise(u, v, along_pixel, up_pixel, runs.counts)
        planes = self._paint(runs, box, brightness, hue)
        self._add_windows(planes, runs, box, along, up)
        self._add_car_details(planes, runs, box, face, along, up)
        veil = _veil(depth)
        light = runs.spread(self._wall_light()[box, face] * (1 - veil))
        planes *= light
        for plane, color, haze in zip(colors, planes, HAZE_COLOR):
            plane[index] = color + runs.spread(veil * haze)

    def _tops(self, colors: np.ndarray, runs: _Runs, surface: np.ndarray) -> None:
        box = surface - len(self.boxes)
        index = runs.indices()
        depth = self.hits.t.T.ravel()[index]
        x_step, y_step = self._steps()[:, runs.first // len(self.rays.slopes)]
        x, y = (np.array([self.pose.x, self.pose.y]) - self.boxes["centre"][box]).T
        cos, sin = np.cos(self.boxes["yaw"])[box], np.sin(self.boxes["yaw"])[box]
        along = runs.spread((cos * x + sin * y).astype(np.float32))
        along += depth * runs.spread(cos * x_step + sin * y_step)
        across = runs.spread((cos * y - sin * x).astype(np.float32))
        across += depth * runs.spread(cos * y_step - sin * x_step)
        pixel = depth / np.float32(self.camera.K[0, 0])
        u, v = map(runs.spread, self._texture_shift(box))
        brightness, hue = self._noise(u + along, v + across, 4 * pixel, pixel)
        planes = self._paint(runs, box, brightness, hue)
        is_top = self.boxes["top"][box] < CAMERA_HEIGHT
        veil = _veil(depth)
        light = runs.spread(np.where(is_top, np.float32(1.1), np.float32(0.55))) * (1 - veil)
        for plane, color, haze in zip(colors, planes, HAZE_COLOR):
            plane[index] = color * light + veil * haze

    def _slopes(self, runs: _Runs) -> np.ndarray:
        """The slopes of the rays of runs, float32 [N]."""
        return self.rays.slopes[runs.count_up(runs.first % len(self.rays.slopes))]

    def _steps(self) -> np.ndarray:
        """World x and y per metre of depth of every column, float32 [2, W]."""
        cos, sin = np.float32(np.cos(self.pose.yaw)), np.float32(np.sin(self.pose.yaw))
        ahead, left = self.rays.directions.T
        return np.stack([cos * ahead - sin * left, sin * ahead + cos * left])

    def _texture_shift(self, box: np.ndarray) -> np.ndarray:
        """Where the textures of boxes [R] begin, metres along u and v, float32 [2, R]."""
        return self.boxes["phase"][box].T * np.float32(TEXEL)

    def _noise(
        self,
        u: np.ndarray,
        v: np.ndarray,
        du: np.ndarray,
        dv: np.ndarray,
        counts: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Brightness about 0 and hue about 0.5 of a surface, from metres on it.

        Arguments as those of ``NoiseTexture.sample``, but in metres.
        """
        texel, shrink = np.float32(1 / TEXEL), np.float32(1 / COARSE)
        u, v, du, dv = u * texel, v * texel, du * texel, dv * texel
        texture = self.street.appearance.texture
        fine = texture.sample(u, v, du, dv, counts)
        # Rows and columns exchanged, so that the two copies are nowhere aligned.
        coarse = texture.sample(v * shrink, u * shrink, dv * shrink, du * shrink, counts)
        return 0.9 * fine + (0.7 * coarse - np.float32(0.8)), coarse

    def _paint(
        self, runs: _Runs, box: np.ndarray, brightness: np.ndarray, hue: np.ndarray
    ) -> np.ndarray:
        """The colour of the boxes' materials with their texture, float32 [3, N]."""
        gain = runs.spread(self.boxes["contrast"][box]) * brightness
        gain += 1
        np.maximum(gain, np.float32(0.15), out=gain)
        planes = np.empty((3, len(hue)), np.float32)
        colors, accents = (self.boxes[name][box].T for name in ("color", "accent"))
        for plane, color, accent in zip(planes, colors, accents):
            np.multiply(runs.spread(accent - color), hue, out=plane)
            np.add(plane, runs.spread(color), out=plane)
        planes *= gain
        return planes

    def _wall_light(self) -> np.ndarray:
        """How bright the sun leaves the four walls of each box, float32 [B, 4]."""
        outward = self.boxes["yaw"][:, None] + np.array([0, np.pi, np.pi / 2, -np.pi / 2])
        light = 0.85 + 0.25 * np.cos(outward - self.street.appearance.sun_azimuth)
        return light.astype(np.float32)

    def _slice_of(self, material: int, runs: _Runs, box: np.ndarray) -> tuple[slice, slice]:
        """The runs and the rays on boxes of a material, by which the runs are sorted."""
        materials = self.boxes["material"][box]
        first, last = np.searchsorted(materials, [material, material + 1])
        rays = np.append(0, np.cumsum(runs.counts))
        return slice(first, last), slice(rays[first], rays[last])

    def _add_windows(
        self, planes: np.ndarray, runs: _Runs, box: np.ndarray, along: np.ndarray, up: np.ndarray
    ) -> None:
        """Give facades rows of framed windows, each of its own brightness."""
        chosen, rays = self._slice_of(BUILDING, runs, box)
        runs, box, planes = runs.part(chosen), box[chosen], planes[:, rays]
        width, height = self.boxes["pattern"][box].T
        column = along[chosen] / width
        column_index = np.floor(column)
        x = np.abs(column - column_index - 0.5)
        row = up[rays] / runs.spread(height)
        row_index = np.floor(row)
        y = np.abs(row - row_index - np.float32(0.55))
        frame = np.flatnonzero(y < runs.spread(np.where(x < 0.30, np.float32(0.33), 0)))
        has_pane = (x < 0.24) & (x > 0.015)
        pane = np.flatnonzero(y < runs.spread(np.where(has_pane, np.float32(0.28), 0)))
        # Any scrambled but fixed number per window will do.
        code = runs.spread(12.9898 * column_index + self.boxes["phase"][box, 0])[pane]
        scatter = np.abs(np.sin(code + 78.233 * row_index[pane])) * 437.5
        scatter -= np.floor(scatter)
        scatter *= 0.30
        for plane, glass in zip(planes, (0.13, 0.16, 0.20)):
            plane[frame] = plane[frame] * 0.4 + 0.42
            plane[pane] = 0.15 * plane[pane] + (scatter + glass)

    def _add_car_details(
        self,
        planes: np.ndarray,
        runs: _Runs,
        box: np.ndarray,
        face: np.ndarray,
        along: np.ndarray,
        up: np.ndarray,
    ) -> None:
        """Give car bodies wheels, lights and a dark underside."""
        chosen, rays = self._slice_of(CAR, runs, box)
        runs, planes, up = runs.part(chosen), planes[:, rays], up[rays]
        face, along = face[chosen], along[chosen]
        length, width = 2 * self.boxes["half"][box[chosen]].T
        from_axle = np.abs(np.abs(along - length / 2) - 0.31 * length)
        is_side = face >= 2
        # Beside the sides no axle is near.
        from_axle = np.hypot(runs.spread(np.where(is_side, from_axle, np.inf)), up - 0.30)
        planes[:, (up < 0.22) | (from_axle < 0.31)] = 0.09
        planes[:, from_axle < 0.17] = 0.45
        has_light = ~is_side & (np.abs(along - width / 2) > 0.36 * width)
        at_light = np.abs(up - 0.68) < 0.1
        for which, color in ((0, (0.85, 0.85, 0.80)), (1, (0.65, 0.10, 0.08))):
            lit = np.flatnonzero(at_light & runs.spread(has_light & (face == which)))
            planes[:, lit] = np.array(color, np.float32)[:, None]


def _veil(depth: np.ndarray) -> np.ndarray:
    """How much of the haze's colour lies over what is at a depth, in [0, 1]."""
    return 1 - np.exp(depth * np.float32(-1 / HAZE_RANGE))


def _stripe(distance: np.ndarray, half_width: float, pixel: np.ndarray) -> np.ndarray:
    """How much of a pixel a stripe covers whose middle is ``distance`` metres away, in [0, 1]."""
    inner = np.clip((half_width + pixel / 2 - distance) / pixel, 0, 1)
    return np.minimum(inner, 2 * half_width / pixel)


def _lane_markings(
    along: np.ndarray,
    across: np.ndarray,
    along_pixel: np.ndarray,
    across_pixel: np.ndarray,
    counts: np.ndarray,
) -> np.ndarray:
    """Coverage by paint: a dashed line in the middle and a thin one beside the parked cars.

    The extents of pixels are per run of ``counts`` rays.
    """
    along_pixel, across_pixel = (np.repeat(x, counts) for x in (along_pixel, across_pixel))
    to_dash = np.abs(along - 7 * np.round(along / 7))
    paint = _stripe(np.abs(across), 0.08, across_pixel) * _stripe(to_dash, 1.6, along_pixel)
    to_bay = np.abs(along - 6 * np.round(along / 6))
    to_edge = np.abs(np.abs(across) - 3.7)
    paint = np.maximum(paint, _stripe(to_edge, 0.06, across_pixel))
    inside_bay = (np.abs(across) > 3.7) & (np.abs(across) < 6.2)
    return np.maximum(paint, inside_bay * _stripe(to_bay, 0.06, along_pixel))
