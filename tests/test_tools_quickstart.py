"""The settings of the quickstart; ``make quickstart`` itself takes minutes."""

from __future__ import annotations

import json

import numpy as np

from datasets.streets.render import View
from options import TrainOptions, parse
from tools import quickstart, stages
from training import checkpoint, self_supervised

STREETS = quickstart.RUN / "streets_seed0"


def test_it_trains_on_stereo_with_hints_at_growing_sizes():
    stages = [parse(TrainOptions, words) for words in quickstart.training_arguments(STREETS, 3)]
    assert all(options.source_ids == ("s",) and options.depth_hints for options in stages)
    assert {options.seed for options in stages} == {3}
    sizes = [options.height * options.width for options in stages]
    assert sizes == sorted(sizes)
    assert stages[0].initial_disparity == 0.05


def test_each_stage_goes_on_from_the_one_before_and_the_last_is_the_model():
    stages = [parse(TrainOptions, words) for words in quickstart.training_arguments(STREETS, 0)]
    made = [options.log_dir / options.model_name for options in stages]
    starts = [options.load_weights_folder for options in stages]
    assert starts == [None, *(folder / "last" for folder in made[:-1])]
    assert made[-1] == quickstart.MODEL
    assert len(set(made)) == len(made)


def test_the_summary_shows_the_metrics_before_and_after():
    result = {
        "before": {"abs_rel": 0.9, "a1": 0.0},
        "start": {"abs_rel": 0.4, "a1": 0.3},
        "after": {"abs_rel": 0.25, "a1": 0.6},
        "peak_memory_mib": 2048.4,
        "total_seconds": 500.0,
    }
    before, start, after = quickstart.summary(result).splitlines()[1:4]
    assert before.split() == ["before", "0.900", "0.000"]
    assert start.split() == ["start", "0.400", "0.300"]
    assert after.split() == ["after", "0.250", "0.600"]
    assert "500 s in all, largest process 2048 MiB" in quickstart.summary(result)


def test_the_metrics_are_those_that_the_evaluation_wrote(tmp_path):
    metrics = {"abs_rel": 0.1}
    path = tmp_path / "eval_splits_stereo.json"
    path.write_text(json.dumps({"metrics": metrics}))
    assert quickstart.read_metrics(tmp_path) == metrics


def test_the_picture_that_is_shown_has_a_car_and_the_largest_pole():
    def view(*poles: slice, car: bool = True) -> View:
        objects = np.zeros((10, 20), np.int32)
        objects[8:, 2 : 2 + 8 * car] = 9
        for number, columns in enumerate(poles, 1):
            objects[:8, columns] = number
        kinds = {9: "car", **dict.fromkeys(range(1, 1 + len(poles)), "pole")}
        return View(np.ones(objects.shape, np.float32), objects, kinds)

    small, large, cut = slice(4, 5), slice(10, 13), slice(14, 20)
    assert quickstart.picture_to_show([view(small), view(small, large), view()]) == 1
    assert quickstart.picture_to_show([view(cut), view(small), view()]) == 1
    assert quickstart.picture_to_show([view(large, car=False), view(small)]) == 1
    assert quickstart.picture_to_show([view(), view()]) == 0


def test_stages_are_counted(monkeypatch, tmp_path, capsys):
    wrote = {"metrics": {"abs_rel": 0.1}, "summary": {"car": {"found": 1.0}}}
    monkeypatch.setattr(stages, "run_stage", lambda words: 1.0)
    monkeypatch.setattr(quickstart, "read_json", lambda path: wrote)
    monkeypatch.setattr(quickstart, "show", lambda series, *_: series.run(["demo.py"]))
    monkeypatch.setattr(quickstart, "ROOT", tmp_path)
    monkeypatch.setattr(checkpoint, "save_checkpoint", lambda *_: None)
    monkeypatch.setattr(self_supervised, "initial_model", lambda options: None)
    monkeypatch.setattr(quickstart, "write_result", lambda *_: {})
    monkeypatch.setattr(quickstart, "summary", lambda *_: "")
    monkeypatch.chdir(tmp_path)
    quickstart.main([])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("stage")]
    assert lines == [f"stage {n} of {len(lines)}" for n in range(1, len(lines) + 1)]
    assert len(lines) > 5
