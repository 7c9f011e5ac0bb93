"""What the generated car has on it: cameras as KITTI's, a LiDAR, and the rays that both cast.

Rays are cast exactly against upright boxes and flat ground. Neither the camera nor the scanner
pitches or rolls: the rays of one image column (or of one scanner azimuth) lie in one vertical plane
and meet the same walls. Walls are intersected once per column in the ground plane, and only heights
are left to compare for every ray. Maps of rays are therefore kept column by column in memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from datasets.camera import Camera
from datasets.streets.world import Pose, Street

SKY, GROUND = -2, -1
NEAREST = 0.05  # m, what is nearer along the rays is behind the sensor

CAMERA_HEIGHT = 1.65  # m
BASELINE = 0.54  # m between the colour cameras

# Metres to the right of camera 0, which KITTI's calibration is relative to. 0 and 1 are the grey
# cameras, for the calibration file only; 2 and 3 the colour cameras.
CAMERA_POSITIONS = (0.0, BASELINE, -0.06, BASELINE - 0.06)

# The scanner sits right above camera 0: its forward coordinate is the cameras' depth, and both see
# nearly the same surfaces. Its beams cover KITTI's elevations and the cameras' field of view.
SCANNER_RISE = 0.08  # m
SCANNER_RANGE = 80.0  # m
BEAM_ELEVATIONS = np.deg2rad(np.linspace(2.0, -24.8, 64))
BEAM_AZIMUTHS = np.deg2rad(np.linspace(45.0, -45.0, 226))
GROUND_REFLECTANCE = 0.3


@dataclass(frozen=True)
class Rays:
    """A grid of rays: ray (row, column) is at ``t * (directions[column], slopes[row])``.

    For a camera t is the depth, for a scanner the horizontal range, both in metres.
    """

    directions: np.ndarray  # float32 [W, 2], ahead (> 0) and left, per unit of t; left to right
    slopes: np.ndarray  # float32 [H], up per unit of t, falling from row to row


@dataclass(frozen=True)
class Walls:
    """How the columns of rays pass through the boxes, seen from above; all arrays [B, W].

    Where ``enter`` is infinite, the others mean nothing.
    """

    enter: np.ndarray  # t where the column enters the box, infinite if it passes by
    leave: np.ndarray  # t where it leaves the box
    along: np.ndarray  # m, where it enters along the wall that it enters, from the wall's end
    facing: np.ndarray  # metres towards that wall per unit of t, 0 for a grazing ray
    face: np.ndarray  # which wall that is: 0 front, 1 back, 2 left, 3 right


@dataclass(frozen=True)
class Hits:
    """What every ray of a grid meets first.

    ``surface`` is SKY, GROUND, b for a wall of box b, or B + b for the top or the bottom of box b.
    Both maps are transposed: their columns are contiguous.
    """

    t: np.ndarray  # float32 [H, W], infinite for the sky
    surface: np.ndarray  # int16 [H, W]
    walls: Walls


def cast_rays(boxes: np.ndarray, pose: Pose, height: float, rays: Rays) -> Hits:
    """Intersect rays that start ``height`` metres above the road at ``pose`` with the world."""
    slopes, width = rays.slopes, len(rays.directions)
    falling = slopes < 0
    ground = np.where(falling, -np.float32(height) / np.where(falling, slopes, -1), np.inf)
    t = np.tile(ground, (width, 1))
    surface = np.tile(np.where(falling, GROUND, SKY).astype(np.int16), (width, 1))
    walls = _meet_walls(boxes, pose, rays.directions)
    with np.errstate(divide="ignore"):  # a level ray meets no top
        for part in _seen_parts(boxes, walls, height, slopes):
            _draw_box(t, surface, walls, part, slopes)
    return Hits(t.T, surface.T, walls)


def _meet_walls(boxes: np.ndarray, pose: Pose, directions: np.ndarray) -> Walls:
    """Slab test of the columns against the boxes in the ground plane."""
    first, last = _column_spans(boxes, pose, directions)
    counts = last - first
    box = np.repeat(np.arange(len(boxes)), counts)
    column = np.arange(len(box)) + np.repeat(first - np.cumsum(counts) + counts, counts)
    origin = _from_centres(boxes, pose)[:, box]  # of pairs of a box and a column, [2, P]
    turn = pose.yaw - boxes["yaw"].astype(np.float64)
    cos, sin = np.cos(turn)[box], np.sin(turn)[box]
    ahead, left = directions.T.astype(np.float64)[:, column]
    direction = np.stack([cos * ahead - sin * left, sin * ahead + cos * left])
    direction = np.where(np.abs(direction) < 1e-9, 1e-9, direction)
    half = boxes["half"].T.astype(np.float64)[:, box]
    one, other = (-half - origin) / direction, (half - origin) / direction
    near, far = np.minimum(one, other), np.maximum(one, other)
    enter, leave = near.max(axis=0), far.min(axis=0)
    is_side = near[1] > near[0]
    towards = np.where(is_side, direction[1], direction[0])
    face = 2 * is_side + (towards >= 0)
    along = np.where(is_side, origin[0] + enter * direction[0], origin[1] + enter * direction[1])
    along += np.where(is_side, half[0], half[1])
    enter[(enter >= leave) | (enter < NEAREST)] = np.inf

    shape = len(boxes), len(directions)
    tables = np.full(shape, np.inf, np.float32), *np.empty((3, *shape), np.float32)
    for table, values in zip(tables, (enter, leave, along, np.abs(towards))):
        table[box, column] = values
    faces = np.empty(shape, np.int8)
    faces[box, column] = face
    return Walls(*tables, faces)


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


def _hidden(boxes: np.ndarray, enter: np.ndarray, height: float) -> np.ndarray:
    """Where a box is certainly not seen: it is farther and lower than another one, bool [B, W].

    A box that stands on the ground and is higher than the sensor hides in its columns whatever is
    behind it and rises less. Of these, the one that rises most is looked at. It need not be the
    nearest: what is not hidden by it is drawn, and compared ray by ray.
    """
    top = boxes["top"] - np.float32(height)
    screens = np.flatnonzero((top > 0) & (boxes["bottom"] <= boxes["bottom"].min(initial=0)))
    if not len(screens):
        return np.zeros(enter.shape, bool)
    rise = top[:, None] / enter
    screen = screens[rise[screens].argmax(axis=0)]
    columns = np.arange(enter.shape[1])
    return (enter > enter[screen, columns]) & (rise < 0.999 * rise[screen, columns])


class _Part(NamedTuple):
    """A box, and the columns and rows of rays among which are all that may see it."""

    box: int
    bottom: float  # m above the sensor
    top: float
    columns: slice
    rows: slice


def _seen_parts(
    boxes: np.ndarray, walls: Walls, height: float, slopes: np.ndarray
) -> Iterator[_Part]:
    """Where the boxes are in the maps of rays, those that may be seen at all."""
    met = np.isfinite(walls.enter) & ~_hidden(boxes, walls.enter, height)
    seen = np.flatnonzero(met.any(axis=1))
    met = met[seen]
    # Boxes are convex: all columns between two that meet one meet it, too.
    first, last = met.argmax(axis=1), met.shape[1] - met[:, ::-1].argmax(axis=1)
    nearest = np.where(met, walls.enter[seen], np.inf).min(axis=1)
    farthest = np.where(met, walls.leave[seen], 0).max(axis=1)
    bottom, top = ((boxes[edge] - np.float32(height))[seen] for edge in ("bottom", "top"))
    highest = top / np.where(top > 0, nearest, farthest)
    lowest = bottom / np.where(bottom > 0, farthest, nearest)
    above = np.searchsorted(-slopes, -highest)
    below = np.searchsorted(-slopes, -lowest, "right")
    columns, rows = map(slice, first, last), map(slice, above, below)
    yield from map(_Part, seen.tolist(), bottom.tolist(), top.tolist(), columns, rows)


def _draw_box(
    t: np.ndarray,
    surface: np.ndarray,
    walls: Walls,
    part: _Part,
    slopes: np.ndarray,
) -> None:
    """Enter one box into the maps, both [W, H], where it is nearer than what they hold."""
    index, bottom, top, columns, rows = part
    enter = walls.enter[index, columns, None]
    slope = slopes[rows]
    t_view, surface_view = t[columns, rows], surface[columns, rows]

    elevation = slope * enter
    hit = (elevation >= bottom) & (elevation <= top) & (enter < t_view)
    np.copyto(t_view, enter, where=hit)
    np.copyto(surface_view, np.int16(index), where=hit)

    # From between its bottom and its top neither of them is seen.
    if top < 0 or bottom > 0:
        t_flat = (top if top < 0 else bottom) / slope
        hit = (t_flat >= enter) & (t_flat <= walls.leave[index, columns, None]) & (t_flat < t_view)
        np.copyto(t_view, t_flat, where=hit)
        np.copyto(surface_view, np.int16(len(walls.enter) + index), where=hit)


def visible_boxes(boxes: np.ndarray, pose: Pose, view_range: float = 220.0) -> np.ndarray:
    """Only the boxes that may be in front of the sensor and within ``view_range`` metres."""
    x, y = (boxes["centre"] - (pose.x, pose.y)).T
    ahead = np.cos(pose.yaw) * x + np.sin(pose.yaw) * y
    reach = np.hypot(*boxes["half"].T)
    return boxes[(ahead > -reach) & (ahead < view_range + reach)]


def kitti_camera(width: int, height: int) -> Camera:
    """KITTI's rectified intrinsics for an image size: its field of view, whatever the shape."""
    K = [[0.58 * width, 0, 0.4908 * width], [0, 1.92 * height, 0.4609 * height], [0, 0, 1]]
    return Camera(np.array(K), (width, height), "generated")


