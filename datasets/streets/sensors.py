"""What the generated car has on it: cameras as KITTI's, and a LiDAR."""

from collections.abc import Mapping

import numpy as np

from datasets.camera import Camera
from datasets.streets.casting import Rays, cast_rays, visible_boxes
from datasets.streets.world import Pose, Street

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
