"""How far a run is, how long the rest takes, and how often it logs."""

from __future__ import annotations

import io
import logging
import re
import sys

import pytest
from visualdl.reader.reader import LogReader
from visualdl.server.lib import get_runs

from tests import stub_task
from tests.stub_items import write_items
from training.checkpoint import Progress
from training.data_wait import DataWait
from training.logger import Logger
from training.pace import Pace, RunBar, in_words, log_frequency


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("steps", "every"), [(1, 1), (19, 1), (20, 1), (110, 5), (5000, 250), (66340, 250)]
)
def test_a_run_logs_twenty_points_or_more(steps, every):
    assert log_frequency(steps) == every
    assert len(range(0, steps, every)) >= min(20, steps)


def test_the_first_step_is_compiled_and_tells_nothing():
    clock = Clock()
    pace = Pace(validation_steps=5, clock=clock)
    assert pace.seconds_left(10, 1) is None
    clock.now += 60
    pace.step()
    for _ in range(3):
        clock.now += 2
        pace.step()
    assert pace.seconds_left(10, 0) == pytest.approx(20)
    assert pace.seconds_left(10, 2) == pytest.approx(20 + 2 * 0.4 * 5 * 2)


def test_a_validation_that_was_measured_is_no_part_of_a_step():
    clock = Clock()
    pace = Pace(validation_steps=5, clock=clock)
    for seconds in (60, 2, 2):
        clock.now += seconds
        pace.step()
    with pace.validation():
        clock.now += 30
    clock.now += 2
    pace.step()
    assert pace.seconds_left(10, 2) == pytest.approx(20 + 2 * 30)


def test_a_pace_that_changes_is_followed():
    clock = Clock()
    pace = Pace(validation_steps=0, clock=clock)
    for seconds in [1.0] * 500 + [3.0] * 200:
        clock.now += seconds
        pace.step()
    assert pace.seconds_left(1, 0) == pytest.approx(3)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (4, "0 s"),
        (44, "40 s"),
        (94, "90 s"),
        (100, "2 min"),
        (3550, "59 min"),
        (3599, "1 h"),
        (8000, "2 h 10 min"),
        (100_000, "1 d 4 h"),
    ],
)
def test_times_in_words(seconds, words):
    assert in_words(seconds) == words


def places(text):
    return re.findall(r"epoch (\d+) of (\d+), step (\d+) of (\d+)", text)


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        # 110 of 99 epochs of 60 steps, from the start and from the middle of an epoch
        (Progress(), 110, ("1", "2", "0", "110"), ("2", "2", "110", "110")),
        (Progress(1, 30, 90), 110, ("2", "2", "90", "110"), ("2", "2", "110", "110")),
        (Progress(2, 0, 120), 180, ("3", "3", "120", "180"), ("3", "3", "180", "180")),
    ],
)
def test_the_bar_counts_the_steps_that_will_be_run(monkeypatch, start, end, first, last):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    bar = RunBar(start, end, steps_per_epoch=60, validation_steps=1)
    for step in range(start.step + 1, end + 1):
        bar.step(Progress(step // 60, step % 60, step), 0.5)
    bar.close()
    assert places(stream.getvalue())[0] == first
    assert places(stream.getvalue())[-1] == last
    assert "about 0 s left, loss 0.5000" in stream.getvalue()


def test_training_says_where_it_stands_and_logs_every_step_of_a_short_run(
    tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    stub_task.use_stub(monkeypatch.setattr)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    data = write_items(tmp_path / "numbers")
    line = stub_task.words(data, tmp_path, "--num_epochs", 99, "--max_steps", 3)
    place = line.index("--log_frequency")
    stub_task.train.main(line[:place] + line[place + 2 :])
    assert places(stream.getvalue())[-1] == ("2", "2", "3", "3")
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert metrics.count('"train"') == 3
    # With what it made, and without what two steps cannot tell.
    assert caplog.messages[-1].startswith(f"done: {tmp_path / 'run' / 'best'} and ")
    assert "data" not in " ".join(caplog.messages[2:])


def test_visualdl_tells_the_runs_of_one_folder_apart(tmp_path):
    for model in ("one", "two"):
        log = Logger(tmp_path / model)
        log.scalars("train", 0, {"loss": 1.0})
        log.scalars("val", 0, {"loss": 2.0})
        log.close()
    runs = get_runs(LogReader(str(tmp_path)))
    assert sorted(run[len(str(tmp_path)) + 1 :] for run in runs) == [
        "one/train",
        "one/val",
        "two/train",
        "two/val",
    ]


def test_waiting_for_data_is_said_once(tmp_path, monkeypatch, caplog):
    stub_task.use_stub(monkeypatch.setattr)
    monkeypatch.setattr(DataWait, "advice", lambda *_, **__: "training waits")
    data = write_items(tmp_path / "numbers")
    stub_task.train.main(stub_task.words(data, tmp_path, "--num_epochs", 3))
    assert caplog.messages.count("training waits") == 1
