"""Relative depth: scale and shift do not count, and the command measures any model on pairs."""

import json
import sys

import numpy as np
import paddle
import pytest

import evaluate_depth
from datasets.rooms import main as make_rooms
from errors import InputError
from evaluation.relative import align, mean_errors, percent_beyond, relative_errors
from networks.midas_small import MidasSmall
from networks.model_info import MIDAS_SMALL, ModelInfo
from networks.monodepth import STEREO, Architecture, Monodepth
from networks.weights import save_weights

DEPTH = np.random.default_rng(0).uniform(0.5, 9, (12, 16))


def test_the_truth_up_to_scale_and_shift_is_perfect():
    errors = relative_errors(7 / DEPTH + 3, DEPTH)
    assert errors["abs_rel"] == pytest.approx(0, abs=1e-9)
    assert errors["a1"] == 1


def test_the_fit_is_that_of_least_squares():
    prediction = 0.01 * np.random.default_rng(1).random(50) + 1 / DEPTH.ravel()[:50]
    depth = DEPTH.ravel()[:50]
    slope, intercept = np.polyfit(prediction, 1 / depth, 1)
    np.testing.assert_allclose(
        1 / align(prediction, depth), slope * prediction + intercept, rtol=1e-6
    )


def test_unknown_pixels_do_not_count():
    some = DEPTH.copy()
    some[::2] = 0
    prediction = 1 / DEPTH
    prediction[::2] = 99
    assert relative_errors(prediction, some)["abs_rel"] == pytest.approx(0, abs=1e-9)
    assert relative_errors(prediction, 0 * DEPTH) is None
    one, two = ({"abs_rel": v} for v in (1.0, 3.0))
    rest = dict.fromkeys(("sq_rel", "rmse", "rmse_log", "a1", "a2", "a3"), 0.0)
    assert mean_errors([{**rest, **one}, {**rest, **two}])["abs_rel"] == 2


def test_predictions_beyond_the_farthest_are_taken_for_this_far():
    depth, prediction = np.full((4, 4), 5.0), np.full((4, 4), 1 / 20)
    errors = relative_errors(prediction, depth, farthest=10, alignment="none")
    assert errors["abs_rel"] == pytest.approx(1)
    assert errors["rmse_log"] == pytest.approx(np.log(2))


def test_only_the_pixels_that_count_are_fitted_and_measured():
    counted = np.zeros(DEPTH.shape, bool)
    counted[3:7, 2:9] = True
    prediction = np.where(counted, 2 / DEPTH - 1, 50)
    assert relative_errors(prediction, DEPTH, counted)["abs_rel"] == pytest.approx(0, abs=1e-9)
    assert relative_errors(prediction, DEPTH)["abs_rel"] > 0.01


def test_the_published_percentage_is_of_what_is_beyond():
    assert percent_beyond(0.8657) == pytest.approx(13.43)


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "rooms"
    make_rooms(
        [
            str(folder),
            *["--train", "1", "--val", "1", "--test", "3", "--width", "64", "--height", "48"],
        ]
    )
    return folder


@pytest.mark.parametrize("kind", ["midas_small", "monodepth"])
def test_the_command_measures_either_model_on_pairs(rooms, tmp_path, monkeypatch, capsys, kind):
    paddle.seed(0)
    weights = tmp_path / "weights"
    weights.mkdir()
    if kind == MIDAS_SMALL:
        save_weights(weights, MidasSmall(), ModelInfo(Architecture(), 256, 256, kind=MIDAS_SMALL))
    else:
        architecture = Architecture(source_ids=(STEREO,))
        save_weights(weights, Monodepth(architecture), ModelInfo(architecture, 64, 96))
    words = ["--task", "relative", "--data_path", str(rooms / "test"), "--engine", "paddle"]
    command = ["evaluate_depth.py", *words, "--load_weights_folder", str(weights)]
    monkeypatch.setattr(sys, "argv", command)
    evaluate_depth.main()
    assert "3 images" in capsys.readouterr().out
    result = json.loads((weights / "eval_test_relative.json").read_text())
    assert result["images"] == 3
    assert 0 < result["metrics"]["abs_rel"] < 1
    assert result["layout"] == "pairs"
    monkeypatch.setattr(sys, "argv", [*command, "--alignment", "none"])
    if kind == MIDAS_SMALL:
        with pytest.raises(
            InputError, match="--alignment none: the model midas_small is not metric"
        ):
            evaluate_depth.main()
    else:
        evaluate_depth.main()
        metres = json.loads((weights / "eval_test_none.json").read_text())
        assert metres["metrics"]["abs_rel"] > result["metrics"]["abs_rel"]
    if kind == MIDAS_SMALL:
        monkeypatch.setattr(sys, "argv", [command[0], *command[3:]])
        with pytest.raises(InputError):
            evaluate_depth.main()
