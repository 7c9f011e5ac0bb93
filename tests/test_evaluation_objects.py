"""Objects in predicted depth: what is found and what is not, from pictures worked out by hand."""

import cv2
import numpy as np
import pytest

from evaluation.objects import median_scale, object_scores, report, summarise, surroundings

HEIGHT, WIDTH = 60, 200
OBJECT = np.zeros((HEIGHT, WIDTH), np.int32)
OBJECT[20:40, 90:110] = 7
KINDS = {7: "car", 9: "tree"}
NEAR, WALL = 10.0, 40.0


def scene(behind=WALL, near=NEAR):
    """Depth [H, W] of a square object before something flat."""
    return np.where(OBJECT == 7, near, behind).astype(np.float32)


def judged(predicted, true=None, numbers=OBJECT):
    true = scene() if true is None else true
    (score,) = object_scores(np.asarray(predicted), true, numbers, KINDS)
    return score


def with_step(share):
    """A prediction whose object has the true depth and ``share`` of the true step behind it."""
    inverse = 1 / NEAR - share * (1 / NEAR - 1 / WALL)
    return scene(behind=1 / inverse)


def test_perfect_prediction_is_found_and_its_figures_are_those_of_the_scene():
    score = judged(scene())
    assert score.found and score.depth_right and score.stands_out
    assert (score.number, score.kind) == (7, "car")
    assert score.share == pytest.approx(20 * 20 / (HEIGHT * WIDTH))
    assert (score.true_depth, score.predicted_depth) == pytest.approx((NEAR, NEAR))
    assert score.relative_error == pytest.approx(0, abs=1e-6)
    assert (score.true_step, score.predicted_step) == pytest.approx((0.075, 0.075))


def test_object_that_is_blurred_away_is_not_found():
    blurred = 1 / cv2.GaussianBlur(1 / scene(), (0, 0), 25)
    assert not judged(blurred).found
    little = 1 / cv2.GaussianBlur(1 / scene(), (0, 0), 1)
    assert judged(little).found


def test_flat_map_at_the_depth_of_the_object_does_not_find_it():
    score = judged(np.full((HEIGHT, WIDTH), NEAR))
    assert score.depth_right and score.stands_out is False and not score.found


@pytest.mark.parametrize(
    ("factor", "right"), [(1.19, True), (0.81, True), (1.25, False), (0.75, False)]
)
def test_depth_is_right_within_a_fifth(factor, right):
    score = judged(scene(near=NEAR * factor))
    assert score.depth_right is right and score.found is right
    assert score.relative_error == pytest.approx(abs(factor - 1))


@pytest.mark.parametrize(("share", "stands_out"), [(0.51, True), (0.49, False), (-0.2, False)])
def test_half_of_the_true_step_is_enough(share, stands_out):
    score = judged(with_step(share))
    assert score.predicted_step == pytest.approx(share * score.true_step)
    assert score.stands_out is stands_out and score.found is stands_out


def test_sky_behind_has_the_inverse_depth_zero():
    true = scene(behind=np.inf)
    score = judged(scene(behind=500.0), true)
    assert score.true_step == pytest.approx(1 / NEAR) and score.found
    assert judged(true, true).found
    assert not judged(scene(behind=15.0), true).found


def test_only_what_is_truly_farther_counts_as_behind():
    """The road at its foot and what hides a part of it are not, whatever is predicted there."""
    true = scene()
    true[30:] = np.where(OBJECT[30:] == 7, NEAR, 11.0)
    predicted = true.copy()
    predicted[30:][OBJECT[30:] == 0] = 1.0
    score = judged(predicted, true)
    assert score.true_step == pytest.approx(1 / NEAR - 1 / WALL) and score.found


@pytest.mark.parametrize("behind", [11.0, 3.0])
def test_with_nothing_behind_it_the_depth_alone_decides(behind):
    true = scene(behind=behind)
    flat = np.full((HEIGHT, WIDTH), NEAR)
    score = judged(flat, true)
    assert score.true_step is score.predicted_step is score.stands_out is None
    assert score.found
    assert not judged(1.25 * flat, true).found


