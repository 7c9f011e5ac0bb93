import logging
from pathlib import Path

import numpy as np
import pytest

from datasets.kitti import Calibration
from datasets.stereo import common_baseline, stereo_baseline
from errors import InputError


def calibration(left: float, right: float) -> Calibration:
    """Cameras at these metres right of camera 0, with different focal lengths."""
    projection = {}
    for side, x, focal in (("l", left, 700.0), ("r", right, 710.0)):
        K = np.array([[focal, 0, 600], [0, focal, 180], [0, 0, 1]])
        projection[side] = K @ np.array([[1, 0, 0, -x], [0, 1, 0, 0], [0, 0, 1, 0]])
    return Calibration(projection, {"l": (1200, 360), "r": (1200, 360)}, np.eye(4))


def days(*baselines: float) -> dict:
    return {Path(f"day{i}"): calibration(-0.06, b - 0.06) for i, b in enumerate(baselines)}


def test_the_baseline_is_the_distance_between_the_cameras():
    assert stereo_baseline(calibration(-0.06, 0.47)) == pytest.approx(0.53)


def test_kittis_days_count_as_the_published_baseline():
    assert common_baseline(days(0.532, 0.537, 0.54)) == 0.54


def test_no_calibration_means_the_published_baseline():
    assert common_baseline({}) == 0.54


def test_another_pair_of_cameras_has_its_own_metres():
    assert common_baseline(days(0.12, 0.122)) == pytest.approx(0.121)


def test_different_cameras_do_not_train_together():
    with pytest.raises(InputError, match=r"0\.120 m apart in day1 and 0\.540 m in day0"):
        common_baseline(days(0.54, 0.12))


@pytest.mark.parametrize("baseline", [0, -0.54])
def test_a_calibration_without_a_baseline_is_said(baseline, caplog):
    with caplog.at_level(logging.WARNING):
        assert common_baseline({Path("day0"): calibration(0, baseline)}) == 0.54
    assert "day0" in caplog.text
    assert f"{baseline:g} m right" in caplog.text
