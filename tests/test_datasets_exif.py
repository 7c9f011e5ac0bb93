"""The focal length in pictures' EXIF, and what is not taken for one."""

import json
import math

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from datasets.exif import camera_of_exif, camera_of_frames
from datasets.prepare import camera_of_footage
from system.errors import InputError

DIAGONAL = math.hypot(36, 24)


def photo(path, tags, size=(120, 90), orientation=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769).update(tags)
    Image.new("RGB", size, (40, 90, 30)).save(path, exif=exif)
    return path


def test_the_length_for_35_mm_film_is_compared_by_the_diagonal(tmp_path):
    camera = camera_of_exif(photo(tmp_path / "a.jpg", {0xA405: 26, 0x920A: IFDRational(4)}))
    np.testing.assert_allclose(
        camera.K, [[26 * 150 / DIAGONAL, 0, 59.5], [0, 26 * 150 / DIAGONAL, 44.5], [0, 0, 1]]
    )
    assert camera.image_size == (120, 90)
    assert camera.source.startswith("EXIF: a focal length of 26 mm for 35 mm film")
    # A 3:2 picture has the very frame of the film: 36 mm across, 50 mm away.
    camera = camera_of_exif(photo(tmp_path / "b.jpg", {0xA405: 50}, size=(180, 120)))
    assert camera.K[0, 0] == pytest.approx(50 / 36 * 180)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_every_kind_of_file_with_exif_is_read(tmp_path, ending):
    assert camera_of_exif(photo(tmp_path / f"a.{ending}", {0xA405: 26})) is not None


@pytest.mark.parametrize(("unit", "per_mm"), [(2, 25.4), (3, 10), (4, 1), (None, 25.4)])
def test_a_sensors_resolution_tells_of_pixels(tmp_path, unit, per_mm):
    tags = {0x920A: IFDRational(5), 0xA20E: IFDRational(round(20 * per_mm * 100), 100)}
    if unit is not None:
        tags[0xA210] = unit
    camera = camera_of_exif(photo(tmp_path / "a.jpg", tags))
    assert camera.K[0, 0] == pytest.approx(100)  # 5 mm at 20 pixels a mm
    # Made smaller by a program that left the tags: what the camera wrote was twice as large.
    camera = camera_of_exif(photo(tmp_path / "b.jpg", {**tags, 0xA002: 240, 0xA003: 180}))
    assert camera.K[0, 0] == pytest.approx(50)


def test_a_turned_picture_has_the_camera_of_what_is_seen(tmp_path):
    tags = {0xA405: 26, 0xA002: 120, 0xA003: 90}
    camera = camera_of_exif(photo(tmp_path / "a.jpg", tags, orientation=6))
    assert camera.image_size == (90, 120)
    assert camera.K[0, 0] == pytest.approx(26 * 150 / DIAGONAL)
    assert camera.K[[0, 1], [2, 2]].tolist() == [44.5, 59.5]


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {0xA405: 0},  # unknown
        {0x920A: IFDRational(4, 1)},  # of a sensor of unknown size
        {0x920A: IFDRational(0, 0), 0xA20E: IFDRational(500)},
        {0x920A: IFDRational(4), 0xA20E: IFDRational(500), 0xA210: 9},
        {0x920A: IFDRational(5), 0xA20E: IFDRational(508), 0xA404: IFDRational(3)},  # zoomed
        {0xA405: 26, 0xA002: 120, 0xA003: 120},  # cropped
        {0xA405: 60000},
    ],
)
def test_what_says_nothing_certain_is_no_camera(tmp_path, tags):
    assert camera_of_exif(photo(tmp_path / "a.jpg", tags)) is None


def test_files_that_are_no_pictures_say_nothing(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    assert camera_of_exif(tmp_path / "a.jpg") is None
    assert camera_of_exif(tmp_path / "none.jpg") is None


def test_frames_of_a_folder_have_the_camera_that_they_tell_of(tmp_path):
    folder = tmp_path / "ride"
    folder.mkdir()
    for number in range(12):
        photo(folder / f"{number:03d}.jpg", {0xA405: 26})
    for source in (folder, tmp_path):
        camera = camera_of_footage(source, None, None)
        assert camera.K[0, 0] == pytest.approx(26 * 150 / DIAGONAL)
    assert camera_of_footage(folder, None, 60.0) is None  # what is given comes first
    fields = {"image_size": [120, 90], "horizontal_fov_degrees": 60}
    (folder / "camera.json").write_text(json.dumps(fields))
    assert camera_of_footage(folder, None, None).source == str(folder / "camera.json")


def test_frames_of_several_focal_lengths_or_of_none_are_no_camera(tmp_path):
    paths = [photo(tmp_path / f"{f}.jpg", {0xA405: f}) for f in (26, 52)]
    with pytest.raises(InputError, match=r"26.jpg and .*52.jpg: were taken with different focal"):
        camera_of_frames(paths)
    paths[1] = photo(tmp_path / "52.jpg", {})
    assert camera_of_frames(paths) is None
    assert camera_of_frames([]) is None
    with pytest.raises(InputError, match="--horizontal_fov 70"):
        camera_of_footage(tmp_path, None, None)
