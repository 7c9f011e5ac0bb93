"""KITTI odometry on disk: frames, cameras and times of sequences, and training on them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

import train
from datasets import check
from datasets.items import make_items
from datasets.kitti import read_calibration as read_raw_calibration
from datasets.kitti_odom import (
    SAME_FOCAL,
    SIZE_OF_FOCAL,
    frame_path,
    frame_times,
    read_calibration,
    sequence_images,
)
from datasets.layouts import LAYOUTS
from datasets.splits import SplitLine
from system.errors import EXIT_BAD_INPUT, InputError
from weight_files.folder import read_info

ODOM = LAYOUTS["kitti_odom"]
FRAMES = 5


@pytest.fixture
def odom(streets, tmp_path):
    """Sequence 3, made of a drive of the streets, and a split of it."""
    drive = sorted(path for path in streets.glob("*/*_sync"))[0]
    sequence = tmp_path / "odom" / "sequences" / "03"
    for camera in ("2", "3"):
        folder = sequence / f"image_{camera}"
        folder.mkdir(parents=True)
        for index in range(FRAMES):
            image = drive / f"image_0{camera}" / "data" / f"{index:010d}.jpg"
            shutil.copy(image, folder / f"{index:06d}.jpg")
    projection = read_raw_calibration(drive.parent).projection
    keys = {"P2": projection["l"], "P3": projection["r"]}
    lines = [f"{key}: {' '.join(map(str, P.ravel()))}" for key, P in keys.items()]
    (sequence / "calib.txt").write_text("\n".join(lines) + "\n")
    split = tmp_path / "split"
    split.mkdir()
    for part in ("train", "val"):
        (split / f"{part}_files.txt").write_text("3 1 l\n3 2 r\n")
    return tmp_path / "odom"


def items(odom, *lines, source_ids=(-1, 1, "s")):
    return make_items(odom, lines, source_ids, 64, 64, layout=ODOM, augment=False)


def test_frames_and_cameras_are_found(odom, streets):
    made = items(odom, SplitLine("3", 1, "l"))
    names = [path.relative_to(odom).as_posix() for path in made.paths(0)]
    assert names == [
        "sequences/03/image_2/000001.jpg",
        "sequences/03/image_2/000000.jpg",
        "sequences/03/image_2/000002.jpg",
        "sequences/03/image_3/000001.jpg",
    ]
    raw = read_raw_calibration(sorted(streets.glob("*/*_sync"))[0].parent)
    found = read_calibration(odom / "sequences" / "03")
    assert found.image_size == raw.image_size
    np.testing.assert_allclose(found.projection["r"], raw.projection["r"])
    assert made.item(0, 0)["sources"].shape == (3, 3, 64, 64)


@pytest.mark.parametrize("kind", ["calibration", "published"])
def test_items_are_those_of_the_same_frames_in_the_raw_layout(kind, odom, streets):
    drive = sorted(streets.glob("*/*_sync"))[0].relative_to(streets).as_posix()
    shape = ((-1, 1, "s"), 64, 64, None, kind)
    raw = make_items(streets, [SplitLine(drive, 1, side) for side in "lr"], *shape)
    lines = [SplitLine("3", 1, side) for side in "lr"]
    ours = make_items(odom, lines, *shape, layout=ODOM)
    assert ours.baseline_metres == raw.baseline_metres
    for epoch in range(4):  # mirrored and not
        for index in range(2):
            expected, found = raw.item(epoch, index), ours.item(epoch, index)
            assert expected.keys() == found.keys()
            for key, value in expected.items():
                np.testing.assert_array_equal(found[key], value)


def test_what_is_missing_is_named(odom):
    with pytest.raises(InputError, match=r"image_2.000005\.jpg: no such image"):
        items(odom, SplitLine("3", 4, "l"))
    with pytest.raises(InputError, match=r"'2011_09_26/a'.*--split odom"):
        frame_path(odom, "2011_09_26/a", 1, "l", "jpg")
    path = odom / "sequences" / "03" / "calib.txt"
    path.write_text(path.read_text().replace("P3", "P9"))
    with pytest.raises(InputError, match=r"calib\.txt: key 'P3' is missing"):
        items(odom, SplitLine("3", 1, "l"))


def test_without_calibration_the_published_camera_is_taken(odom, caplog):
    (odom / "sequences" / "03" / "calib.txt").unlink()
    K = items(odom, SplitLine("3", 1, "l")).item(0, 0)["K"]
    assert K[0, 0] == pytest.approx(0.58 * 64)
    assert "has no calib.txt" in caplog.text


def test_training_takes_sequences(odom, tmp_path):
    words = ["--dataset", "kitti_odom", "--data_path", odom, "--split", tmp_path / "split"]
    words += [
        "--frame_ids",
        "0",
        "-1",
        "1",
        "--use_stereo",
        "--height",
        "64",
        "--width",
        "64",
        "--eager",
    ]
    words += ["--batch_size", "2", "--max_steps", "1", "--num_workers", "0"]
    words += ["--weights_init", "scratch"]
    train.main([str(word) for word in (*words, "--log_dir", tmp_path / "logs")])
    info = read_info(tmp_path / "logs" / "mdp" / "last")
    assert info.metric is True
    assert info.baseline_metres == 0.54


def test_a_split_of_drives_is_refused(odom, tmp_path):
    words = ["--dataset", "kitti_odom", "--data_path", str(odom), "--log_dir", str(tmp_path)]
    with pytest.raises(InputError, match="--split odom"):
        train.main(words)


KITTI_03 = "721.5377 0 609.5593 44.85728 0 721.5377 172.854 0.2163791 0 0 1 0.002745884"


def resized(odom, size, projection):
    sequence = odom / "sequences" / "03"
    (sequence / "calib.txt").write_text(f"P2: {projection}\nP3: {projection}\n")
    for path in sequence.rglob("*.jpg"):
        Image.new("RGB", size).save(path)
    return items(odom, SplitLine("3", 1, "l"), source_ids=(-1, 1)).cameras["3", "l"]


@pytest.mark.parametrize("size", [(1242, 375), (640, 192), (621, 188)])
def test_resized_copies_of_kitti_are_known_by_their_focal_length(size, odom, caplog):
    camera, found = resized(odom, size, KITTI_03)
    assert found == size
    assert camera.K[0, 0] == pytest.approx(721.5377 * 64 / 1242)  # whatever the copy's size
    assert camera.K[0, 2] == pytest.approx((609.5593 + 0.5) * 64 / 1242 - 0.5)
    assert "does not say of what size" not in caplog.text


def test_crops_of_kitti_are_refused(odom):
    with pytest.raises(InputError, match=r"is 1216x352.*is of 1242x375: another shape"):
        resized(odom, (1216, 352), KITTI_03)


def test_the_size_of_other_cameras_is_said(odom, caplog):
    camera, found = resized(odom, (640, 192), KITTI_03.replace("721.5377", "400"))
    assert found == (640, 192)
    assert camera.K[0, 0] == pytest.approx(400 * 64 / 640)
    assert "is not of KITTI's cameras" in caplog.text
    assert "taken for 640x192" in caplog.text


def test_focal_lengths_are_those_of_the_days(shared):
    for day in sorted((shared / "kitti_real").glob("2*")):
        calibration = read_raw_calibration(day)
        focal = calibration.projection["l"][0, 0]
        (near,) = [of for of in SIZE_OF_FOCAL if abs(of - focal) < SAME_FOCAL]
        assert SIZE_OF_FOCAL[near] == calibration.image_size["l"]


@pytest.mark.parametrize("ending", ["JPG", "jpeg", "png", "PNG"])
def test_sequences_of_every_ending_are_found(ending, odom):
    for path in (odom / "sequences" / "03").rglob("*.jpg"):
        (path.parent / f"._{path.stem}.png").write_bytes(b"of macOS")
        path.rename(path.with_suffix(f".{ending}"))
    made = items(odom, SplitLine("3", 1, "l"))
    assert [path.suffix for path in made.paths(0)] == [f".{ending}"] * 4
    assert made.item(0, 0)["sources"].shape == (3, 3, 64, 64)
    assert [path.name for path in sequence_images(odom, 3)] == [
        f"{index:06d}.{ending}" for index in range(FRAMES)
    ]
    sequence_images(odom, 3)[2].unlink()
    with pytest.raises(InputError, match=rf"000002\.{ending}: no such image"):
        sequence_images(odom, 3)


def test_times_are_read_or_ten_a_second(odom):
    assert len(sequence_images(odom, 3)) == FRAMES
    np.testing.assert_allclose(frame_times(odom, 3, 3), [0, 0.1, 0.2])
    (odom / "sequences" / "03" / "times.txt").write_text("0.0\n0.2\n0.5\n")
    np.testing.assert_allclose(frame_times(odom, 3, 3), [0, 0.2, 0.5])
    with pytest.raises(InputError, match=r"times\.txt: holds 3 times for 4"):
        frame_times(odom, 3, 4)


@pytest.mark.parametrize("content", ["0 1\n0.1 2\n", "0\nnan\n", "a\nb\n", "0 1\n2\n"])
def test_times_of_something_else_are_refused(content, odom):
    (odom / "sequences" / "03" / "times.txt").write_text(content)
    with pytest.raises(InputError, match=r"times\.txt"):
        frame_times(odom, 3, 2)


def test_the_check_knows_sequences_and_their_archives(odom, tmp_path, capsys):
    split = tmp_path / "split"
    words = ["--dataset", "kitti_odom", "--data_path", str(odom), "--use_stereo"]
    words += ["--log_dir", str(tmp_path), "--batch_size", "1", "--split"]
    assert check.main([*words, str(split)]) == 0
    assert "train: 2 items of 1 drives, 6 of 6 images" in capsys.readouterr().out

    (split / "test_files.txt").write_text("3 0 l\n")
    (odom / "sequences" / "03" / "calib.txt").unlink()
    assert check.main([*words, str(split)]) == 0
    out = capsys.readouterr().out
    assert f"warning: test: {odom / 'poses' / '03.txt'} is missing" in out
    assert "no calib.txt" in out

    assert check.main([*words, "odom"]) == EXIT_BAD_INPUT
    fetched = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fetch: ")]
    base = "fetch: https://s3.eu-central-1.amazonaws.com/avg-kitti/data_odometry"
    assert fetched == [f"{base}_{part}.zip" for part in ("color", "calib", "poses")]
