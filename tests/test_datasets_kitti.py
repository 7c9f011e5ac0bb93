from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.kitti import (
    day_folder,
    find_extension,
    flip_intrinsics,
    frame_path,
    intrinsics,
    published_intrinsics,
    read_calibration,
    read_image,
    resize_intrinsics,
    sweep_path,
)
from datasets.splits import SplitLine
from errors import InputError

CAMERAS = {
    "S_rect_02": "1.242000e+03 3.750000e+02",
    "R_rect_00": "1 0 0 0 1 0 0 0 1",
    "P_rect_02": "700 0 600 45 0 710 170 0.2 0 0 1 0.003",
    "S_rect_03": "1240 370",
    "P_rect_03": "720 0 610 -340 0 730 180 2 0 0 1 0.003",
}
LIDAR = {"R": "0 -1 0 0 0 -1 1 0 0", "T": "0 -0.08 -0.27"}


def write_entries(path: Path, entries: dict[str, str]) -> None:
    text = "".join(f"{key}: {value}\n" for key, value in entries.items())
    path.write_text("calib_time: 09-Jan-2012 13:57:47\n" + text)


@pytest.fixture
def day(tmp_path):
    write_entries(tmp_path / "calib_cam_to_cam.txt", CAMERAS)
    write_entries(tmp_path / "calib_velo_to_cam.txt", LIDAR)
    return tmp_path


def test_paths():
    root = Path("kitti")
    image = frame_path(root, "day/drive", 7, "r", "png")
    assert image == root / "day" / "drive" / "image_03" / "data" / "0000000007.png"
    assert frame_path(root, "day/drive", 7, "l", "jpg").parts[3] == "image_02"
    assert sweep_path(root, "day/drive", 7).parts[3:] == (
        "velodyne_points",
        "data",
        "0000000007.bin",
    )
    assert day_folder(root, "day/drive") == root / "day"


def make_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (10, 20, 30)).save(path)


def test_extension_follows_the_files(tmp_path, caplog):
    lines = [SplitLine("day/a", 3, "l"), SplitLine("day/b", 3, "r")]
    with pytest.raises(InputError, match=r"image_02.data and 1 more"):
        find_extension(tmp_path, lines, None)
    make_image(frame_path(tmp_path, "day/b", 0, "r", "png"))
    assert find_extension(tmp_path, lines, None) == "png"
    make_image(frame_path(tmp_path, "day/a", 0, "l", "jpg"))
    with caplog.at_level("INFO"):
        assert find_extension(tmp_path, lines, None) == "jpg"
    assert "--png" in caplog.text
    assert find_extension(tmp_path, lines, True) == "png"


def test_calibration_of_both_cameras(day):
    calibration = read_calibration(day, with_lidar=True)
    assert calibration.image_size == {"l": (1242, 375), "r": (1240, 370)}
    np.testing.assert_array_equal(
        intrinsics(calibration, "r"), [[720, 0, 610], [0, 730, 180], [0, 0, 1]]
    )
    # A point 1 m ahead of the LiDAR lies ahead of the camera, a little below and behind it.
    np.testing.assert_allclose(calibration.velo_to_camera @ [1, 0, 0, 1], [0, -0.08, 0.73, 1])


def test_cameras_need_no_lidar_file(day):
    (day / "calib_velo_to_cam.txt").unlink()
    assert read_calibration(day).velo_to_camera is None
    with pytest.raises(InputError, match=r"calib_velo_to_cam\.txt"):
        read_calibration(day, with_lidar=True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("P_rect_03", None),
        ("P_rect_02", "700 0 600 45 0 71O 170 0.2 0 0 1 0.003"),
        ("P_rect_02", "700 0 600"),
        ("P_rect_02", "nan 0 600 45 0 710 170 0.2 0 0 1 0.003"),
        ("P_rect_02", "-700 0 600 45 0 710 170 0.2 0 0 1 0.003"),
        ("P_rect_02", "700 0 1300 45 0 710 170 0.2 0 0 1 0.003"),
        ("S_rect_02", "1242.5 375"),
        ("R_rect_00", "1 0 0 0 1 0 0 0 2"),
    ],
)
def test_wrong_calibration_is_refused_by_file_and_key(day, key, value):
    entries = {name: text for name, text in CAMERAS.items() if name != key}
    if value is not None:
        entries[key] = value
    write_entries(day / "calib_cam_to_cam.txt", entries)
    with pytest.raises(InputError, match=rf"calib_cam_to_cam\.txt.*{key}"):
        read_calibration(day)


def test_missing_calibration_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"calib_cam_to_cam\.txt: no such file"):
        read_calibration(tmp_path)


def test_resized_intrinsics_keep_the_image_borders():
    K = np.array([[700.0, 0, 600], [0, 710, 170], [0, 0, 1]])
    resized = resize_intrinsics(K, (1242, 375), (640, 192))
    # The ray through the left border (x = -0.5) and the bottom border (y = 374.5) stays the same.
    ray = np.linalg.inv(K) @ [-0.5, 374.5, 1]
    np.testing.assert_allclose(resized @ ray, [-0.5, 191.5, 1], atol=1e-9)
    np.testing.assert_allclose(resize_intrinsics(resized, (640, 192), (1242, 375)), K)


def test_flipped_intrinsics_mirror_pixels():
    K = np.array([[700.0, 0, 600], [0, 710, 170], [0, 0, 1]])
    point = np.array([1.0, 0.5, 4.0])
    x, y, _ = K @ point / point[2]
    mirrored = flip_intrinsics(K, 1242) @ (point * [-1, 1, 1]) / point[2]
    np.testing.assert_allclose(mirrored, [1241 - x, y, 1])
    assert K[0, 2] == 600


def test_published_intrinsics():
    np.testing.assert_allclose(
        published_intrinsics(640, 192), [[371.2, 0, 320], [0, 368.64, 96], [0, 0, 1]]
    )


def test_read_image(tmp_path):
    path = tmp_path / "image.png"
    make_image(path)
    image = read_image(path)
    assert image.shape == (6, 8, 3)
    assert image.dtype == np.uint8
    assert image[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_truncated_image_is_refused(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=path.name):
        read_image(path)


def test_missing_and_empty_images_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.jpg: no such image"):
        read_image(tmp_path / "gone.jpg")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(InputError, match=r"empty\.jpg"):
        read_image(tmp_path / "empty.jpg")
