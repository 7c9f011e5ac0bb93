"""Frames: decoded whole or refused, resized close to the published way."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from datasets.frames import AREA, LANCZOS, FrameFiles, resize_image
from system.errors import InputError

SIZE = (50, 30)  # width, height


@pytest.fixture
def picture():
    """RGB with structure at several sizes, different in each colour."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    waves = [np.sin(x / p + y / q) for p, q in ((3, 9), (7, 4), (11, 20))]
    return np.uint8(127 + 100 * np.stack(waves, axis=2))


def saved(picture, path, **more):
    Image.fromarray(picture).save(path, **more)
    return path


def pillow(path):
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp"])
def test_every_format_gives_pillows_pixels_as_planes(suffix, picture, tmp_path):
    path = saved(picture, tmp_path / f"a.{suffix}")
    frame = FrameFiles(SIZE[1], SIZE[0]).read(path, SIZE)
    np.testing.assert_array_equal(frame, pillow(path).transpose(2, 0, 1))
    assert frame.dtype == np.uint8


def test_another_size_and_a_missing_file_are_refused(picture, tmp_path):
    path = saved(picture, tmp_path / "a.png")
    with pytest.raises(InputError, match="is 50x30, but its drive's camera has 60x30"):
        FrameFiles(15, 25).read(path, (60, 30))
    with pytest.raises(InputError, match="no such image"):
        FrameFiles(15, 25).read(tmp_path / "gone.png", SIZE)


def test_a_file_that_changes_is_read_anew(picture, tmp_path):
    path = saved(picture, tmp_path / "a.png")
    files = FrameFiles(SIZE[1], SIZE[0])
    first = files.read(path, SIZE)
    saved(picture[::-1], path, compress_level=1)
    np.testing.assert_array_equal(files.read(path, SIZE), first[:, ::-1])


def test_area_keeps_means_and_straight_edges():
    """Blocks that a pixel of the target covers exactly come out as their mean."""
    blocks = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)
    large = blocks.repeat(3, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(resize_image(large, 6, 10, AREA), blocks)
    np.testing.assert_array_equal(resize_image(blocks, 6, 10, AREA), blocks)


@pytest.mark.parametrize("target", [(17, 26), (13, 21), (30, 40), (60, 100)])
def test_area_is_lanczos_on_what_is_smooth(target):
    """A shift by half a pixel of the target would be off by 15."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]] / np.array([SIZE[1], SIZE[0]]).reshape(2, 1, 1)
    waves = [np.sin(7 * x + phase) * np.cos(5 * y - phase) for phase in range(3)]
    smooth = np.uint8(np.round(127 + 100 * np.stack(waves, axis=2)))
    near = resize_image(smooth, *target, AREA).astype(float)
    exact = resize_image(smooth, *target, LANCZOS).astype(float)
    assert np.abs(near - exact).mean() < 1.5
