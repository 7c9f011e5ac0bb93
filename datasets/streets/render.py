"""Pictures and exact depth of generated streets."""

from dataclasses import dataclass

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
NO_PHASE = np.zeros((1, 2), np.float32)  # of a texture that begins where the world does
GROUND_EDGES = np.array([6.2, 6.45, 9.0], np.float32)  # m from the centre: road, kerb, pavement


def render_depth(street: Street, frame: int, pose: Pose, camera: Camera) -> np.ndarray:
    """Exact depth at the pixel centres in metres, infinite for the sky: float32 [H, W]."""
    boxes = visible_boxes(street.boxes_at(frame), pose)
    return cast_rays(boxes, pose, CAMERA_HEIGHT, camera_rays(camera)).t


def render_image(street: Street, frame: int, pose: Pose, camera: Camera) -> np.ndarray:
    """The street at ``frame`` as a camera at ``pose`` sees it: RGB, uint8 [H, W, 3]."""
    boxes = visible_boxes(street.boxes_at(frame), pose)
    rays = camera_rays(camera, SUPERSAMPLING)
    hits = cast_rays(boxes, pose, CAMERA_HEIGHT, rays)
    shader = _Shader(street, boxes, pose, camera, rays, hits)
    width, height = camera.image_size
    colors = shader.colors().reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 3)
    pixels = colors.sum(axis=(1, 3)) * (255 * street.appearance.exposure / SUPERSAMPLING**2)
    return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class _Shader:
    """Colours the hits of one picture; every method returns RGB [N, 3] for flat ray indices [N].

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
        """Colours of all rays, float32 [H * W, 3]."""
        surface = self.hits.surface.ravel()
        colors = np.empty((surface.size, 3), np.float32)
        is_wall = (surface >= 0) & (surface < len(self.boxes))
        for part, shade in (
            (surface == SKY, self._sky),
            (surface == GROUND, self._ground),
            (is_wall, self._walls),
            (surface >= len(self.boxes), self._tops),
        ):
            index = np.flatnonzero(part)
            if len(index):
                colors[index] = shade(index)
        return colors

    def _sky(self, index: np.ndarray) -> np.ndarray:
        row, column = np.divmod(index, len(self.rays.directions))
        ahead, left = self.rays.directions.T
        bearing = (self.pose.yaw + np.arctan2(left, ahead)).astype(np.float32)[column]
        elevation = self.rays.slopes[row] / np.hypot(ahead, left)[column]
        extent = np.full(len(index), 0.5, np.float32)
        look = self.street.appearance
        clouds = look.texture.sample(bearing * 60, elevation * 140, extent, extent)
        blend = np.clip(elevation * 2 - 0.6 * (clouds - 0.5), 0, 1)[:, None]
        return HAZE_COLOR + blend * (look.zenith_color - HAZE_COLOR)

    def _ground(self, index: np.ndarray) -> np.ndarray:
        depth, x, y = self._world(index)
        offset, slope = self.street.centre_line.offset_and_slope(x)
        across = (y - offset) / np.sqrt(1 + slope * slope)
        across_pixel = depth / np.float32(self.camera.K[0, 0])
        along_pixel = depth * depth / np.float32(CAMERA_HEIGHT * self.camera.K[1, 1])
        kind = np.searchsorted(GROUND_EDGES, np.abs(across))
        colors = self.street.appearance.ground_colors[kind]
        brightness, _ = self._noise(x, across, along_pixel, across_pixel, NO_PHASE)
        colors = colors * (1 + 1.1 * brightness)[:, None]
        paint = _lane_markings(x, across, along_pixel, across_pixel)
        colors += paint[:, None] * (LINE_COLOR * (1 + 0.4 * brightness)[:, None] - colors)
        return self._haze(colors, depth)

    def _walls(self, index: np.ndarray) -> np.ndarray:
        row, column = np.divmod(index, len(self.rays.directions))
        box = self.hits.surface.ravel()[index]
        walls = self.hits.walls
        # Neighbouring columns tell how much wall a pixel covers; at a corner only one of them is
        # on the same wall, the smaller step.
        steps = np.abs(np.diff(walls.along, axis=1)) * SUPERSAMPLING
        steps = np.minimum(
            np.pad(steps, ((0, 0), (1, 0)), "edge"), np.pad(steps, ((0, 0), (0, 1)), "edge")
        )
        flat = box.astype(np.int64) * len(self.rays.directions) + column
        depth = walls.enter.ravel()[flat]
        along, along_pixel = walls.along.ravel()[flat], steps.ravel()[flat]
        up_pixel = depth / np.float32(self.camera.K[1, 1])
        up = CAMERA_HEIGHT + self.rays.slopes[row] * depth
        face = walls.face.ravel()[flat]
        brightness, hue = self._noise(
            along, up, along_pixel, up_pixel, self.boxes["phase"][box] + face[:, None] * 37
        )
        colors = self._paint(box, brightness, hue)
        self._add_windows(colors, box, along, up)
        self._add_car_details(colors, box, face, along, up)
        colors *= self._wall_light()[box, face][:, None]
        return self._haze(colors, depth)

    def _tops(self, index: np.ndarray) -> np.ndarray:
        depth, x, y = self._world(index)
        box = self.hits.surface.ravel()[index] - len(self.boxes)
        from_centre = np.stack([x, y], 1) - self.boxes["centre"][box]
        cos, sin = np.cos(self.boxes["yaw"])[box], np.sin(self.boxes["yaw"])[box]
        along = cos * from_centre[:, 0] + sin * from_centre[:, 1]
        across = cos * from_centre[:, 1] - sin * from_centre[:, 0]
        pixel = depth / np.float32(self.camera.K[0, 0])
        brightness, hue = self._noise(along, across, 4 * pixel, pixel, self.boxes["phase"][box])
        is_top = self.boxes["top"][box] < CAMERA_HEIGHT
        colors = self._paint(box, brightness, hue) * np.where(is_top, 1.1, 0.55)[:, None]
        return self._haze(colors.astype(np.float32), depth)

    def _world(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Depth and world x, y of rays, float32."""
        depth = self.hits.t.ravel()[index]
        cos, sin = np.float32(np.cos(self.pose.yaw)), np.float32(np.sin(self.pose.yaw))
        ahead, left = self.rays.directions.T
        column = index % len(self.rays.directions)
        x = np.float32(self.pose.x) + depth * (cos * ahead - sin * left)[column]
        y = np.float32(self.pose.y) + depth * (sin * ahead + cos * left)[column]
        return depth, x, y

    def _noise(
        self, u: np.ndarray, v: np.ndarray, du: np.ndarray, dv: np.ndarray, phase: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Brightness about 0 and hue about 0.5 of a surface, from metres on it."""
        texel, shrink = np.float32(1 / TEXEL), np.float32(1 / COARSE)
        u, v, du, dv = u * texel + phase[:, 0], v * texel + phase[:, 1], du * texel, dv * texel
        texture = self.street.appearance.texture
        fine = texture.sample(u, v, du, dv)
        # Rows and columns exchanged, so that the two copies are nowhere aligned.
        coarse = texture.sample(v * shrink, u * shrink, dv * shrink, du * shrink)
        return 0.9 * (fine - 0.5) + 0.7 * (coarse - 0.5), coarse

    def _paint(self, box: np.ndarray, brightness: np.ndarray, hue: np.ndarray) -> np.ndarray:
        """The colour of a box's material with its texture."""
        color, accent = self.boxes["color"][box], self.boxes["accent"][box]
        gain = np.maximum(1 + self.boxes["contrast"][box] * brightness, 0.15)
        return (color + hue[:, None] * (accent - color)) * gain[:, None]

    def _wall_light(self) -> np.ndarray:
        """How bright the sun leaves the four walls of each box, float32 [B, 4]."""
        outward = self.boxes["yaw"][:, None] + np.array([0, np.pi, np.pi / 2, -np.pi / 2])
        light = 0.85 + 0.25 * np.cos(outward - self.street.appearance.sun_azimuth)
        return light.astype(np.float32)

    def _haze(self, colors: np.ndarray, depth: np.ndarray) -> np.ndarray:
        veil = 1 - np.exp(depth * np.float32(-1 / HAZE_RANGE))
        return colors + veil[:, None] * (HAZE_COLOR - colors)

    def _add_windows(
        self, colors: np.ndarray, box: np.ndarray, along: np.ndarray, up: np.ndarray
    ) -> None:
        """Give facades rows of framed windows, each of its own brightness."""
        part = np.flatnonzero(self.boxes["material"][box] == BUILDING)
        pattern = self.boxes["pattern"][box[part]]
        column, row = along[part] / pattern[:, 0], up[part] / pattern[:, 1]
        column_index, row_index = np.floor(column), np.floor(row)
        x, y = np.abs(column - column_index - 0.5), np.abs(row - row_index - 0.55)
        frame = part[(x < 0.30) & (y < 0.33)]
        colors[frame] = colors[frame] * 0.4 + 0.42
        pane = (x < 0.24) & (y < 0.28) & (x > 0.015)
        # Any scrambled but fixed number per window will do.
        code = 12.9898 * column_index + 78.233 * row_index + self.boxes["phase"][box[part], 0]
        scatter = np.modf(np.abs(np.sin(code)) * 437.5)[0][pane].astype(np.float32)
        glass = np.array([0.13, 0.16, 0.20], np.float32) + 0.30 * scatter[:, None]
        colors[part[pane]] = glass + 0.15 * colors[part[pane]]

    def _add_car_details(
        self,
        colors: np.ndarray,
        box: np.ndarray,
        face: np.ndarray,
        along: np.ndarray,
        up: np.ndarray,
    ) -> None:
        """Give car bodies wheels, lights and a dark underside."""
        part = np.flatnonzero(self.boxes["material"][box] == CAR)
        length, width = 2 * self.boxes["half"][box[part]].T
        along, up, face = along[part], up[part], face[part]
        from_axle = np.abs(np.abs(along - length / 2) - 0.31 * length)
        is_side = face >= 2
        wheel = is_side & (np.hypot(from_axle, up - 0.30) < 0.31)
        colors[part[(up < 0.22) | wheel]] = 0.09
        colors[part[wheel & (np.hypot(from_axle, up - 0.30) < 0.17)]] = 0.45
        light = ~is_side & (np.abs(along - width / 2) > 0.36 * width) & (np.abs(up - 0.68) < 0.1)
        colors[part[light & (face == 0)]] = (0.85, 0.85, 0.80)
        colors[part[light & (face == 1)]] = (0.65, 0.10, 0.08)


def _stripe(distance: np.ndarray, half_width: float, pixel: np.ndarray) -> np.ndarray:
    """How much of a pixel a stripe covers whose middle is ``distance`` metres away, in [0, 1]."""
    inner = np.clip((half_width + pixel / 2 - distance) / pixel, 0, 1)
    return np.minimum(inner, 2 * half_width / pixel)


def _lane_markings(
    along: np.ndarray, across: np.ndarray, along_pixel: np.ndarray, across_pixel: np.ndarray
) -> np.ndarray:
    """Coverage by paint: a dashed line in the middle and a thin one beside the parked cars."""
    to_dash = np.abs(along - 7 * np.round(along / 7))
    paint = _stripe(np.abs(across), 0.08, across_pixel) * _stripe(to_dash, 1.6, along_pixel)
    to_bay = np.abs(along - 6 * np.round(along / 6))
    to_edge = np.abs(np.abs(across) - 3.7)
    paint = np.maximum(paint, _stripe(to_edge, 0.06, across_pixel))
    inside_bay = (np.abs(across) > 3.7) & (np.abs(across) < 6.2)
    return np.maximum(paint, inside_bay * _stripe(to_bay, 0.06, along_pixel))
