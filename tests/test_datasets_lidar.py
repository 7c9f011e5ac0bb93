from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from datasets import lidar
from datasets.kitti import Calibration
from datasets.lidar import project_sweep, read_improved_depth, read_sweep
from system.errors import InputError

WIDTH, HEIGHT = 40, 20
FOCAL = 10.0


def make_calibration() -> Calibration:
    """Cameras at the LiDAR's place, looking forward; the right one 0.5 m to the right."""
    projection = np.array([[FOCAL, 0, 20, 0], [0, FOCAL, 10, 0], [0, 0, 1, 0]])
    right = projection.copy()
    right[0, 3] = -FOCAL * 0.5
    velo_to_camera = np.eye(4)
    velo_to_camera[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    velo_to_camera[2, 3] = -0.25
    return Calibration(
        projection={"l": projection, "r": right},
        image_size={"l": (WIDTH, HEIGHT), "r": (WIDTH, HEIGHT)},
        rectification=np.eye(4),
        velo_to_camera=velo_to_camera,
    )


def at_pixel(column: int, row: int, depth: float) -> list[float]:
    """The LiDAR point that falls on a pixel, counted from 0, of the left camera."""
    return [depth + 0.25, -(column + 1 - 20) * depth / FOCAL, -(row + 1 - 10) * depth / FOCAL, 0.0]


def project(points: list, side: str = "l", forward_depth: bool = False) -> np.ndarray:
    return project_sweep(
        np.array(points, np.float32).reshape(-1, 4), make_calibration(), side, forward_depth
    )


def test_one_point_lands_on_its_pixel():
    depth = project([at_pixel(7, 3, 4.0)])
    assert depth.dtype == np.float32
    assert depth.shape == (HEIGHT, WIDTH)
    assert np.argwhere(depth).tolist() == [[3, 7]]
    assert depth[3, 7] == 4


def test_points_land_on_their_pixels_however_many_there_are():
    """More than are projected at once, each with the depth of its place in the map."""
    truth = np.arange(2, 2 + WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)
    points = [at_pixel(column, row, depth) for (row, column), depth in np.ndenumerate(truth)]
    for times in (1, 1 + 2 * lidar.POINTS_AT_ONCE // len(points)):
        np.testing.assert_array_equal(project(np.repeat(points, times, axis=0)), truth)


def test_forward_depth_is_measured_from_the_lidar():
    assert project([at_pixel(7, 3, 4.0)], forward_depth=True)[3, 7] == 4.25


def test_right_camera_sees_the_point_further_left():
    # disparity = focal * baseline / depth = 10 * 0.5 / 2.5 = 2 pixels
    assert np.argwhere(project([at_pixel(7, 3, 2.5)], side="r")).tolist() == [[3, 5]]


def test_nearest_point_of_a_pixel_wins_in_any_order():
    near, far = at_pixel(7, 3, 4.0), at_pixel(7, 3, 9.0)
    assert project([near, far])[3, 7] == project([far, near])[3, 7] == 4


def test_points_behind_and_outside_are_left_out():
    behind = [-5.0, 0.0, 0.0, 0.0]
    outside = [at_pixel(-1, 3, 4.0), at_pixel(WIDTH, 3, 4.0), at_pixel(3, HEIGHT, 4.0)]
    assert not project([behind, *outside]).any()
    assert not project([]).any()


def test_point_behind_does_not_hide_one_ahead_on_the_same_pixel():
    behind = [-5.0, 0.0, 0.0, 0.0]
    assert project([at_pixel(19, 9, 4.0), behind])[9, 19] == 4


def test_points_between_lidar_and_camera_have_no_negative_depth():
    # x in [0, 0.25) is ahead of the LiDAR, but behind the camera or in its plane.
    assert project([[0.1, 0, 0, 0], [0.25, 0, 0, 0]]).min() == 0


def test_pixels_told_apart_as_published():
    """Checked against the published rule taken at its word, one point after the other."""
    generator = np.random.default_rng(0)
    pixels = [(column, row) for column in (0, 1, WIDTH - 1) for row in range(4)]
    points = [
        at_pixel(*pixels[generator.integers(len(pixels))], depth=generator.integers(2, 60))
        for _ in range(200)
    ]
    expected = np.zeros((HEIGHT, WIDTH))
    groups: dict[int, list[tuple[int, int, float]]] = {}
    for x, y, z, _ in points:
        depth = x - 0.25
        column, row = round(20 - y / depth * FOCAL) - 1, round(10 - z / depth * FOCAL) - 1
        expected[row, column] = depth
        groups.setdefault(row * (WIDTH - 1) + column - 1, []).append((row, column, depth))
    for group in groups.values():
        row, column, _ = group[0]
        expected[row, column] = min(depth for _, _, depth in group)
    np.testing.assert_allclose(project(points), expected, rtol=1e-6)


def test_calibration_without_lidar_is_refused():
    cameras = Calibration(projection={}, image_size={}, rectification=np.eye(4))
    with pytest.raises(ValueError, match="with_lidar"):
        project_sweep(np.zeros((1, 4), np.float32), cameras, "l", True)


def test_sweep_round_trip_and_damage(tmp_path):
    path = tmp_path / "sweep.bin"
    points = np.arange(12, dtype="<f4").reshape(3, 4)
    path.write_bytes(points.tobytes())
    np.testing.assert_array_equal(read_sweep(path), points)
    path.write_bytes(points.tobytes()[:-4])
    with pytest.raises(InputError, match=r"sweep\.bin.*44 bytes"):
        read_sweep(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"sweep\.bin: is empty"):
        read_sweep(path)
    with pytest.raises(InputError, match=r"gone\.bin"):
        read_sweep(tmp_path / "gone.bin")


def test_improved_depth_is_in_256ths_of_a_metre(tmp_path):
    path = tmp_path / "depth.png"
    Image.fromarray(np.array([[0, 256, 640]], np.uint16)).save(path)
    depth = read_improved_depth(path)
    assert depth.dtype == np.float32
    assert depth.tolist() == [[0, 1, 2.5]]
    Image.new("RGB", (3, 1)).save(path)
    with pytest.raises(InputError, match=r"depth\.png: .*it needs 16"):
        read_improved_depth(path)
    with pytest.raises(InputError, match=r"gone\.png"):
        read_improved_depth(tmp_path / "gone.png")
