from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import kitti
from datasets.camera import Camera
from datasets.kitti import (
    Calibration,
    common_baseline,
    day_folder,
    find_extensions,
    frame_path,
    image_paths,
    improved_depth_path,
    read_calibration,
    size_of_frames,
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


CAMERA_A, CAMERA_B = ("day/a", "l"), ("day/b", "r")


def extensions(root, png=None):
    return tuple(find_extensions(root, (CAMERA_A, CAMERA_B), png).values())


def test_extensions_follow_the_files_of_each_folder(tmp_path, caplog):
    with pytest.raises(InputError, match=r"image_02.data and 1 more"):
        extensions(tmp_path)
    make_image(frame_path(tmp_path, "day/b", 0, "r", "png"))
    assert extensions(tmp_path) == ("png", "png")  # a folder without images as the others
    make_image(frame_path(tmp_path, "day/a", 0, "l", "jpg"))
    with caplog.at_level("INFO"):
        assert extensions(tmp_path) == ("jpg", "png")
        assert not caplog.records
        make_image(frame_path(tmp_path, "day/b", 0, "r", "jpg"))
        assert extensions(tmp_path) == ("jpg", "jpg")
    assert "--png" in caplog.text
    assert extensions(tmp_path, png=True) == ("png", "png")


@pytest.mark.parametrize("extension", ["jpg", "JPG", "jpeg", "JPEG", "png", "PNG"])
def test_every_spelling_of_an_extension_is_found(extension, tmp_path):
    make_image(frame_path(tmp_path, "day/b", 5, "r", extension))
    frame_path(tmp_path, "day/b", 0, "r", "txt").touch()
    (path,) = image_paths(tmp_path, [SplitLine("day/b", 5, "r")], None)
    assert path.name == f"0000000005.{extension}"
    assert path.is_file()


def test_a_long_split_lists_each_folder_once(tmp_path, monkeypatch):
    for folder in ("day/a", "day/b"):
        make_image(frame_path(tmp_path, folder, 0, "l", "jpg"))
    listed = []
    monkeypatch.setattr(kitti, "names_in", lambda folder: listed.append(folder) or {"0.jpg"})
    lines = [SplitLine(f"day/{'ab'[n % 2]}", n, "l") for n in range(40_000)]
    assert len(image_paths(tmp_path, lines, None)) == 40_000
    assert len(listed) == 2


def test_improved_depth_is_found_where_the_archive_unzips_it(tmp_path):
    below = Path("a", "proj_depth", "groundtruth", "image_02", "0000000005.png")
    places = [tmp_path / "day" / below, tmp_path / "val" / below, tmp_path / "train" / below]
    assert improved_depth_path(tmp_path, "day/a", 5, "l") == places[0]
    for place in reversed(places):
        make_image(place)
        assert improved_depth_path(tmp_path, "day/a", 5, "l") == place


def frames_of_sizes(root, *sizes):
    paths = [frame_path(root, "day/a", index, "l", "png") for index in range(len(sizes))]
    for path, size in zip(paths, sizes):
        make_image(path)
        Image.new("RGB", size).save(path)
    return paths


KITTI_CAMERA = Camera(np.eye(3), (1242, 375), "calibration of day")


@pytest.mark.parametrize("size", [(1242, 375), (621, 188), (640, 192), (1024, 320), (1241, 376)])
def test_resized_copies_have_the_shape_of_the_calibration(size, tmp_path):
    assert size_of_frames(frames_of_sizes(tmp_path, size, size), KITTI_CAMERA) == size


# The crop of KITTI's depth benchmark, the squeezed copy of Monodepth, a picture turned upright.
@pytest.mark.parametrize("size", [(1216, 352), (512, 256), (375, 1242)])
def test_frames_of_another_shape_are_refused(size, tmp_path):
    with pytest.raises(InputError, match=rf"{size[0]}x{size[1]}.*calibration of day.*1242x375"):
        size_of_frames(frames_of_sizes(tmp_path, size), KITTI_CAMERA)


def test_frames_that_differ_are_no_resized_copy(tmp_path):
    paths = frames_of_sizes(tmp_path, (640, 192), (640, 192), (621, 188))
    with pytest.raises(InputError, match=r"640x192.*0000000002\.png.*621x188"):
        size_of_frames(paths, KITTI_CAMERA)
    # One frame as calibrated: the odd ones are refused when they are read.
    paths = frames_of_sizes(tmp_path, (640, 192), (1242, 375), (640, 192))
    assert size_of_frames(paths, KITTI_CAMERA) == (1242, 375)


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


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("S_rect_02", "1e9 1e9", "no car's camera has 1e.09x1e.09 pixels"),
        ("S_rect_02", "3e9 375", "no car's camera"),
        ("P_rect_03", "721 0 609 -7e8 0 721 172 0 0 0 1 0", "more than 20 m from camera 0"),
        ("P_rect_02", "721 0 609 44.8 0 721 172 0 0 0 1 400", "more than 20 m from camera 0"),
    ],
)
def test_absurd_sizes_and_places_of_cameras_are_refused(day, key, value, said):
    write_entries(day / "calib_cam_to_cam.txt", {**CAMERAS, key: value})
    with pytest.raises(InputError, match=rf"calib_cam_to_cam\.txt: wrong calibration, .*{said}"):
        read_calibration(day)


@pytest.mark.parametrize("translation", ["-4 -76 -271", "0 0 1e6", "0 -1e300 0"])
def test_a_lidar_far_from_the_camera_is_refused(day, translation):
    entries = {**LIDAR, "T": translation}
    write_entries(day / "calib_velo_to_cam.txt", entries)
    with pytest.raises(InputError, match=r"'T': wrong calibration.*not millimetres"):
        read_calibration(day, with_lidar=True)


def test_a_line_that_is_given_twice_must_say_the_same(day):
    path = day / "calib_velo_to_cam.txt"
    text, before = path.read_text(), read_calibration(day, with_lidar=True).velo_to_camera
    path.write_text(f"{text}\nT:  {LIDAR['T']} \n")
    np.testing.assert_array_equal(read_calibration(day, with_lidar=True).velo_to_camera, before)
    path.write_text(f"{text}\nT: 0 0 0\n")
    with pytest.raises(InputError, match=r"calib_velo_to_cam\.txt: holds two different lines 'T:'"):
        read_calibration(day, with_lidar=True)


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
