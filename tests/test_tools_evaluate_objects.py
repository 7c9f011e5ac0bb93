"""The command that measures objects: what it writes, its scale, what it refuses."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from datasets.conventions import STEREO
from datasets.splits import load_split
from datasets.streets.truth import read_settings, true_view
from networks.monodepth import Architecture
from prediction import predictor as prediction
from system.errors import EXIT_BAD_INPUT, InputError, run_command
from tools.evaluate_objects import EvaluateObjectsOptions, evaluate_objects, main
from weight_files.model_info import ModelInfo

INFO = ModelInfo(Architecture(source_ids=(STEREO,)), 64, 160, name="oracle")


class Oracle:
    """In the place of a network: the true depth of the test pictures, in order, times a factor."""

    def __init__(self, streets, info, factor=1.0):
        settings, lines = read_settings(streets), load_split(str(streets / "splits"), "test")
        depths = [true_view(settings, line).depth for line in lines]
        self.sigmoids = [self.sigmoid(factor * depth / 5.4, info) for depth in depths]
        self.info = info

    @staticmethod
    def sigmoid(depth, info):
        farthest, nearest = 1 / info.max_depth, 1 / info.min_depth
        return np.clip((1 / depth - farthest) / (nearest - farthest), 0, 1)

    def disparity(self, images):
        assert images.shape[1:] == (64, 160, 3)
        return np.stack([self.sigmoids.pop(0) for _ in images])


@pytest.fixture
def oracle(streets, tmp_path, monkeypatch):
    """Measure an oracle's depth with arguments of the command; return what is written."""

    def measured(*arguments, factor=1.0, info=INFO):
        network = Oracle(streets, info, factor)
        opened = SimpleNamespace(network=network)
        monkeypatch.setattr(prediction, "open_predictor", lambda options: opened)
        words = ["--data_path", str(streets), "--load_weights_folder", str(tmp_path)]
        main([*words, "--num_workers", "0", *arguments])
        mark = "_mono" if "--eval_mono" in arguments else ""
        return json.loads((tmp_path / f"eval_objects{mark}.json").read_text())

    return measured


def test_true_depth_finds_every_object_of_the_test_pictures(oracle, capsys):
    result = oracle()
    every = result["summary"]["all"]
    assert result["pictures"] == 2 and every["objects"] == len(result["objects"]) > 5
    assert every["found"] == every["depth_right"] == 1
    first = result["objects"][0]
    assert first["picture"] == "2000_01_01/2000_01_01_drive_0004_sync 0 l"
    assert first["found"] is True and first["relative_error"] < 0.01
    said = capsys.readouterr().out
    assert "2 pictures, in metres of the model" in said and "eval_objects.json" in said


def test_wrong_scale_is_seen_in_metres_and_not_by_the_median(oracle):
    assert oracle(factor=1.4)["summary"]["all"]["found"] == 0
    scaled = oracle("--eval_mono", factor=1.4)
    assert scaled["scaling"] == "median of each picture"
    assert scaled["summary"]["all"]["found"] == 1


def test_model_without_a_unit_is_scaled_by_the_median(oracle):
    frames_only = ModelInfo(Architecture(source_ids=(-1, 1)), 64, 160, name="mono")
    result = oracle(factor=0.3, info=frames_only)
    assert result["scaling"] == "median of each picture"
    assert result["summary"]["all"]["found"] == 1


def test_function_takes_options_made_in_python(streets, tmp_path, monkeypatch):
    opened = SimpleNamespace(network=Oracle(streets, INFO))
    monkeypatch.setattr(prediction, "open_predictor", lambda options: opened)
    options = EvaluateObjectsOptions(
        data_path=streets, load_weights_folder=tmp_path / "w", eval_out_dir=tmp_path / "out"
    )
    assert evaluate_objects(options)["summary"]["all"]["found"] == 1
    assert (tmp_path / "out" / "eval_objects.json").is_file()
    assert not (tmp_path / "w").exists()


def test_folder_without_streets_is_refused(tmp_path):
    options = EvaluateObjectsOptions(data_path=tmp_path, load_weights_folder=tmp_path)
    with pytest.raises(InputError, match="no finished streets"):
        evaluate_objects(options)
    with pytest.raises(SystemExit) as stopped:
        run_command(lambda: main(["--data_path", str(tmp_path)]))
    assert stopped.value.code == EXIT_BAD_INPUT