def test_object_at_the_border_and_one_in_two_pieces_count_by_what_is_seen():
    cut = np.roll(OBJECT, -95, axis=1)
    cut[:, 100:] = 0
    true = np.where(cut == 7, NEAR, WALL)
    score = judged(true, true, cut)
    assert score.share == pytest.approx(20 * 15 / (HEIGHT * WIDTH)) and score.found

    pieces = OBJECT.copy()
    pieces[28:32] = 0
    true = np.where(pieces == 7, NEAR, WALL)
    true[28:32, 85:115] = 4.0
    assert judged(true, true, pieces).found


def test_small_objects_and_the_background_are_not_judged():
    numbers = np.zeros((HEIGHT, WIDTH), np.int32)
    numbers[:10, :12] = 9  # 1 % of the picture
    numbers[30:40, :11] = 7  # less
    numbers[50:, :] = 3  # of no kind
    scores = object_scores(scene(), scene(), numbers, KINDS)
    assert [score.number for score in scores] == [9]


def test_ring_is_as_wide_as_said():
    assert np.nonzero(surroundings(OBJECT == 7)[30])[0].tolist() == [87, 88, 89, 110, 111, 112]
    wide = np.zeros((10, 1000), bool)
    wide[:, 500] = True
    assert surroundings(wide)[5].sum() == 2 * 15


def test_prediction_of_another_size_is_resized_in_inverse_depth():
    small = scene(behind=np.inf)[::2, ::2]
    score = judged(small, scene(behind=np.inf))
    assert score.found and score.predicted_depth == pytest.approx(NEAR)
    # Between 10 m and infinity is 20 m: no mean of depths is.
    row = object_scores(
        np.array([[10.0, np.inf]]), np.full((1, 3), 20.0), np.full((1, 3), 7), KINDS
    )[0]
    assert row.predicted_depth == pytest.approx(20)


def test_wrong_shapes_and_depths_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        object_scores(scene(), scene()[1:], OBJECT, KINDS)
    for bad in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="positive"):
            object_scores(scene(near=bad), scene(), OBJECT, KINDS)


def test_scale_is_the_ratio_of_medians_up_to_80_metres():
    true = scene(behind=20.0)
    true[:15] = np.inf
    assert median_scale(true / 5.4, true) == pytest.approx(5.4, rel=1e-6)
    predicted = true / 5.4
    predicted[:15] = 1e-3
    assert median_scale(predicted, true) == pytest.approx(5.4, rel=1e-6)


def test_summary_counts_kinds_and_requirements_apart():
    numbers = np.where(OBJECT == 7, 7, 0)
    numbers[5:25, 20:40] = 9
    true = np.where(numbers > 0, NEAR, WALL)
    predicted = np.where(numbers == 7, NEAR, WALL)
    summary = summarise(object_scores(predicted, true, numbers, KINDS))
    assert summary["car"] == {"objects": 1, "found": 1, "depth_right": 1, "stands_out": 1}
    assert summary["tree"] == {"objects": 1, "found": 0, "depth_right": 0, "stands_out": 0}
    assert summary["all"] == {"objects": 2, "found": 0.5, "depth_right": 0.5, "stands_out": 0.5}
    assert list(summary) == ["car", "tree", "all"]
    assert report(summary).splitlines()[-1].split() == ["all", "2", "50", "%", "50", "%", "50", "%"]


def test_summary_of_no_objects_has_no_shares():
    assert summarise([]) == {
        "all": {"objects": 0, "found": None, "depth_right": None, "stands_out": None}
    }
    assert report(summarise([])).splitlines()[-1].split() == ["all", "0", "-", "-", "-"]


def test_truth_that_is_no_depth_is_refused():
    for wrong in (0, -1, np.nan):
        true = scene()
        true[0, 0] = wrong
        with pytest.raises(ValueError, match="positive true depths"):
            object_scores(scene(), true, OBJECT, KINDS)
    with pytest.raises(ValueError, match="true depths up to 80 m"):
        median_scale(scene(), scene(behind=100, near=90))
