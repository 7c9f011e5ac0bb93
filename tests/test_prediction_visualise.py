"""Colours of disparity and depth."""

import cv2
import numpy as np
import pytest

from prediction.visualise import (
    add_label,
    colorize,
    colorize_disparity,
    colorize_sparse_depth,
    disparity_range,
    legend,
    stack_labelled,
)

DARKEST = (0, 0, 4)  # inferno's first and last colour
BRIGHTEST = (252, 255, 164)


def test_range_is_minimum_to_95th_percentile():
    disparity = np.arange(101, dtype=np.float32).reshape(1, 101)
    assert disparity_range(disparity) == (0, 95)


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


def test_sparse_points_grow_and_the_rest_stays_black():
    depth = np.zeros((9, 9), np.float32)
    depth[4, 4] = 2
    picture = colorize_sparse_depth(depth, 0.1, 0.5, radius=1)
    coloured = (picture > 0).any(axis=2)
    assert coloured.sum() == 5  # a point and its four neighbours
    assert coloured[4, 3:6].all()
    assert tuple(picture[4, 4]) == BRIGHTEST
    assert picture.dtype == np.uint8


def test_the_nearer_of_two_sparse_points_wins():
    depth = np.array([[2.0, 0.0, 10.0]])
    picture = colorize_sparse_depth(depth, 0.1, 0.5, radius=1)
    assert tuple(picture[0, 1]) == BRIGHTEST
    assert tuple(picture[0, 2]) == DARKEST


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
