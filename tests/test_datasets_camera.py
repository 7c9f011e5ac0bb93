"""Cameras: how they follow their pictures, and the likely mistake where one cannot be."""

import json

import numpy as np
import pytest

from datasets.camera import (
    Camera,
    camera_of_angle,
    camera_of_pixels,
    published_camera,
    read_camera_file,
)
from prediction.points import camera_of_picture
from system.errors import InputError

PIXELS = {"image_size": [1280, 720], "fx": 900, "fy": 910, "cx": 650, "cy": 350}


def write(tmp_path, **fields):
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(fields))
    return path


def test_intrinsics_in_pixels_are_read(tmp_path):
    camera = read_camera_file(write(tmp_path, **PIXELS))
    np.testing.assert_array_equal(camera.K, [[900, 0, 650], [0, 910, 350], [0, 0, 1]])
    assert camera.image_size == (1280, 720)
    assert camera.stereo is None


def test_an_angle_gives_square_pixels_around_the_middle(tmp_path):
    camera = read_camera_file(write(tmp_path, image_size=[200, 100], horizontal_fov_degrees=90))
    np.testing.assert_allclose(camera.K, [[100, 0, 99.5], [0, 100, 49.5], [0, 0, 1]])


def test_a_stereo_partner_is_read(tmp_path):
    stereo = {"left": "l", "right": "r", "baseline_metres": 0.12}
    camera = read_camera_file(write(tmp_path, **PIXELS, stereo=stereo))
    assert (camera.stereo.left, camera.stereo.right) == ("l", "r")
    assert camera.stereo.baseline_metres == 0.12


@pytest.mark.parametrize(
    ("changes", "likely"),
    [
        ({"fx": -900}, "drop the sign"),
        ({"fx": 0.7, "fy": 1.2, "cx": 0.5, "cy": 0.5}, "multiply fx and cx by 1280"),
        ({"fx": 4.2, "fy": 4.2}, "multiply fx"),
        ({"fx": 24, "fy": 24}, "millimetres"),
        ({"fx": 20000, "fy": 20000}, "another size"),
        ({"cx": 350, "cy": 1000}, "cx and cy swapped"),
        ({"cx": 1500, "cy": 900}, "another size"),
        ({"cx": -3, "cy": 4}, "from their middle"),
        ({"cx": 0.5, "cy": 0.5}, "multiply cx by 1280"),
        ({"fy": 400}, "mixed units"),
        ({"fx": "900"}, "fx must be a number"),
        ({"fx": None}, "fx must be a number"),
        ({"image_size": None}, "image_size must be"),
        ({"image_size": [720]}, "image_size must be"),
        ({"image_size": [3_000_000_000, 720]}, "no picture has more than"),
        ({"image_size": [10**18, 10**18]}, "no picture has more than"),
        ({"fx": 10**400}, "digits is too large"),
        ({"fx": 1e300}, "fx must be a number"),
        ({"cx": -(10**400)}, "digits is too large"),
        ({"horizontal_fov_degrees": 70}, "horizontal_fov_degrees and fx, fy, cx, cy"),
        ({"focal": 3}, "unknown focal"),
        ({"stereo": {"left": "l"}}, "stereo must have"),
        ({"stereo": {"left": "l", "right": "r", "baseline_metres": 120}}, "not millimetres"),
        ({"stereo": {"left": "l", "right": "l", "baseline_metres": 0.1}}, "two folders"),
    ],
)
def test_an_impossible_camera_is_refused_with_the_likely_mistake(tmp_path, changes, likely):
    path = write(tmp_path, **{**PIXELS, **changes})
    with pytest.raises(InputError, match=r"camera\.json: ") as caught:
        read_camera_file(path)
    assert likely in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", "{", "\xff", '{"fx": 900, "fx": 800}', '{"fx": NaN}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "camera.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"camera\.json: "):
        read_camera_file(tmp_path / "camera.json")


def test_an_angle_in_radians_is_noticed():
    with pytest.raises(InputError, match="radians"):
        camera_of_angle((640, 480), 1.2, "--fov")


def test_a_camera_follows_its_pictures_size_but_not_their_cropping():
    camera = camera_of_pixels((1280, 720), 900, 900, 639.5, 359.5, "a")
    half = camera.resized((640, 360))
    np.testing.assert_allclose(half.K, [[450, 0, 319.5], [0, 450, 179.5], [0, 0, 1]])
    with pytest.raises(InputError, match="another aspect ratio"):
        camera.resized((720, 720))


def test_a_picture_without_a_camera_is_assumed_to_see_70_degrees():
    camera = camera_of_picture((1000, 500))
    assert camera.source == "assumed: 70 degrees across"
    assert camera.K[0, 0] == pytest.approx(500 / np.tan(np.radians(35)))


def test_kittis_calibration_is_a_camera(streets):
    path = next(streets.rglob("calib_cam_to_cam.txt"))
    camera = camera_of_picture((160, 64), file=path)
    assert camera.K[0, 0] == pytest.approx(0.58 * 160, rel=1e-3)
    assert camera_of_picture((160, 64), K=(100, 100, 80, 32)).K[0, 2] == 80


def test_stretching_keeps_the_borders_of_a_picture():
    camera = Camera(np.array([[700.0, 0, 600], [0, 710, 170], [0, 0, 1]]), (1242, 375))
    small = camera.stretched((640, 192))
    # The ray through the left border (x = -0.5) and the bottom border (y = 374.5) stays the same.
    ray = np.linalg.inv(camera.K) @ [-0.5, 374.5, 1]
    np.testing.assert_allclose(small.K @ ray, [-0.5, 191.5, 1], atol=1e-9)
    np.testing.assert_allclose(small.stretched((1242, 375)).K, camera.K)


def test_a_flip_mirrors_pixels():
    camera = Camera(np.array([[700.0, 0, 600], [0, 710, 170], [0, 0, 1]]), (1242, 375))
    point = np.array([1.0, 0.5, 4.0])
    x, y, _ = camera.K @ point / point[2]
    mirrored = camera.flipped().K @ (point * [-1, 1, 1]) / point[2]
    np.testing.assert_allclose(mirrored, [1241 - x, y, 1])
    assert camera.K[0, 2] == 600


def test_published_camera():
    """A flip leaves it as it is."""
    camera = published_camera(640, 192)
    np.testing.assert_allclose(camera.K, [[371.2, 0, 320], [0, 368.64, 96], [0, 0, 1]])
    assert camera.flipped() is camera
