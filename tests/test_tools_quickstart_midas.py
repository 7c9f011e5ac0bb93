"""The settings of the quickstart of relative depth; ``make quickstart-midas`` takes minutes."""

from __future__ import annotations

import numpy as np
import pytest

from options import TrainOptions, parse
from tools import quickstart_midas, stages
from tools.sheet import SHEET_WIDTH, metric_table, relative_sheet
from training import checkpoint, supervised

ROOMS = quickstart_midas.RUN / "rooms_seed3"


def test_it_trains_midas_from_random_weights():
    options = parse(TrainOptions, quickstart_midas.training_arguments(ROOMS, 3))
    assert (options.task, options.network, options.loss) == ("supervised", "midas_small", "ssi")
    assert (options.weights_init, options.load_weights_folder) == ("scratch", None)
    assert (options.seed, options.data_path) == (3, ROOMS)
    assert options.log_dir / options.model_name == quickstart_midas.MODEL


def test_the_summary_shows_the_metrics_before_and_after():
    result = {
        "before": {"abs_rel": 0.4, "a1": 0.3},
        "after": {"abs_rel": 0.1, "a1": 0.9},
        "peak_memory_mib": 2048.4,
        "total_seconds": 400.0,
    }
    text = quickstart_midas.summary(result)
    before, after = text.splitlines()[1:3]
    assert before.split() == ["before", "0.400", "0.300"]
    assert after.split() == ["after", "0.100", "0.900"]
    assert "fell to 25% of what it was" in text
    assert "400 s in all, largest process 2048 MiB" in text


def test_the_sheet_shows_every_inverse_depth_over_its_own_range():
    rng = np.random.default_rng(0)
    picture, truth = rng.integers(0, 255, (32, 48, 3), np.uint8), rng.uniform(1, 5, (32, 48))
    metrics = {"before": {"abs_rel": 0.4}, "after": {"abs_rel": 0.1}}
    depth = rng.random((32, 48)).astype(np.float32)
    sheet = relative_sheet(picture, {"Before": depth, "After": 7 * depth + 2}, truth, metrics)
    assert (sheet.shape[1], sheet.dtype) == (SHEET_WIDTH, np.uint8)
    half = SHEET_WIDTH // 2
    cell = (len(sheet) - len(metric_table(metrics, SHEET_WIDTH))) // 2
    panel = half * 32 // 48  # below its label
    before, after, true = (
        sheet[bottom - panel : bottom, left : left + half]
        for bottom, left in ((cell, half), (2 * cell, 0), (2 * cell, half))
    )
    np.testing.assert_array_equal(before, after)
    assert (after != true).any()


@pytest.mark.parametrize("rendered", [False, True])
def test_stages_are_counted(monkeypatch, tmp_path, capsys, rendered):
    def two_predictions(series, *_):
        return [series.run(["demo.py"]) for _ in range(2)]

    monkeypatch.setattr(stages, "run_stage", lambda words: 1.0)
    monkeypatch.setattr(quickstart_midas, "read_json", lambda path: {"metrics": {}})
    monkeypatch.setattr(quickstart_midas, "write_sheet", two_predictions)
    monkeypatch.setattr(quickstart_midas, "ROOT", tmp_path)
    monkeypatch.setattr(checkpoint, "save_checkpoint", lambda *_: None)
    monkeypatch.setattr(supervised, "initial_model", lambda options: None)
    monkeypatch.setattr(quickstart_midas, "write_result", lambda *_: {})
    monkeypatch.setattr(quickstart_midas, "summary", lambda *_: "")
    monkeypatch.chdir(tmp_path)
    if rendered:
        (tmp_path / quickstart_midas.RUN / "rooms_seed0").mkdir(parents=True)
    quickstart_midas.main([])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("stage")]
    assert lines == [f"stage {n} of 6" for n in range(1 + rendered, 7)]
