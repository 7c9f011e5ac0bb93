"""Pictures: every way of decoding gives the same pixels, and what cannot be read is named."""

from __future__ import annotations

import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets import pictures
from datasets.frames import FrameFiles
from datasets.pictures import picture_size, read_picture
from system.errors import InputError

SIZE = (50, 30)  # width, height
ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def picture():
    """RGB with structure at several sizes, different in each colour."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    waves = [np.sin(x / p + y / q) for p, q in ((3, 9), (7, 4), (11, 20))]
    return np.uint8(127 + 100 * np.stack(waves, axis=2))


def saved(picture, path, mode="RGB", **more):
    Image.fromarray(picture).convert(mode).save(path, **more)
    return path


def turned(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


@pytest.fixture
def decoders(monkeypatch):
    """Names of the decoders in the order of their use."""
    used = []
    decode, upright = cv2.imdecode, pictures.upright_rgb
    monkeypatch.setattr(cv2, "imdecode", lambda *args: used.append("opencv") or decode(*args))
    monkeypatch.setattr(
        pictures, "upright_rgb", lambda *args: used.append("pillow") or upright(*args)
    )
    return used


@pytest.mark.parametrize(
    ("suffix", "mode", "more"),
    [
        ("jpg", "RGB", {"quality": 92, "subsampling": 0}),
        ("jpg", "RGB", {"quality": 70, "subsampling": 2, "progressive": True}),
        ("jpg", "RGB", {"keep_rgb": True}),
        ("jpg", "RGB", {"exif": turned(1)}),
        ("jpg", "L", {}),
        ("png", "RGB", {}),
        ("png", "L", {}),
    ],
)
def test_plain_files_are_read_fast_and_as_pillow_reads_them(
    suffix, mode, more, picture, tmp_path, decoders
):
    path = saved(picture, tmp_path / f"a.{suffix}", mode, **more)
    expected = np.asarray(Image.open(path).convert("RGB"))
    np.testing.assert_array_equal(read_picture(path), expected)
    assert decoders == ["opencv"]


def png_with(picture, part, late):
    """A PNG with a further part in front of its pixels, or behind them."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    content = file.getvalue()
    whole = struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part))
    place = len(content) - 12 if late else 33
    return content[:place] + whole + content[place:]


def test_an_orientation_is_obeyed_wherever_it_stands(picture, tmp_path):
    upright = saved(picture, tmp_path / "a.png")
    saved(np.rot90(picture), tmp_path / "b.png", exif=turned(6))
    for late in (False, True):
        part = b"eXIf" + turned(6).tobytes()[6:]
        (tmp_path / f"{late}.png").write_bytes(png_with(np.rot90(picture), part, late))
    for name in ("b.png", "False.png", "True.png"):
        np.testing.assert_array_equal(read_picture(tmp_path / name), read_picture(upright))
        assert picture_size(tmp_path / name) == SIZE
    path = saved(np.rot90(picture), tmp_path / "c.jpg", exif=turned(6))
    assert read_picture(path).shape == picture.shape
    assert picture_size(path) == SIZE


@pytest.mark.parametrize("factor", [256, 257])
def test_16_bits_give_the_pixels_of_8(factor, picture, tmp_path):
    """To the network of a run, too, whose frames come through the same reader."""
    grey = picture[..., 0]
    Image.fromarray(grey).save(tmp_path / "8.png")
    wide = grey.astype(np.uint16) * factor
    for name in ("16.png", "16.tif"):
        Image.fromarray(wide).save(tmp_path / name)
    cv2.imwrite(str(tmp_path / "colour.png"), np.repeat(wide[..., None], 3, axis=2))
    expected = read_picture(tmp_path / "8.png")
    frames = FrameFiles(12, 20)
    for name in ("16.png", "16.tif", "colour.png"):
        np.testing.assert_array_equal(read_picture(tmp_path / name), expected)
        np.testing.assert_array_equal(
            frames.read(tmp_path / name, SIZE), frames.read(tmp_path / "8.png", SIZE)
        )


def test_transparent_grey_of_16_bits_is_white(tmp_path):
    image = Image.fromarray(np.array([[0, 300, 65535]], np.uint16))
    image.save(tmp_path / "a.png", transparency=300)
    assert read_picture(tmp_path / "a.png")[0, :, 0].tolist() == [0, 255, 255]


def test_transparency_is_white_in_frames_too(tmp_path):
    Image.new("RGBA", SIZE, (9, 9, 9, 0)).save(tmp_path / "a.png")
    assert (FrameFiles(12, 20).read(tmp_path / "a.png", SIZE) == 255).all()


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_what_follows_a_picture_does_not_matter(suffix, picture, tmp_path, decoders):
    path = saved(picture, tmp_path / f"a.{suffix}")
    expected = read_picture(path)
    path.write_bytes(path.read_bytes() + b"more")
    np.testing.assert_array_equal(read_picture(path), expected)
    assert decoders == ["opencv", "pillow"]


@pytest.mark.parametrize("values", [[0, 0.5, 1], [0, 9, 256], [-1, 9, 255], [0, np.nan, 9]])
def test_fractions_of_an_unclear_range_are_refused(values, tmp_path):
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: .*floating-point.*save it with 8 or 16 bits"):
        read_picture(tmp_path / "a.tif")


def test_fractions_of_0_to_255_are_read(tmp_path):
    Image.fromarray(np.array([[0, 1.9, 255]], np.float32)).save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 1, 255]
    Image.fromarray(np.zeros((1, 2), np.float32)).save(tmp_path / "b.tif")
    assert not read_picture(tmp_path / "b.tif").any()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("share", [0, 0.3, 0.98])
def test_a_truncated_picture_is_refused(suffix, share, picture, tmp_path):
    path = saved(picture, tmp_path / f"a.{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"a\.\w+: cannot be read as a picture"):
        read_picture(path)


def test_no_file_a_folder_and_a_pipe_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"gone\.png: no such image"):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(InputError, match="it is a folder"):
        read_picture(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        for read in (read_picture, picture_size):
            with pytest.raises(InputError, match=r"pipe\.png: .*no regular file"):
                read(tmp_path / "pipe.png")
