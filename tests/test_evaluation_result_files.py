"""Names of results: every command has its own, and the same command replaces its own."""

import itertools
import json
from dataclasses import replace

import pytest

from evaluation.result_files import INPUTS, inputs_of, own_name, words_of
from options import EvaluateOptions
from tools.evaluate_objects import EvaluateObjectsOptions

WEIGHTS = {"load_weights_folder": "w", "eval_split": "eigen"}


@pytest.fixture
def options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return EvaluateOptions(load_weights_folder=tmp_path / "w")


def written(folder, name, inputs):
    own = own_name(folder, name, inputs)
    (folder / f"{own}.json").write_text(json.dumps({INPUTS: inputs}))
    return own


CHANGES = {
    "post_process": True,
    "disable_median_scaling": True,
    "pred_depth_scale_factor": 5.4,
    "eval_mono": True,
    "eval_split": "benchmark",
    "gt_path": "truth",
    "data_path": "elsewhere",
    "png": True,
    "engine": "paddle",
    "precision": "int8",
    "calibration": "pictures",
    "load_weights_folder": "others",
}


def test_every_option_that_decides_a_result_gives_it_a_name_of_its_own(options, tmp_path):
    paths = ("gt_path", "data_path", "calibration", "load_weights_folder")
    each = [{name: tmp_path / v if name in paths else v} for name, v in CHANGES.items()]
    changed = [options, *(replace(options, **change) for change in each)]
    names = [written(tmp_path, "eval" + words_of(o), inputs_of(o)) for o in changed]
    assert len(set(names)) == len(changed)
    assert names[:4] == ["eval", "eval_post_process", "eval_unscaled", "eval_times5.4"]
    again = [written(tmp_path, "eval" + words_of(o), inputs_of(o)) for o in reversed(changed)]
    assert again == names[::-1]


def test_how_the_work_is_done_gives_no_other_name(options, tmp_path):
    other = replace(options, batch_size=1, num_workers=0, eval_out_dir=tmp_path, device="cpu")
    assert (words_of(other), inputs_of(other)) == (words_of(options), inputs_of(options))


def test_two_lists_of_one_name_are_told_apart(options, tmp_path):
    for parent in ("a", "b"):
        (tmp_path / parent / "splits").mkdir(parents=True)
    inputs = [inputs_of(replace(options, eval_split=f"{p}/splits")) for p in ("a", "b", "./a/")]
    names = [written(tmp_path, "eval_splits_stereo", each) for each in inputs]
    assert names[0] == names[2] == "eval_splits_stereo" != names[1]


def test_the_first_name_stays_with_whoever_has_it(tmp_path, caplog):
    values = [{"data_path": f"/{letter}"} for letter in "abc"]
    first = [written(tmp_path, "eval", each) for each in values]
    for order in itertools.permutations(range(3)):
        assert [written(tmp_path, "eval", values[n]) for n in order] == [first[n] for n in order]
    assert "is of another data_path and is kept" in caplog.text


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"metrics": 1}', b'{"inputs": 3}'])
def test_a_result_that_does_not_say_what_it_is_of_gives_way(tmp_path, content):
    (tmp_path / "eval.json").write_bytes(content)
    assert own_name(tmp_path, "eval", {"data_path": "/a"}) == "eval"


def test_a_published_model_is_in_the_name(tmp_path):
    options = EvaluateObjectsOptions(model_name="mono_640x192", data_path=tmp_path)
    assert words_of(options) == "_mono_640x192"
