"""Metres from known points: the fit is exact, robust, and refuses what it cannot know."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from prediction.depth_map import (
    ScaleShift,
    fit_scale_shift,
    read_alignment,
    read_points,
    read_sparse_depth,
)
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
        ([[1, 1, 4], [1, 1, 5]], True, "equally far"),
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


def test_the_command_writes_what_demo_reads(tmp_path, monkeypatch):
    predictor = lambda picture: SimpleNamespace(disparity=DISPARITY)  # noqa: E731
    predictor.info, predictor.unit = SimpleNamespace(name="stub"), "relative"
    monkeypatch.setattr("prediction.predictor.open_predictor", lambda options: predictor)
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    x, y, metres = known(1, 0.25)[0]
    words = ["--image_path", str(tmp_path / "a.png"), "--load_weights_folder", "w"]
    align.main([*words, "--points", f"{x} {y} {metres}"])
    path = tmp_path / "a_alignment.json"
    assert read_alignment(path, "stub") == ScaleShift(pytest.approx(0.25, rel=1e-5), 0.0)
    with pytest.raises(InputError, match="of the model stub"):
        read_alignment(path, "another")
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "scale": -1}))
    with pytest.raises(InputError, match="impossible scale"):
        read_alignment(path, "stub")
    with pytest.raises(InputError, match="--points: are needed"):
        align.main(words)
