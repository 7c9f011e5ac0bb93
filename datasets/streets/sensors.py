"""What the generated car has on it: cameras as KITTI's, a LiDAR, and the rays that both cast.

Rays are cast exactly against upright boxes and flat ground. Neither the camera nor the scanner
pitches or rolls: the rays of one image column (or of one scanner azimuth) lie in one vertical plane
and meet the same walls. Walls are intersected once per column in the ground plane, and only heights
are left to compare for every ray.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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

    directions: np.ndarray  # float32 [W, 2], ahead and left, per unit of t
    slopes: np.ndarray  # float32 [H], up per unit of t, falling from row to row


@dataclass(frozen=True)
class Walls:
    """How the columns of rays pass through the boxes, seen from above; all arrays [B, W]."""

    enter: np.ndarray  # t where the column enters the box, infinite if it passes by
    leave: np.ndarray  # t where it leaves the box
    face: np.ndarray  # which wall it enters: 0 front, 1 back, 2 left, 3 right
    along: np.ndarray  # m, where it enters along that wall, from the wall's end


@dataclass(frozen=True)
class Hits:
    """What every ray of a grid meets first.

    ``surface`` is SKY, GROUND, b for a wall of box b, or B + b for the top or the bottom of box b.
    """

    t: np.ndarray  # float32 [H, W], infinite for the sky
    surface: np.ndarray  # int16 [H, W]
    walls: Walls


def cast_rays(boxes: np.ndarray, pose: Pose, height: float, rays: Rays) -> Hits:
    """Intersect rays that start ``height`` metres above the road at ``pose`` with the world."""
    slopes = rays.slopes
    falling = slopes < 0
    ground = np.where(falling, -np.float32(height) / np.where(falling, slopes, -1), np.inf)
    shape = len(slopes), len(rays.directions)
    t = np.repeat(ground[:, None], shape[1], axis=1)
    surface = np.repeat(np.where(falling, GROUND, SKY).astype(np.int16)[:, None], shape[1], axis=1)
    hits = Hits(t, surface, _meet_walls(boxes, pose, rays.directions))
    for index in np.flatnonzero(np.isfinite(hits.walls.enter).any(axis=1)):
        _draw_box(hits, boxes, index, height, slopes)
    return hits


def _meet_walls(boxes: np.ndarray, pose: Pose, directions: np.ndarray) -> Walls:
    """Slab test of every column against every box in the ground plane."""
    yaw = boxes["yaw"].astype(np.float64)
    x, y = (np.array([pose.x, pose.y]) - boxes["centre"].astype(np.float64)).T
    origin = np.stack([np.cos(yaw) * x + np.sin(yaw) * y, np.cos(yaw) * y - np.sin(yaw) * x])
    origin = origin[..., None]  # where the sensor is along the axes of each box, [2, B, 1]
    turn = pose.yaw - yaw
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    ahead, left = directions.T.astype(np.float64)
    direction = np.stack([cos * ahead - sin * left, sin * ahead + cos * left])  # [2, B, W]
    direction = np.where(np.abs(direction) < 1e-9, 1e-9, direction)
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


def _draw_box(hits: Hits, boxes: np.ndarray, index: int, height: float, slopes: np.ndarray) -> None:
    """Enter one box into the maps of ``hits`` where it is nearer than what they hold."""
    walls = hits.walls
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
    t_view, surface_view = hits.t[rows, columns], hits.surface[rows, columns]

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
