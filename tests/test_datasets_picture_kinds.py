"""Kinds of picture that need more than Pillow are read, or the message says what to do."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, features

from datasets.picture_kinds import UNREAD, unread_kind
from datasets.pictures import PICTURES, picture_size, read_picture
from system.errors import InputError

UPRIGHT = np.zeros((40, 60, 3), np.uint8)
UPRIGHT[:, :30] = (200, 40, 40)


def test_phones_pictures_count_as_pictures():
    assert {".heic", ".heif", ".avif", ".jfif", ".jpe"} <= PICTURES
    assert not PICTURES & UNREAD


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"\x00\x00\x00\x18ftypheic", "HEIC: pip install -r requirements-heic.txt, or convert it"),
        (b"\x00\x00\x00\x24ftypmif1", "HEIC"),
        (b"\x00\x00\x00\x20ftypavif", "AVIF"),
        (b"\x00\x00\x00\x20ftypmp42", "a video"),
        (b"\xff\x0a\x00\x00", "JPEG XL: convert it"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    ],
)
def test_what_is_not_read_is_called_by_its_name(head, said, tmp_path):
    assert said in unread_kind(head)
    path = tmp_path / "a.jpg"  # whatever its ending
    path.write_bytes(head + bytes(100))
    with pytest.raises(InputError, match=r"a\.jpg: cannot be read as a picture \("):
        read_picture(path)


def test_what_is_none_has_no_name():
    assert unread_kind(b"") is unread_kind(b"no picture at all") is None


@pytest.mark.parametrize("name", ["a.jfif", "a.jpe", "a.avif"])
def test_other_endings_are_read(tmp_path, name):
    if name.endswith("avif") and not features.check("avif"):
        pytest.skip("this Pillow does not read AVIF")
    path = tmp_path / name
    Image.fromarray(UPRIGHT).save(path, "AVIF" if name.endswith("avif") else "JPEG", quality=95)
    assert np.abs(read_picture(path)[20, 15].astype(int) - (200, 40, 40)).max() < 12


def test_heic_is_read_upright(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="needs requirements-heic.txt")
    assert heif
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise
    Image.fromarray(np.rot90(UPRIGHT)).save(tmp_path / "a.heic", quality=95, exif=exif.tobytes())
    picture = read_picture(tmp_path / "a.heic")
    assert picture.shape == UPRIGHT.shape
    assert picture_size(tmp_path / "a.heic") == (60, 40)
    assert np.abs(picture.astype(int) - UPRIGHT)[:, np.r_[0:27, 33:60]].max() < 20


def test_a_library_that_does_not_load_is_as_good_as_none(tmp_path):
    (tmp_path / "pillow_heif.py").write_text("raise ImportError('libheif.so.1 is missing')")
    code = "from datasets.pictures import read_picture"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"]
    assert subprocess.run(command, check=False).returncode == 0