def camera_rays(camera: Camera, per_pixel: int = 1) -> Rays:
    """Viewing rays whose t is the depth, ``per_pixel`` of them along each axis of a pixel."""
    (fx, _, cx), (_, fy, cy) = camera.K[:2]
    u, v = ((np.arange(n * per_pixel) + 0.5) / per_pixel - 0.5 for n in camera.image_size)
    left = (cx - u) / fx
    directions = np.stack([np.ones_like(left), left], axis=1)
    return Rays(directions.astype(np.float32), ((cy - v) / fy).astype(np.float32))


def right_camera_pose(left_camera: Pose) -> Pose:
    """Where camera 3 is when camera 2 is at ``left_camera``."""
    return left_camera.moved_left(-BASELINE)


def scan_street(street: Street, frame: int) -> np.ndarray:
    """The LiDAR sweep of a frame: float32 [N, 4], x ahead, y left, z up in metres, reflectance."""
    slopes = np.tan(BEAM_ELEVATIONS).astype(np.float32)
    directions = np.stack([np.cos(BEAM_AZIMUTHS), np.sin(BEAM_AZIMUTHS)], axis=1)
    rays = Rays(directions.astype(np.float32), slopes)
    pose = street.poses[frame].moved_left(CAMERA_POSITIONS[2])
    boxes = visible_boxes(street.boxes_at(frame), pose, SCANNER_RANGE)
    hits = cast_rays(boxes, pose, CAMERA_HEIGHT + SCANNER_RISE, rays)
    row, column = np.nonzero(hits.t * np.hypot(1, slopes)[:, None] <= SCANNER_RANGE)
    reach = hits.t[row, column]
    # Walls, then tops and bottoms, then the ground, which the index -1 of GROUND finds at the end.
    reflectance = np.append(np.tile(boxes["color"].mean(axis=1), 2), GROUND_REFLECTANCE)
    ahead_left, up = reach[:, None] * rays.directions[column], reach * slopes[row]
    points = np.column_stack([ahead_left, up, reflectance[hits.surface[row, column]]])
    return points.astype(np.float32)


