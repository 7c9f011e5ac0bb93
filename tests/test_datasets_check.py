"""The check before a long run names what is missing, and where to get it."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image

from datasets import check
from datasets.check import implausible
from datasets.items import make_items
from datasets.kitti import read_calibration
from datasets.layouts import archive_of_day, archive_of_drive, archive_of_sequence
from datasets.splits import load_split
from system.errors import EXIT_BAD_INPUT, InputError


@pytest.fixture
def data(streets, tmp_path):
    """A copy of the streets to damage."""
    return shutil.copytree(streets, tmp_path / "data")


def run(data, capsys, *more):
    words = ["--data_path", str(data), "--split", str(data / "splits"), "--use_stereo"]
    code = check.main([*words, "--batch_size", "2", "--log_dir", str(data), *more])
    return code, capsys.readouterr().out


def first_line(data, part="train"):
    folder, frame, side = (data / "splits" / f"{part}_files.txt").read_text().split()[:3]
    return data / folder, int(frame), {"l": "image_02", "r": "image_03"}[side]


def test_a_whole_data_set_is_ready(data, capsys):
    code, out = run(data, capsys, "--deep")
    assert code == 0
    assert "problem:" not in out
    assert "warning:" not in out
    assert "an epoch: 12 items, 6 steps of 2; 20 epochs: 120 steps" in out
    assert "loading alone: " in out
    assert out.splitlines()[-1].startswith("ready: 12 train items")


def test_a_missing_drive_is_named_once_for_all_its_frames(data, capsys):
    drive, _, _ = first_line(data)
    shutil.rmtree(drive)
    code, out = run(data, capsys)
    assert code == EXIT_BAD_INPUT
    problems = [line for line in out.splitlines() if line.startswith("problem:")]
    assert problems == [f"problem: train: drive {drive.relative_to(data)} is missing"]
    assert f"fetch: {archive_of_drive(str(drive.relative_to(data).as_posix()))}" in out
    assert out.splitlines()[-1] == "not ready: 1 problems, 1 archives to fetch"


def test_a_missing_neighbour_is_named(data, capsys):
    drive, frame, camera = first_line(data)
    path = drive / camera / "data" / f"{frame - 1:010d}.jpg"
    path.unlink()
    code, out = run(data, capsys)
    assert code == EXIT_BAD_INPUT
    assert f"problem: train: 1 images are missing: {path}" in out


def test_a_missing_calibration_is_a_warning_and_a_wrong_one_a_problem(data, capsys):
    day = first_line(data)[0].parent
    path = day / "calib_cam_to_cam.txt"
    content = path.read_text()
    path.unlink()
    code, out = run(data, capsys)
    assert code == 0
    assert f"warning: {day}: no calib_cam_to_cam.txt" in out
    assert f"fetch: {archive_of_day(first_line(data)[0].relative_to(data).as_posix())}" in out
    path.write_text(content.replace("P_rect_02", "P_rect_09"))
    code, out = run(data, capsys)
    assert code == EXIT_BAD_INPUT
    assert "P_rect_02" in out


def test_missing_sweeps_are_a_warning(data, capsys):
    shutil.rmtree(first_line(data, "test")[0] / "velodyne_points")
    code, out = run(data, capsys)
    assert code == 0
    assert "LiDAR sweeps are missing" in out


def test_a_truncated_image_is_found_by_looking_deep(data, capsys):
    drive, frame, camera = first_line(data)
    path = drive / camera / "data" / f"{frame:010d}.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    code, out = run(data, capsys, "--deep")
    assert code == EXIT_BAD_INPUT
    assert f"problem: {path}: cannot be read as a picture" in out


@pytest.fixture
def test_set(data):
    """The data with the test images and their sweeps alone, as the test set is packed by others."""
    drive, _, _ = first_line(data, "test")
    for folder in data.glob("*/*_sync"):
        if folder != drive:
            shutil.rmtree(folder)
    shutil.rmtree(drive / "image_03")
    return data


def test_the_test_set_alone_is_ready_to_evaluate(test_set, capsys):
    code, out = run(test_set, capsys, "--only", "test")
    assert code == 0
    count = len((test_set / "splits" / "test_files.txt").read_text().splitlines())
    ready = f"ready to evaluate: {count} of {count} test images are there with their LiDAR sweeps"
    assert out.splitlines()[-1] == ready
    for word in ("problem:", "warning:", "fetch:", "train", "an epoch"):
        assert word not in out
    code, out = run(test_set, capsys)
    assert code == EXIT_BAD_INPUT
    assert out.splitlines()[-2] == ready
    assert out.splitlines()[-1].startswith("not ready: ")


def test_a_part_of_the_test_set_can_be_evaluated(test_set, capsys):
    drive, _, camera = first_line(test_set, "test")
    frame, other, *_ = range(4)
    lines = [f"{drive.relative_to(test_set).as_posix()} {n} l" for n in range(4)]
    (test_set / "splits" / "test_files.txt").write_text("\n".join(lines))
    for n in range(4):  # the streets have sweeps of test images only
        (drive / "velodyne_points" / "data" / f"{n:010d}.bin").touch()
    sweep = drive / "velodyne_points" / "data" / f"{frame:010d}.bin"
    sweep.unlink()
    (drive / camera / "data" / f"{other:010d}.jpg").unlink()
    _, out = run(test_set, capsys, "--only", "test")
    assert f"warning: test: 1 LiDAR sweeps are missing: {sweep};" in out
    part = f"{len(lines) - 2} of {len(lines)} test images are there with their LiDAR sweeps"
    assert f"\n{part}; --allow_missing evaluates on these\n" in out
    (drive.parent / "calib_velo_to_cam.txt").unlink()
    _, out = run(test_set, capsys, "--only", "test")
    assert "calib_velo_to_cam.txt is missing" in out
    assert "--allow_missing" not in out


def test_improved_depth_is_looked_for_where_it_is_measured_on(test_set, capsys):
    folder = (test_set / "splits").rename(test_set / "eigen_benchmark")
    words = ["--data_path", str(test_set), "--split", str(folder), "--log_dir", str(test_set)]
    assert check.main([*words, "--only", "test"]) == 0
    assert "improved depth maps are missing" in capsys.readouterr().out
    for line in (folder / "test_files.txt").read_text().splitlines():
        drive, frame, _ = line.split()
        path = test_set / "val" / drive.split("/")[1] / "proj_depth/groundtruth/image_02"
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{int(frame):010d}.png").touch()
    check.main([*words, "--only", "test"])
    assert capsys.readouterr().out.splitlines()[-1].startswith("ready to evaluate: ")


def test_a_split_without_a_test_list_has_nothing_to_evaluate(test_set):
    with pytest.raises(InputError, match="has no test list"):
        check.main(["--data_path", str(test_set), "--split", "eigen_zhou", "--only", "test"])


def test_a_resized_copy_is_a_warning_and_a_mixture_a_problem(data, capsys):
    drive, frame, camera = first_line(data)
    for path in data.rglob("*.jpg"):  # of all parts
        Image.open(path).resize((80, 32)).save(path)
    code, out = run(data, capsys)
    assert code == 0
    warnings = [line for line in out.splitlines() if line.startswith("warning:")]
    assert len(warnings) == 1
    assert "frames of 80x32" in warnings[0]
    path = drive / camera / "data" / f"{frame:010d}.jpg"
    Image.open(path).resize((160, 64)).save(path)
    code, out = run(data, capsys, "--deep")
    assert code == EXIT_BAD_INPUT
    assert f"{path.parent}: 1 images are 160x64, the others 80x32: {path}" in out
    for path in drive.rglob("*.jpg"):
        Image.open(path).resize((64, 64)).save(path)
    code, out = run(data, capsys)
    assert code == EXIT_BAD_INPUT
    assert "another shape" in out


def test_drives_of_png_and_of_jpg_are_both_found(data, capsys):
    drive, _, _ = first_line(data)
    for path in drive.rglob("*.jpg"):
        Image.open(path).save(path.with_suffix(".PNG"))
        path.unlink()
    code, out = run(data, capsys)
    assert code == 0
    assert "problem:" not in out


@pytest.mark.parametrize("ending", [".png", ".JPG", ".jpeg", ".PNG"])
def test_frames_with_another_ending_are_not_missing(ending, data, capsys):
    drive, frame, camera = first_line(data)
    path = drive / camera / "data" / f"{frame:010d}.jpg"
    path.rename(path.with_suffix(ending))
    (path.parent / "._0000000000.png").write_bytes(b"of macOS")
    code, out = run(data, capsys)
    assert code == EXIT_BAD_INPUT
    other = path.with_suffix(ending)
    assert (
        f"problem: train: 1 images have another ending than .jpg, which is read there: {other}"
        in out
    )
    assert "missing" not in out
    assert "fetch:" not in out
    code, out = run(data, capsys, "--png")
    assert code == EXIT_BAD_INPUT
    assert "another ending than .png" in out
    assert "fetch:" not in out


def test_training_names_the_other_ending_too(data):
    drive, frame, camera = first_line(data)
    path = drive / camera / "data" / f"{frame:010d}.jpg"
    path.rename(path.with_suffix(".JPG"))
    lines = load_split(str(data / "splits"), "train")
    with pytest.raises(
        InputError, match=rf"{path.name}, though {path.stem}\.JPG is there \(see --png"
    ):
        make_items(data, lines, (-1, 1), 32, 64)


@pytest.mark.parametrize("calibrated", [True, False])
def test_the_other_cameras_frames_of_another_size_are_a_problem(calibrated, data, capsys):
    drive, frame, _ = first_line(data)
    name = drive.relative_to(data).as_posix()
    for part in ("train", "val", "test"):  # one frame, and its partner
        (data / "splits" / f"{part}_files.txt").write_text(f"{name} {frame} l\n")
    if not calibrated:
        (drive.parent / "calib_cam_to_cam.txt").unlink()
    path = drive / "image_03" / "data" / f"{frame:010d}.jpg"
    assert run(data, capsys, "--frame_ids", "0")[0] == 0
    Image.open(path).resize((80, 32)).save(path)
    code, out = run(data, capsys, "--deep", "--frame_ids", "0")
    assert code == EXIT_BAD_INPUT
    assert f"problem: {path}: is 80x32, and the other camera's frames in " in out


@pytest.mark.parametrize(
    ("change", "oddity"),
    [
        (lambda P: P[0].__setitem__(0, P[0][0] * 8), "degrees across"),
        (lambda P: P[1].__setitem__(1, P[1][1] * 2), "focal lengths"),
        (lambda P: P[0].__setitem__(2, 1), "principal point"),
        (lambda P: P[0].__setitem__(3, -3000), "m apart"),
    ],
)
def test_implausible_cameras_are_described(change, oddity, streets):
    calibration = read_calibration(first_line(streets)[0].parent)
    assert implausible(calibration) == []
    change(calibration.projection["r"])
    assert oddity in " ".join(implausible(calibration))


def test_published_splits_name_every_archive(tmp_path, capsys):
    code = check.main(["--data_path", str(tmp_path), "--split", "eigen_zhou"])
    out = capsys.readouterr().out
    assert code == EXIT_BAD_INPUT
    fetched = [line for line in out.splitlines() if line.startswith("fetch:")]
    assert len(set(fetched)) == len(fetched) == 32 + 5  # drives, and days of calibration
    base = "https://s3.eu-central-1.amazonaws.com/avg-kitti/raw_data"
    assert f"fetch: {base}/2011_09_26_drive_0001/2011_09_26_drive_0001_sync.zip" in fetched
    assert f"fetch: {base}/2011_09_26_calib.zip" in fetched
    with pytest.raises(InputError, match="--data_path"):
        check.main(["--data_path", str(tmp_path / "gone")])


def test_a_full_disk_is_a_warning(tmp_path, monkeypatch, capsys):
    usage = shutil.disk_usage(tmp_path)._replace(free=2**28)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    findings = check.Findings()
    check.check_disk(tmp_path / "logs" / "deep", findings)
    assert "0.2 GiB free" in findings.warnings[0]
    assert str(tmp_path) in capsys.readouterr().out


def test_folders_of_other_names_have_no_archive():
    assert archive_of_drive("town/drive_1") is None
    assert archive_of_drive("2011_09_26/2011_09_28_drive_0001_sync") is None
    assert archive_of_day("town/drive_1") is None
    drive = "2011_10_03/2011_10_03_drive_0027_sync"
    assert archive_of_day(drive).endswith("/2011_10_03_calib.zip")
    assert archive_of_sequence("9").endswith("/data_odometry_color.zip")
    assert archive_of_sequence("22") is None
