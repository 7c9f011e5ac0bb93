"""Footage as people have it: which videos and folders are meant, their order, and pairs."""

import json
import logging
import re

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.camera import read_camera_file
from datasets.footage.finding import Footage, find_footage, pictures_in
from datasets.footage.selection import shift_between, small_grey
from datasets.pictures import EXIF, TAKEN
from datasets.prepare import check_cameras, prepare
from datasets.splits import load_split
from system.errors import InputError
from tests.test_datasets_prepare import CAMERA, HEIGHT, WIDTH, texture, view


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def numbered(count, form="{}.png"):
    return [form.format(number) for number in range(count)]


def found(folder, camera=None):
    return [footage.path.relative_to(folder).as_posix() for footage in find_footage(folder, camera)]


def stereo_camera(folder, left="left", right="right"):
    stereo = {"left": left, "right": right, "baseline_metres": 0.2}
    (folder / "camera.json").write_text(json.dumps({**CAMERA, "stereo": stereo}))
    return read_camera_file(folder / "camera.json")


def write_video(path, frames, rate=25):
    size = frames[0].shape[1::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, size)
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def test_pictures_are_in_the_order_of_their_numbers(tmp_path):
    touch(tmp_path, *numbered(12), "._3.png", "Thumbs.db", "__MACOSX/._1.png", "@eaDir/1.png")
    assert [path.name for path in pictures_in(tmp_path)] == numbered(12)
    assert found(tmp_path) == ["."]


def test_a_picture_hides_no_videos_and_is_said(tmp_path, caplog):
    touch(tmp_path, "GX010002.MP4", "gx010010.mp4", "cover.jpg", "100GOPRO/GX1.MP4", "ride.LRV")
    assert found(tmp_path) == ["100GOPRO/GX1.MP4", "GX010002.MP4", "gx010010.mp4"]
    assert "1 too few pictures (10 are needed), beside other footage: cover.jpg" in caplog.text
    assert "1 neither picture nor video: ride.LRV" in caplog.text


def test_frames_videos_and_folders_beside_each_other_all_count(tmp_path, caplog):
    touch(tmp_path, *numbered(10), "b.mov")
    touch(tmp_path / "rides" / "one", *numbered(10))
    touch(tmp_path / "depth", *numbered(10))
    touch(tmp_path / "made", "contact_sheet.jpg", "splits/train_files.txt")
    touch(tmp_path / "prepared", "contact_sheet.jpg")
    touch(tmp_path / "b_depth", *numbered(10))
    assert found(tmp_path) == [".", "b.mov", "rides/one"]
    assert "no folder of frames, by the name: depth" in caplog.text
    assert "prepared already: made" in caplog.text


def test_links_that_lead_back_end(tmp_path):
    touch(tmp_path / "a", *numbered(10))
    try:
        (tmp_path / "a" / "back").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    assert found(tmp_path) == ["a"]


def test_two_cameras_in_one_folder_are_refused(tmp_path):
    touch(tmp_path, *numbered(12, "left_{}.png"), *numbered(12, "right_{}.png"))
    with pytest.raises(
        InputError, match=r"24 pictures is not clear: left_11\.png and right_0\.png"
    ):
        find_footage(tmp_path, None)


def test_one_picture_is_no_footage(tmp_path):
    with pytest.raises(InputError, match=r"0\.JPG: is one picture; name .* the folder"):
        find_footage(touch(tmp_path, "0.JPG") / "0.JPG", None)


def test_nothing_to_read_says_what_is_there(tmp_path):
    touch(tmp_path, "a.DNG", "b.DNG", "._c.jpg")
    with pytest.raises(InputError, match=r"neither pictures .*2 of a kind that is not read"):
        find_footage(tmp_path, None)


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_times_that_contradict_the_names_are_refused(tmp_path, ending):
    def save(name, seconds):
        exif = Image.Exif()
        exif.get_ifd(EXIF)[TAKEN] = f"2024:05:06 07:08:{seconds:02d}"
        Image.new("RGB", (8, 6)).save(tmp_path / f"{name}.{ending}", exif=exif)

    for name, seconds in enumerate((1, 1, 2, 5)):
        save(name, seconds)
    assert found(tmp_path) == ["."]
    save(2, 50)
    with pytest.raises(InputError, match=rf"2\.{ending} comes before 3\.{ending} by its name, but"):
        find_footage(tmp_path, None)
    Image.new("RGB", (8, 6)).save(tmp_path / f"1.{ending}")  # nobody knows when
    assert found(tmp_path) == ["."]