def calibration_files(camera: Camera) -> dict[str, str]:
    """The three calibration files of a KITTI raw day, by name, for images of ``camera``."""
    cam_to_cam = {"corner_dist": 0.1}
    for number, position in enumerate(CAMERA_POSITIONS):
        shift = np.array([[-position], [0], [0]])
        cam_to_cam[f"S_{number:02d}"] = camera.image_size
        cam_to_cam[f"K_{number:02d}"] = camera.K
        cam_to_cam[f"D_{number:02d}"] = np.zeros(5)
        cam_to_cam[f"R_{number:02d}"] = np.eye(3)
        cam_to_cam[f"T_{number:02d}"] = shift
        cam_to_cam[f"S_rect_{number:02d}"] = camera.image_size
        cam_to_cam[f"R_rect_{number:02d}"] = np.eye(3)
        cam_to_cam[f"P_rect_{number:02d}"] = camera.K @ np.hstack([np.eye(3), shift])
    # The scanner's x ahead, y left, z up become the camera's x right, y down, z ahead.
    turn = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    velo_to_cam = {"R": turn, "T": [0, -SCANNER_RISE, 0], "delta_f": [0, 0], "delta_c": [0, 0]}
    imu_to_velo = {"R": np.eye(3), "T": [-0.81, 0.32, -0.80]}
    return {
        "calib_cam_to_cam.txt": _calibration_text(cam_to_cam),
        "calib_velo_to_cam.txt": _calibration_text(velo_to_cam),
        "calib_imu_to_velo.txt": _calibration_text(imu_to_velo),
    }


def _calibration_text(entries: Mapping[str, object]) -> str:
    lines = ["calib_time: 01-Jan-2000 00:00:00"]
    for key, values in entries.items():
        numbers = np.ravel(values).astype(np.float64) + 0.0  # no minus zero
        lines.append(f"{key}: " + " ".join(f"{number:e}" for number in numbers))
    return "\n".join(lines) + "\n"
