"""Colours of disparity and depth."""

import cv2
import numpy as np
import pytest

from options import COLORMAPS
from prediction.depth_map import METRES, DepthMap, ScaleShift
from prediction.visualise import (
    GREY,
    SAMPLED,
    add_label,
    colorize,
    colorize_disparity,
    colorize_sparse_depth,
    disparity_range,
    legend,
    legend_ticks,
    resize_sparse_depth,
    side_by_side,
    stack_labelled,
)

DARKEST = (0, 0, 4)  # inferno's first and last colour
BRIGHTEST = (252, 255, 164)


def test_range_is_minimum_to_95th_percentile():
    disparity = np.arange(101, dtype=np.float32).reshape(1, 101)
    assert disparity_range(disparity) == (0, 95)
    shuffled = np.random.default_rng(0).permutation(disparity[0, 1:])  # between two of the values
    assert disparity_range(shuffled) == pytest.approx((1, np.percentile(shuffled, 95)), rel=1e-6)
    assert disparity_range(disparity[:, 7:8]) == (7, 7)


@pytest.mark.parametrize("sampled", [None, 0, 9])  # like the rest, below and above all of it
def test_range_of_many_pixels_is_found_from_a_sample(sampled):
    disparity = np.random.default_rng(0).normal(5, 1, (100, 333)).astype(np.float32)
    if sampled is not None:
        disparity.ravel()[::SAMPLED] = sampled
    expected = disparity.min(), np.percentile(disparity.astype(np.float64), 95)
    assert disparity_range(disparity) == pytest.approx(expected, rel=1e-9)


def test_low_is_dark_and_high_is_bright():
    picture = colorize(np.array([[0.1, 0.5, 0.9]]), 0.1, 0.9)
    assert picture.dtype == np.uint8
    assert picture.shape == (1, 3, 3)
    assert tuple(picture[0, 0]) == DARKEST
    assert tuple(picture[0, 2]) == BRIGHTEST
    assert tuple(picture[0, 1]) == (188, 55, 84)  # inferno's middle


def test_brightness_grows_with_disparity():
    ramp = colorize(np.linspace(0, 1, 256)[None], 0, 1)
    lightness = cv2.cvtColor(ramp, cv2.COLOR_RGB2LAB)[0, :, 0].astype(int)
    assert (np.diff(lightness) >= 0).all()
    assert lightness[-1] - lightness[0] > 200


def test_values_beyond_the_range_are_clipped():
    picture = colorize(np.array([[-5.0, 5.0]]), 0, 1)
    assert tuple(picture[0, 0]) == DARKEST
    assert tuple(picture[0, 1]) == BRIGHTEST


def test_constant_disparity_is_shown():
    picture = colorize_disparity(np.full((2, 3), 0.25, np.float32))
    assert (picture == np.array(DARKEST)).all()


def test_scaling_and_shifting_a_disparity_changes_nothing():
    disparity = np.random.default_rng(0).random((20, 30))
    other = colorize_disparity(3 + 8 * disparity)
    assert np.abs(other.astype(int) - colorize_disparity(disparity)).max() <= 8
    assert (other == colorize_disparity(disparity)).mean() > 0.99


def test_sparse_points_grow_and_the_rest_is_grey():
    depth = np.zeros((9, 9), np.float32)
    depth[4, 4] = 2
    picture = colorize_sparse_depth(depth, 0.1, 0.5, radius=1)
    coloured = (picture != np.array(GREY)).any(axis=2)
    assert coloured.sum() == 5  # a point and its four neighbours
    assert coloured[4, 3:6].all()
    assert tuple(picture[4, 4]) == BRIGHTEST
    assert picture.dtype == np.uint8


def test_the_nearer_of_two_sparse_points_wins():
    depth = np.array([[2.0, 0.0, 10.0]])
    picture = colorize_sparse_depth(depth, 0.1, 0.5, radius=1)
    assert tuple(picture[0, 1]) == BRIGHTEST
    assert tuple(picture[0, 2]) == DARKEST


def test_grey_is_in_no_colormap():
    ramp = np.linspace(0, 1, 256)[None]
    for name in COLORMAPS:
        colours = colorize(ramp, 0, 1, name).astype(int)
        assert np.abs(colours - np.array(GREY)).max(axis=2).min() > 10, name


