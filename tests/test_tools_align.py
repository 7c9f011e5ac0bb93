"""Metres from known points: the fit is exact, robust, and refuses what it cannot know."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from prediction.alignment import (
    doubts,
    fit_scale_shift,
    read_alignment,
    read_points,
    read_sparse_depth,
)
from prediction.depth_map import ScaleShift
from system.errors import InputError
from tools import align

RNG = np.random.default_rng(0)
DISPARITY = RNG.uniform(0.05, 2, (30, 40)).astype(np.float32)


def known(count, scale, shift=0.0, seed=1):
    """Points [N, 3] whose depth follows from the disparity."""
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 40, count), rng.integers(0, 30, count)
    return np.stack([x, y, 1 / (scale * DISPARITY[y, x] + shift)], axis=1)


def test_a_scale_is_found_from_one_point():
    found, _ = fit_scale_shift(DISPARITY, known(1, 0.3), with_shift=False)
    assert found.scale == pytest.approx(0.3, rel=1e-5)
    assert found.shift == 0


def test_scale_and_shift_are_found_from_two_points():
    found, _ = fit_scale_shift(DISPARITY, known(2, 0.3, 0.02), with_shift=True)
    assert (found.scale, found.shift) == pytest.approx((0.3, 0.02), rel=1e-3)


@pytest.mark.parametrize(("with_shift", "shift"), [(False, 0.0), (True, 0.05)])
def test_a_fifth_of_wrong_points_hardly_matters(with_shift, shift):
    points = known(50, 0.3, shift)
    points[::5, 2] *= np.random.default_rng(2).uniform(3, 9, 10)
    found, _ = fit_scale_shift(DISPARITY, points, with_shift)
    assert found.scale == pytest.approx(0.3, rel=0.02)
    assert found.shift == pytest.approx(shift, abs=0.005)


def test_many_points_are_fitted_from_a_sample_of_their_pairs():
    found, _ = fit_scale_shift(DISPARITY, known(1500, 0.3, 0.05), with_shift=True)
    assert (found.scale, found.shift) == pytest.approx((0.3, 0.05), rel=1e-3)


@pytest.mark.parametrize(
    ("points", "with_shift", "said"),
    [
        (np.empty((0, 3)), False, "needs a point"),
        ([[1, 1, 4]], True, "need two points"),
        ([[40, 1, 4]], False, "outside the picture of 40x30"),
        ([[1, 1, -4]], False, "no distance"),
        ([[1, 1, np.nan]], False, "no distance"),
        ([[1, 1, 1e-320]], False, "no distance"),
        ([[1, 1, 1e300]], False, "no distance"),
        ([[39.6, 1, 4]], False, "outside the picture of 40x30"),
        ([[1, -1, 4]], False, "outside the picture of 40x30"),
        ([[np.nan, 1, 4]], False, "outside the picture of 40x30"),
        ([[1, 1, 4], [1, 1, 5]], True, "equally far"),
        ([[1, 1, 4], [1, 1, 20]], False, "equally far"),
    ],
)
def test_points_that_cannot_be_fitted_are_refused(points, with_shift, said):
    with pytest.raises(InputError, match=said):
        fit_scale_shift(DISPARITY, np.array(points, float), with_shift)


def test_points_in_the_wrong_order_of_depth_are_refused():
    points = known(20, 0.3)
    points[:, 2] = 1 / points[:, 2]
    with pytest.raises(InputError, match="nearer look farther"):
        fit_scale_shift(DISPARITY, points, with_shift=True)


@pytest.mark.parametrize("with_shift", [True, False])
def test_a_model_that_sees_near_and_far_the_other_way_round_is_refused(with_shift):
    points = known(20, 0.3)
    points[:, 2] = DISPARITY[points[:, 1].astype(int), points[:, 0].astype(int)]
    with pytest.raises(InputError, match="nearer look farther"):
        fit_scale_shift(DISPARITY, points, with_shift)


@pytest.mark.parametrize("with_shift", [True, False])
@pytest.mark.parametrize(
    ("disparity", "said"),
    [
        (np.full((30, 40), 0.5), "the same depth everywhere"),
        (np.full((30, 40), 0.5) + 1e-6 * DISPARITY, "the same depth everywhere"),
        (np.zeros((30, 40)), "the same depth everywhere"),
        (np.where(DISPARITY > 1.9, np.nan, DISPARITY), "not finite"),
        (np.where(DISPARITY > 1.9, np.inf, DISPARITY), "not finite"),
    ],
)
def test_predictions_that_are_no_depth_are_refused(disparity, said, with_shift):
    with pytest.raises(InputError, match=said):
        fit_scale_shift(disparity, known(20, 0.3), with_shift)


def test_a_good_fit_raises_no_doubt():
    points = known(20, 0.3)
    fit, error = fit_scale_shift(DISPARITY, points, with_shift=False)
    assert error < 1e-6
    assert doubts(DISPARITY, points, fit) == []


def test_a_fit_that_is_far_off_is_doubted_and_its_worst_point_named():
    points = known(20, 0.3)
    points[:, 2] *= np.tile([1.0, 2.7], 10)
    points[7, 2] *= 20
    fit, error = fit_scale_shift(DISPARITY, points, with_shift=False)
    assert error > 0.4
    (words,) = doubts(DISPARITY, points, fit)
    assert f"off by {error:.0%} or more" in words
    errors = 1 / (fit.scale * DISPARITY[points[:, 1].astype(int), points[:, 0].astype(int)])
    worst = np.abs(errors / points[:, 2] - 1).argmax()
    x, y, metres = points[worst]
    assert f"{x:g} {y:g}, {metres:g} m away and {errors[worst]:.3g} m by the fit" in words


@pytest.mark.parametrize(("factor", "said"), [(1000, "millimetres"), (0.001, "kilometres")])
def test_distances_that_are_hardly_metres_are_doubted(factor, said):
    points = known(20, 0.3)
    points[:, 2] *= factor
    fit, _ = fit_scale_shift(DISPARITY, points, with_shift=False)
    assert any(said in words for words in doubts(DISPARITY, points, fit))


def test_what_no_point_contradicts_is_doubted():
    for count, with_shift in ((1, False), (2, True)):
        points = known(count, 0.3, 0.05 * with_shift)
        fit, _ = fit_scale_shift(DISPARITY, points, with_shift)
        assert any("so few points" in words for words in doubts(DISPARITY, points, fit))


def test_a_slight_disorder_is_doubted_but_fitted():
    disparity = np.array([[1.0, 1.05, 0.5]])
    points = np.array([[0, 0, 4.0], [1, 0, 4.1]])
    fit, error = fit_scale_shift(disparity, points, with_shift=False)
    assert error < 0.05
    assert any("look farther" in words for words in doubts(disparity, points, fit))


def test_points_are_three_numbers():
    np.testing.assert_array_equal(read_points(("1 2 3.5", "4,5,6")), [[1, 2, 3.5], [4, 5, 6]])
    for word in ("1 2", "a b c", "1 2 3 4"):
        with pytest.raises(InputError, match="three numbers"):
            read_points((word,))


def test_depth_files_give_their_known_points(tmp_path):
    depth = np.zeros((30, 40), np.float32)
    depth[3, 7] = 2.5
    np.save(tmp_path / "a.npy", depth)
    assert read_sparse_depth(tmp_path / "a.npy", "millimetres", (30, 40)).tolist() == [[7, 3, 2.5]]
    Image.fromarray((depth * 256).astype(np.uint16)).save(tmp_path / "a.png")
    assert read_sparse_depth(tmp_path / "a.png", "kitti", (30, 40)).tolist() == [[7, 3, 2.5]]
    for shape, said in (((40, 30), "must be of one size"), ((30, 40), "holds no depth")):
        np.save(tmp_path / "b.npy", np.zeros((30, 40)))
        with pytest.raises(InputError, match=said):
            read_sparse_depth(tmp_path / "b.npy", "kitti", shape)


def test_whole_numbers_of_a_depth_file_have_the_unit_that_is_said(tmp_path, caplog):
    steps = np.zeros((30, 40), np.uint16)
    steps[3, 7] = 2560
    np.save(tmp_path / "a.npy", steps)
    np.savez(tmp_path / "a.npz", index=[127], depth=[2560], shape=(30, 40))
    for path in (tmp_path / "a.npy", tmp_path / "a.npz"):
        with pytest.raises(InputError, match=r"unknown unit; add --depth_unit metres, millimetres"):
            read_sparse_depth(path, None, (30, 40))
        for unit, metres in (("metres", 2560), ("millimetres", 2.56), ("kitti", 10)):
            assert read_sparse_depth(path, unit, (30, 40)).tolist() == [[7, 3, metres]]
    for name in ("a.png", "a.tif"):
        Image.fromarray(steps).save(tmp_path / name)
        assert read_sparse_depth(tmp_path / name, None, (30, 40)).tolist() == [[7, 3, 2.56]]
    assert caplog.text == ""


def test_floats_of_a_depth_file_are_metres_and_a_unit_for_them_is_not_passed_over(tmp_path, caplog):
    depth = np.zeros((30, 40), np.float32)
    depth[3, 7] = 2.5
    np.save(tmp_path / "a.npy", depth)
    Image.fromarray(depth).save(tmp_path / "a.tif")
    for path in (tmp_path / "a.npy", tmp_path / "a.tif"):
        assert read_sparse_depth(path, None, (30, 40)).tolist() == [[7, 3, 2.5]]
        assert caplog.text == ""
        read_sparse_depth(path, "kitti", (30, 40))
        assert "--depth_unit kitti is of whole numbers" in caplog.text
        caplog.clear()


@pytest.fixture
def words(tmp_path, monkeypatch):
    """The arguments of the command for a picture in which a stub sees ``DISPARITY``."""
    predictor = lambda picture: SimpleNamespace(disparity=DISPARITY)  # noqa: E731
    predictor.info, predictor.unit = SimpleNamespace(name="stub"), "relative"
    predictor.keep_aspect = False
    monkeypatch.setattr("prediction.predictor.open_predictor", lambda options, **_: predictor)
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    return ["--image_path", str(tmp_path / "a.png"), "--load_weights_folder", "w"]


def test_points_may_be_given_one_by_one(words, tmp_path):
    given = [f"{x} {y} {metres}" for x, y, metres in known(3, 0.25)]
    align.main([*words, "--points", given[0], "--points", *given[1:]])
    assert json.loads((tmp_path / "a_alignment.json").read_text())["points"] == 3


def test_the_command_says_what_is_doubtful(words, caplog):
    given = [f"{x} {y} {1000 * metres}" for x, y, metres in known(3, 0.25)]
    align.main([*words, "--points", *given])
    assert "it looks like millimetres" in caplog.text
    with pytest.raises(InputError, match="--depth_unit kitti: is of --depth_path"):
        align.main([*words, "--points", *given, "--depth_unit", "kitti"])


def test_the_command_writes_what_demo_reads(words, tmp_path):
    x, y, metres = known(1, 0.25)[0]
    align.main([*words, "--points", f"{x} {y} {metres}"])
    path = tmp_path / "a_alignment.json"
    assert read_alignment(path, "stub") == ScaleShift(pytest.approx(0.25, rel=1e-5), 0.0)
    with pytest.raises(InputError, match="of the model stub"):
        read_alignment(path, "another")
    with pytest.raises(InputError, match="was made without --keep_aspect"):
        read_alignment(path, "stub", keep_aspect=True)
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "keep_aspect": True}))
    assert read_alignment(path, "stub", keep_aspect=True).shift == 0
    with pytest.raises(InputError, match="was made with --keep_aspect"):
        read_alignment(path, "stub")
    path.write_text(json.dumps({**fields, "scale": -1}))
    with pytest.raises(InputError, match="impossible scale"):
        read_alignment(path, "stub")
    with pytest.raises(InputError, match="--points: are needed"):
        align.main(words)


def test_another_picture_or_model_does_not_replace_an_alignment(tmp_path, monkeypatch):
    class Model(SimpleNamespace):
        def __call__(self, picture):
            return SimpleNamespace(disparity=DISPARITY)

    model = Model(info=SimpleNamespace(name="m"), unit="relative", keep_aspect=False)
    monkeypatch.setattr("prediction.predictor.open_predictor", lambda options, **_: model)
    for name in ("a.jpg", "a.png"):
        Image.new("RGB", (40, 30)).save(tmp_path / name)

    def aligned(picture, model, metres):
        words = f"--image_path {tmp_path / picture} --load_weights_folder {tmp_path / model}"
        before = {path: path.read_bytes() for path in tmp_path.glob("*.json")}
        align.main([*words.split(), "--points", f"3 4 {metres}"])
        after = {path: path.read_bytes() for path in tmp_path.glob("*.json")}
        (changed,) = [path for path in after if before.get(path) != after[path]]
        return changed.name

    first = aligned("a.jpg", "w", 4)
    assert first == "a_alignment.json"
    others = {aligned("a.png", "w", 4), aligned("a.jpg", "v", 4)}
    assert len(others | {first}) == 3
    assert aligned("a.jpg", "w", 5) == first  # better points
