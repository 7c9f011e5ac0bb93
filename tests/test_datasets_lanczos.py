"""Resizing as Pillow does it."""

import numpy as np
import pytest
from PIL import Image

from datasets.lanczos import resize_lanczos

KITTI = (1242, 375)


def by_pillow(picture, size):
    """The width first, whatever order this version of Pillow takes."""
    for step in ((size[0], picture.shape[0]), size):
        picture = np.asarray(Image.fromarray(picture).resize(step, Image.Resampling.LANCZOS))
    return picture


def noise(size, seed=0):
    """All levels in one half, and black and white, which overshoot, in the other."""
    picture = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    picture[: size[1] // 2] = picture[: size[1] // 2] // 128 * 255
    return picture


@pytest.mark.parametrize(
    ("size", "to"),
    [
        (KITTI, (640, 192)),
        (KITTI, (1024, 320)),
        (KITTI, (96, 64)),
        ((33, 17), (640, 192)),  # larger
        ((500, 20), (31, 64)),
        ((1, 70), (64, 1)),
        ((96, 64), (96, 31)),
        ((96, 64), (31, 64)),
    ],
)
def test_pixels_are_those_of_pillow(size, to):
    picture = noise(size)
    np.testing.assert_array_equal(resize_lanczos(picture, to), by_pillow(picture, to))


def test_halves_are_rounded_up():
    """Means of two levels, of which OpenCV would round every second one down."""
    levels = np.repeat(np.arange(0, 254, dtype=np.uint8), 2).reshape(-1, 2, 1)
    picture = np.repeat(levels + np.array([[0], [1]], np.uint8), 3, axis=2)
    found = resize_lanczos(picture, (1, len(picture)))
    np.testing.assert_array_equal(found, by_pillow(picture, (1, len(picture))))
    assert (found[:, 0, 0] == picture[:, 1, 0]).all()


def test_any_sizes_give_the_pixels_of_pillow():
    rng = np.random.default_rng(1)
    for seed in range(60):
        size, to = (tuple(map(int, rng.integers(1, 200, 2))) for _ in range(2))
        picture = noise(size, seed)
        np.testing.assert_array_equal(resize_lanczos(picture, to), by_pillow(picture, to))


def test_mirrored_and_cut_pictures_are_taken_too():
    picture = noise((40, 30))
    for view in (picture[:, ::-1], picture[::-1], picture[3:, 5:], picture[..., ::-1]):
        expected = by_pillow(np.ascontiguousarray(view), (16, 12))
        np.testing.assert_array_equal(resize_lanczos(view, (16, 12)), expected)


def test_the_same_size_is_a_copy():
    picture = noise((40, 30))
    same = resize_lanczos(picture, (40, 30))
    np.testing.assert_array_equal(same, picture)
    assert not np.shares_memory(same, picture)
