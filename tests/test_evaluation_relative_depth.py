"""The command measures the relative depth of any model."""

import json
import sys

import paddle
import pytest

import evaluate_depth
from datasets.conventions import STEREO
from datasets.rooms import main as make_rooms
from networks.kinds import MIDAS_SMALL
from networks.midas_small import MidasSmall
from networks.monodepth import Architecture, Monodepth
from system.errors import InputError
from weight_files.folder import save_weights
from weight_files.model_info import ModelInfo


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
        save_weights(weights, MidasSmall(), ModelInfo(Architecture(), 64, 64, kind=MIDAS_SMALL))
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
    if kind == MIDAS_SMALL:
        monkeypatch.setattr(sys, "argv", [command[0], *command[3:]])
        with pytest.raises(InputError, match=r"weights: is a midas_small.* add --task relative"):
            evaluate_depth.main()
    else:
        monkeypatch.setattr(sys, "argv", [*command, "--alignment", "none"])
        evaluate_depth.main()
        metres = json.loads((weights / "eval_test_none.json").read_text())
        assert metres["metrics"]["abs_rel"] > result["metrics"]["abs_rel"]