def test_sparse_points_keep_their_depth_when_they_move():
    depth = np.zeros((4, 6), np.float32)
    depth[0, 0], depth[3, 5], depth[3, 4] = 7, 3, 9
    larger = resize_sparse_depth(depth, 8, 12)
    assert larger.dtype == np.float32
    assert {(r, c): larger[r, c] for r, c in np.argwhere(larger > 0)} == {
        (1, 1): 7,
        (7, 11): 3,
        (7, 9): 9,
    }
    smaller = resize_sparse_depth(depth, 2, 3)
    assert smaller.tolist() == [[7, 0, 0], [0, 0, 3]]  # the nearer of two wins
    np.testing.assert_array_equal(resize_sparse_depth(depth, 4, 6), depth)


def test_ticks_are_round_depths_placed_by_their_inverse():
    low, high, width = 1 / 80, 1 / 5, 900
    ticks = legend_ticks(low, high, width, "m", lambda text: 10 * len(text))
    columns = dict((text, column) for column, text in ticks)
    assert {"80 m", "40 m", "20 m", "10 m", "5 m"} <= columns.keys()
    assert [column for column, _ in ticks] == sorted(columns.values())
    assert (columns["80 m"], columns["5 m"]) == (0, width - 1)
    assert columns["10 m"] == round((1 / 10 - low) / (high - low) * (width - 1))
    assert all(right - left >= 40 for (left, _), (right, _) in zip(ticks, ticks[1:]))


def test_a_range_without_round_depths_has_no_ticks():
    assert legend_ticks(1 / 8.3, 1 / 8.2, 500, "m", len) == []
    assert legend_ticks(0.1, 0.1, 500, "m", len) == []


def test_the_legend_names_the_grey():
    plain, named = legend(0.02, 0.2, 500, "m"), legend(0.02, 0.2, 500, "m", "no LiDAR")
    assert plain.shape == named.shape
    assert (named[0] == np.array(GREY)).all(axis=1).sum() == 18  # a patch as large as a letter
    assert not (plain[0] == np.array(GREY)).all(axis=1).any()
    assert tuple(named[0, 0]) == DARKEST


def test_label_is_written_above_the_untouched_picture():
    picture = np.random.default_rng(0).integers(0, 255, (30, 120, 3), dtype=np.uint8)
    labelled = add_label(picture, "Input")
    strip = labelled[:-30]
    assert (labelled[-30:] == picture).all()
    assert strip.min() < 100
    assert strip.max() == 255
    assert (add_label(picture, "")[:-30] == 255).all()


def test_pictures_are_stacked_in_order():
    black, white = np.zeros((10, 50, 3), np.uint8), np.full((10, 50, 3), 255, np.uint8)
    stacked = stack_labelled({"": white, " ": black})
    assert stacked.shape[1:] == (50, 3)
    assert (stacked[-10:] == 0).all()
    assert (stacked[:-10] == 255).all()


@pytest.mark.parametrize("width", [300, 960])
def test_legend_runs_from_far_to_near(width):
    picture = legend(0.02, 0.2, width, "m")
    assert picture.shape[1] == width
    assert tuple(picture[0, 0]) == DARKEST
    assert tuple(picture[0, -1]) == BRIGHTEST
    assert picture[16:].min() < 100


@pytest.mark.parametrize("width", [20, 100, 640, 4000])
def test_the_bar_below_a_pair_grows_with_the_picture(width):
    """Bar and letters together take the same share of it, as far as letters can be read."""
    height = width // 2
    disparity = np.tile(np.linspace(0.1, 1, width, dtype=np.float32), (height, 1))
    depth_map = DepthMap(disparity, METRES, ScaleShift(1.0))
    picture = np.full((height, width, 3), 128, np.uint8)
    below = side_by_side(picture, depth_map)[height:]
    assert below.shape[1] == 2 * width
    letters = max(10, round(2 * width / 53))
    bar = below[: round(letters * 2 / 3)]
    assert tuple(bar[-1, 0]) == DARKEST
    assert tuple(bar[-1, -1]) == BRIGHTEST
    text = below[len(bar) :]
    assert len(text) == round(1.6 * letters)
    inked = np.nonzero((text < 128).all(axis=2).any(axis=0))[0]
    assert inked[0] <= letters  # far, on the left
    assert 2 * width - inked[-1] <= letters  # near, whole, on the right
    if width >= 100:  # and room between them
        assert np.diff(inked).max() > letters / 2
