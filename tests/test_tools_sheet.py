"""The page of the quickstart."""

import numpy as np
import pytest

from prediction.visualise import text_line
from tools.sheet import SHEET_WIDTH, metric_table, quickstart_sheet

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