def test_pairs_are_of_the_same_number_whatever_the_cameras_call_it(tmp_path):
    touch(tmp_path / "left", *numbered(12, "cam0_{:03}.png"), "Thumbs.db")
    touch(tmp_path / "right", *numbered(12, "cam1-{}.JPG"), "._cam1-3.JPG")
    (footage,) = find_footage(tmp_path, stereo_camera(tmp_path))
    assert footage == Footage(tmp_path / "left", tmp_path / "right")
    # As many frames, but from the third on of other moments.
    (tmp_path / "right" / "cam1-2.JPG").rename(tmp_path / "right" / "cam1-12.JPG")
    with pytest.raises(InputError, match=r"of the same moments.*cam0_002\.png.*cam1-12\.JPG"):
        find_footage(tmp_path, stereo_camera(tmp_path))


def test_rides_of_two_cameras_belong_together_by_number(tmp_path, caplog):
    for name in ("left/a2.mp4", "left/a10.mp4", "right/b2.MOV", "right/b10.MOV", "other/c.mp4"):
        touch(tmp_path, name)
    camera = stereo_camera(tmp_path)
    pairs = [(one.path.name, one.right.name) for one in find_footage(tmp_path, camera)]
    assert pairs == [("a2.mp4", "b2.MOV"), ("a10.mp4", "b10.MOV")]
    assert "1 in none of the cameras' folders: other" in caplog.text
    (tmp_path / "right" / "b10.MOV").unlink()
    with pytest.raises(InputError, match=r"a10\.mp4"):
        find_footage(tmp_path, camera)


def test_videos_of_a_pair_keep_the_same_time(tmp_path):
    frames = [view(3 * number) for number in range(12)]
    left = write_video(tmp_path / "left.avi", frames)
    camera = stereo_camera(tmp_path, "left.avi", "right.avi")
    for count, rate, said in (
        (12, 25, None),
        (11, 25, "as many"),
        (13, 25, "as many"),
        (12, 30, "same moment"),
    ):
        write_video(tmp_path / "right.avi", [*frames, frames[0]][:count], rate)
        (footage,) = find_footage(tmp_path, camera)
        assert footage == Footage(left, tmp_path / "right.avi")
        if said is None:
            assert len(list(footage.pairs())) == 12
            continue
        with pytest.raises(InputError, match=said):
            list(footage.pairs())


def write_pair(folder, apart, down=0):
    for name, shift, rows in (("left", 0, 0), ("right", apart, down)):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            frame = np.roll(view(3 * number + 8 + shift), rows, axis=0)
            Image.fromarray(frame).save(folder / name / f"{number}.png")
    stereo_camera(folder)
    return Footage(folder / "left", folder / "right")


def test_swapped_cameras_are_refused_and_unequal_rows_warned_of(tmp_path, caplog):
    check_cameras(write_pair(tmp_path / "right_way", 4))
    assert not caplog.records
    check_cameras(write_pair(tmp_path / "tilted", 4, down=6))
    lower = re.search(r"things lie (\S+)% of the height lower", caplog.text)
    assert float(lower[1]) == pytest.approx(100 * 6 / HEIGHT, abs=0.3)
    footage = write_pair(tmp_path / "swapped", -4)
    with pytest.raises(InputError, match="swap left and right in camera"):
        check_cameras(footage)
    with pytest.raises(InputError, match="swap left and right in camera"):
        prepare(tmp_path / "swapped", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_shift_that_is_not_found_tells_nothing():
    left, right = small_grey(texture(0)[:, :WIDTH]), small_grey(texture(1)[:, :WIDTH])
    assert shift_between(left, right) == (0, 0)
    assert shift_between(left, left) == (0, 0)
    across, down = shift_between(left, small_grey(texture(0)[:, 4 : WIDTH + 4]))
    assert across == pytest.approx(-4 / WIDTH, rel=0.1)
    assert down == pytest.approx(0, abs=1e-3)


def test_frames_without_leading_zeros_become_a_ride(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    folder = touch(tmp_path / "my ride", "._1.jpg", "notes.txt")
    for number in range(40):
        Image.fromarray(view(3 * number)).save(folder / f"frame{number}.JPG", "JPEG", quality=95)
    prepare(folder, tmp_path / "data", degrees=80)
    lines = [load_split(str(tmp_path / "data" / "splits"), part) for part in ("train", "val")]
    assert sum(map(len, lines)) == 40 - 4  # one clip: no cuts
    assert "0 cuts" in caplog.text
    assert "1 hidden, or made by the system: ._1.jpg" in caplog.text
    assert "1 neither picture nor video: notes.txt" in caplog.text


def test_a_line_to_copy_holds_paths_with_spaces(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    folder = tmp_path / "ride"
    folder.mkdir()
    for number in range(20):
        Image.fromarray(view(3 * number)).save(folder / f"{number}.png")
    line = prepare(folder, tmp_path / "my data", degrees=80)
    assert f"--data_path '{tmp_path / 'my data'}' --height" in line
