"""The sensors on the generated car: four cameras as KITTI has them, a LiDAR, their calibration."""

from __future__ import annotations

import numpy as np

from datasets.street_rays import Rays, cast_rays
from datasets.street_render import CAMERA_HEIGHT, Camera, visible_boxes
from datasets.street_world import Pose, Street

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
    points = np.column_stack(
        [
            reach[:, None] * rays.directions[column],
            reach * slopes[row],
            reflectance[hits.surface[row, column]],
        ]
    )
    return points.astype(np.float32)


def calibration_files(camera: Camera) -> dict[str, str]:
    """The three calibration files of a KITTI raw day, by name, for images of ``camera``."""
    size = [camera.width, camera.height]
    intrinsics = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    lines = ["calib_time: 01-Jan-2000 00:00:00", _line("corner_dist", 0.1)]
    for number, position in enumerate(CAMERA_POSITIONS):
        shift = np.array([[-position], [0], [0]])
        lines += [
            _line(f"S_{number:02d}", size),
            _line(f"K_{number:02d}", intrinsics),
            _line(f"D_{number:02d}", np.zeros(5)),
            _line(f"R_{number:02d}", np.eye(3)),
            _line(f"T_{number:02d}", shift),
            _line(f"S_rect_{number:02d}", size),
            _line(f"R_rect_{number:02d}", np.eye(3)),
            _line(f"P_rect_{number:02d}", intrinsics @ np.hstack([np.eye(3), shift])),
        ]
    # The scanner's x ahead, y left, z up become the camera's x right, y down, z ahead.
    velo_to_cam = [
        "calib_time: 01-Jan-2000 00:00:00",
        _line("R", [[0, -1, 0], [0, 0, -1], [1, 0, 0]]),
        _line("T", [0, -SCANNER_RISE, 0]),
        _line("delta_f", [0, 0]),
        _line("delta_c", [0, 0]),
    ]
    imu_to_velo = [
        "calib_time: 01-Jan-2000 00:00:00",
        _line("R", np.eye(3)),
        _line("T", [-0.81, 0.32, -0.80]),
    ]
    return {
        "calib_cam_to_cam.txt": "\n".join(lines) + "\n",
        "calib_velo_to_cam.txt": "\n".join(velo_to_cam) + "\n",
        "calib_imu_to_velo.txt": "\n".join(imu_to_velo) + "\n",
    }


def _line(key: str, values: object) -> str:
    numbers = np.ravel(values).astype(np.float64) + 0.0  # no minus zero
    return f"{key}: " + " ".join(f"{number:e}" for number in numbers)
