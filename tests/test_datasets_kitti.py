from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.kitti import (
    Calibration,
    common_baseline,
    day_folder,
    find_extension,
    frame_path,
    read_calibration,
    stereo_baseline,
    sweep_path,
)
from datasets.splits import SplitLine
from system.errors import InputError

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
        calibration.camera("r").K, [[720, 0, 610], [0, 730, 180], [0, 0, 1]]
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


def calibration(left: float, right: float) -> Calibration:
    """Cameras at these metres right of camera 0, with different focal lengths."""
    projection = {}
    for side, x, focal in (("l", left, 700.0), ("r", right, 710.0)):
        K = np.array([[focal, 0, 600], [0, focal, 180], [0, 0, 1]])
        projection[side] = K @ np.array([[1, 0, 0, -x], [0, 1, 0, 0], [0, 0, 1, 0]])
    return Calibration(projection, {"l": (1200, 360), "r": (1200, 360)}, np.eye(4))


def days(*baselines: float) -> dict:
    return {Path(f"day{i}"): calibration(-0.06, b - 0.06) for i, b in enumerate(baselines)}


def test_the_baseline_is_the_distance_between_the_cameras():
    assert stereo_baseline(calibration(-0.06, 0.47)) == pytest.approx(0.53)


def test_kittis_days_count_as_the_published_baseline():
    assert common_baseline(days(0.532, 0.537, 0.54)) == 0.54


def test_no_calibration_means_the_published_baseline():
    assert common_baseline({}) == 0.54


def test_another_pair_of_cameras_has_its_own_metres():
    assert common_baseline(days(0.12, 0.122)) == pytest.approx(0.121)


def test_different_cameras_do_not_train_together():
    with pytest.raises(InputError, match=r"0\.120 m apart in day1 and 0\.540 m in day0"):
        common_baseline(days(0.54, 0.12))


@pytest.mark.parametrize("baseline", [0, -0.54])
def test_a_calibration_without_a_baseline_is_said(baseline, caplog):
    with caplog.at_level(logging.WARNING):
        assert common_baseline({Path("day0"): calibration(0, baseline)}) == 0.54
    assert "day0" in caplog.text
    assert f"{baseline:g} m right" in caplog.text
