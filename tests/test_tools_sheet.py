"""The page of the quickstart."""

import numpy as np
import pytest

from prediction.visualise import GREY, text_line
from tools.sheet import (
    PANEL_WIDTH,
    SHEET_WIDTH,
    depth_panels,
    depth_sheet,
    metric_table,
    quickstart_sheet,
    relative_sheet,
)

BEFORE = {"abs_rel": 0.4, "sq_rel": 4.0, "rmse": 11.5, "rmse_log": 0.5, "a1": 0.3}
AFTER = {"abs_rel": 0.2, "sq_rel": 2.0, "rmse": 7.5, "rmse_log": 0.3, "a1": 0.7}
ROWS = {"before": BEFORE, "after": AFTER}


def street(height=60, width=200):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
    depth = np.tile(np.linspace(50, 5, height, dtype=np.float32)[:, None], (1, width))
    sparse = np.where(rng.random(depth.shape) < 0.05, depth, 0)
    return picture, depth, sparse


def test_sheet_shows_everything():
    sheet = quickstart_sheet(*street(), ROWS)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1:] == (SHEET_WIDTH, 3)
    assert sheet.shape[0] > 3 * 60 * SHEET_WIDTH / 200


def test_sheet_depends_on_each_of_its_parts():
    picture, depth, sparse = street()
    sheet = quickstart_sheet(picture, depth, sparse, ROWS)
    for other in (
        quickstart_sheet(picture[:, ::-1], depth, sparse, ROWS),
        quickstart_sheet(picture, depth[::-1], sparse, ROWS),
        quickstart_sheet(picture, depth, sparse[:, ::-1], ROWS),
        quickstart_sheet(picture, depth, sparse, {**ROWS, "before": AFTER}),
        quickstart_sheet(picture, depth, sparse, {**ROWS, "after": BEFORE}),
    ):
        assert (sheet != other).any()


def test_a_perfect_prediction_has_the_colours_of_the_truth():
    height = 300
    picture, depth, _ = street(height, SHEET_WIDTH)
    sheet = quickstart_sheet(picture, depth, depth, ROWS).astype(int)
    label = text_line([], SHEET_WIDTH).shape[0]
    predicted = sheet[2 * label + height :][:height]
    true = sheet[3 * label + 2 * height :][:height]
    # The truth has grown by 2 pixels towards the far, which a smooth slope hardly shows.
    assert np.abs(predicted - true).mean() < 5
    assert predicted.std() > 50


def is_grey(picture):
    return (picture == np.array(GREY)).all(axis=-1)


def test_pixels_without_lidar_are_grey_and_points_are_not():
    picture, depth, _ = street()
    half = np.where(np.arange(60)[:, None] < 30, 0, depth)
    _, predicted, true = depth_panels(picture, depth, half, (0.02, 0.2), 400)
    assert is_grey(true[:58]).all()
    assert not is_grey(true[64:-2, 4:-4]).all(axis=1).any()
    assert not is_grey(predicted).any()


def test_a_relative_sheet_is_grey_where_no_depth_is_known():
    picture, depth, _ = street()
    half = np.where(np.arange(200) < 100, 0, depth)
    shown = {"Before": depth, "After": 1 / depth}
    assert is_grey(relative_sheet(picture, shown, depth, ROWS)).sum() < 1000
    assert is_grey(relative_sheet(picture, shown, half, ROWS)).sum() > 0.4 * 480 * 144


def test_remarks_and_found_objects_are_lines_of_the_table():
    plain = metric_table(ROWS, SHEET_WIDTH)
    remarked = metric_table(ROWS, SHEET_WIDTH, ["untrained networks as published"])
    found = metric_table(ROWS, SHEET_WIDTH, objects={"cars": 0.9, "poles": 0.85})
    assert len(plain) < len(remarked) < len(plain) + 40
    assert len(plain) < len(found) < len(plain) + 40
    other = metric_table(ROWS, SHEET_WIDTH, objects={"cars": 0.9, "poles": 0.95})
    assert (found != other).any()


def test_a_sheet_of_several_runs_has_one_legend_for_all():
    picture, depth, sparse = street()
    near, far = (picture, depth, sparse), (picture, 2 * depth, 2 * sparse)
    sheet = depth_sheet({"S": [near, far], "M": [near]})
    assert sheet.shape[1] > 3 * PANEL_WIDTH
    alone = depth_sheet({"S": [near]})
    assert len(sheet) > 2 * len(alone)
    # The same picture has other colours where farther ones are beside it.
    assert (sheet[: len(alone) - 60] != alone[:-60]).any()
    with pytest.raises(ValueError, match="at least one point"):
        depth_sheet({"S": [(picture, depth, sparse * 0)]})


def test_pictures_of_different_size_are_refused():
    picture, depth, sparse = street()
    with pytest.raises(ValueError, match="one height and width"):
        quickstart_sheet(picture, depth[:-1], sparse, ROWS)


def test_a_truth_without_points_is_refused():
    picture, depth, sparse = street()
    with pytest.raises(ValueError, match="at least one point"):
        quickstart_sheet(picture, depth, sparse * 0, ROWS)


def test_rows_with_different_metrics_are_refused():
    with pytest.raises(ValueError, match="expected the metrics"):
        metric_table({"before": BEFORE, "after": {"abs_rel": 0.1}}, 800)
