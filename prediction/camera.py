"""The camera that a picture is taken to be from, when its depth becomes points in space."""

from __future__ import annotations

from pathlib import Path

from datasets.camera_file import Camera, camera_of_angle, camera_of_pixels, read_camera_file
from datasets.kitti import intrinsics, read_calibration

ASSUMED_DEGREES = 70.0  # across: a phone's main camera, a dashboard camera has more
KITTI_CALIBRATION = "calib_cam_to_cam.txt"


def find_camera(
    size: tuple[int, int],
    file: Path | None = None,
    K: tuple[float, ...] | None = None,
    fov: float | None = None,
) -> Camera:
    """The camera of pictures of ``size`` (width, height).

    Args:
        size: of the pictures.
        file: ``camera.json``, or KITTI's ``calib_cam_to_cam.txt`` (its left colour camera).
        K: fx, fy, cx, cy in pixels of ``size``.
        fov: horizontal angle of view, degrees.

    Raises:
        InputError: what was given cannot be the camera of such pictures.
    """
    if file is not None:
        return _from_file(file).resized(size)
    if K is not None:
        return camera_of_pixels(size, *K, "--K")
    if fov is not None:
        return camera_of_angle(size, fov, "--fov")
    return camera_of_angle(size, ASSUMED_DEGREES, f"assumed: {ASSUMED_DEGREES:g} degrees across")


def _from_file(file: Path) -> Camera:
    if file.name != KITTI_CALIBRATION:
        return read_camera_file(file)
    calibration = read_calibration(file.parent)
    return Camera(intrinsics(calibration, "l"), calibration.image_size["l"], str(file))
