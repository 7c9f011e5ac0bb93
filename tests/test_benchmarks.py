"""The measurements measure what they say."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from PIL import Image

from benchmarks import bench, measure
from benchmarks.drives import DRIVE, add_sweeps, draw_sweep, write_drive
from benchmarks.loader import (
    SCALES,
    SOURCES,
    draw_jitter,
    published_depth,
    published_item,
    turn_hue,
)
from benchmarks.measure import SMALL, Cost, Peer, compared, in_turns, run_part, unavailable
from benchmarks.start import link_frames
from datasets.items import make_items
from datasets.kitti import day_folder, read_calibration
from datasets.splits import SplitLine
from evaluation.ground_truth import FORWARD, frame_depth
from system.errors import InputError
from tools.stages import environment


class Clock:
    """Of a machine on which half of the time goes to something else."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(measure.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(measure, "processor_time", lambda: self.now / 2)

    def way(self, order, name, *seconds):
        left = iter(seconds)

        def run():
            order.append(name)
            self.now += next(left)

        return run


def test_ways_are_timed_in_turns_and_the_first_round_is_left_out(monkeypatch):
    clock, order = Clock(monkeypatch), []
    ways = {"a": clock.way(order, "a", 1, 8, 2, 4), "b": clock.way(order, "b", 1, 6, 6, 8)}
    assert in_turns(ways, rounds=3) == {"a": Cost(2, 1), "b": Cost(6, 3)}
    assert order == ["a", "b"] * 4


def test_what_runs_elsewhere_says_what_it_took(monkeypatch):
    clock, order = Clock(monkeypatch), []
    known, unknown = iter([Cost(9, 9), Cost(5, 7)]), iter([Cost(9), Cost(4)])
    ways = {"here": clock.way(order, "here", 3, 3), "known": lambda: next(known)}
    costs = in_turns({**ways, "unknown": lambda: next(unknown)}, rounds=1)
    assert costs == {"here": Cost(3, 1.5), "known": Cost(5, 7), "unknown": Cost(4, None)}


def test_ratios_are_above_1_where_ours_costs_less():
    row = compared("x", Cost(2, 4).times(10), Cost(5, 3).times(10), repeats=3)
    assert (row.ours, row.ratio, row.processor_ratio) == (20, 2.5, 0.75)
    assert compared("x", 2, Cost(5, 3))[:7] == ("x", 2, 5, 2.5, None, 3, None)
    assert "not available: no codec" in str(unavailable("video", "no codec"))


def run_rows(monkeypatch, rows, *words):
    monkeypatch.setattr("sys.argv", ["benchmarks/part.py", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        run_part(rows)
    return end.value.code


def test_a_part_keeps_what_it_measured_before_something_was_missing(monkeypatch, tmp_path, capsys):
    given = []

    def rows(scale, *words):
        given.extend([scale, *words])
        yield compared("first", 1, 2)
        raise InputError("there is no engine")

    path = tmp_path / "part.json"
    assert run_rows(monkeypatch, rows, "--small", path, "DIR", "--flag") == 0
    assert logging.getLogger().isEnabledFor(logging.WARNING)
    assert given == [SMALL, "DIR", "--flag"]
    first, second = json.loads(path.read_text())
    assert (first["what"], first["ratio"]) == ("first", 2)
    assert (second["what"], second["note"]) == ("part", "not available: there is no engine")
    assert "not available: there is no engine" in capsys.readouterr().out


def test_a_part_that_breaks_is_said_and_the_others_go_on(monkeypatch, tmp_path, capsys):
    commands = []

    def run(command, **_):
        commands.append(command[2:])
        if command[2] == "benchmarks.page":
            return CompletedProcess(command, 1)
        row = compared("item, ms", Cost(1, 2), Cost(3, 4))._asdict()
        Path(command[-1]).write_text(json.dumps([row]))
        return CompletedProcess(command, 0)

    monkeypatch.setattr(bench.subprocess, "run", run)
    words = ["bench", "--only", "page", "loader", "--small", "--out", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", words)
    assert bench.main() == 1
    out = tmp_path / "out"
    assert commands == [
        [f"benchmarks.{name}", "--small", str(out / f"{name}.json")] for name in ("page", "loader")
    ]
    parts = json.loads((out / "result.json").read_text())["parts"]
    assert parts["page"]["rows"][0]["note"] == "not available: it ended with 1, see above"
    assert parts["loader"]["rows"][0]["processor_ratio"] == 2
    assert "item, ms" in capsys.readouterr().out


def test_every_part_can_be_run_by_its_name():
    for name in (*bench.PARTS, *bench.MORE):
        source = Path(bench.__file__).with_name(f"{name}.py").read_text()
        assert "run_part(rows)" in source


def test_a_checkout_does_what_it_can_and_says_what_it_cannot(tmp_path):
    (tmp_path / "datasets.py").write_text(
        "class KITTIRAWDataset:\n"
        "    def __init__(self, path, lines, *_, **more):\n"
        "        print('as the published code, this prints', more)\n"
        "        self.lines = lines\n"
        "    def __getitem__(self, index):\n"
        "        return {('color', 0, 0): self.lines[index]}\n"
    )
    peer = Path(bench.__file__).with_name("peer.py")
    words = [tmp_path, tmp_path, "drive", 64, 96, 2, 3]
    peer = Peer([sys.executable, "-S", *map(str, [peer, *words])], "it ended")
    assert json.loads(peer.ask("predict 1")) == "ModuleNotFoundError: No module named 'torch'"
    wall, processor = json.loads(peer.ask("item 2"))
    assert wall > 0 <= processor
    peer.close()


def test_a_peer_that_is_not_there_or_ends_is_said():
    with pytest.raises(InputError, match=r"no answer: .*no_such_command"):
        Peer(["no_such_command"], "no answer")
    peer = Peer([sys.executable, "-S", "-c", "pass"], "no answer")
    with pytest.raises(InputError, match="no answer"):
        peer.ask("item 1")
    peer.close()


PEER_OF_TWO = """
import os, sys
import benchmarks.reference
from benchmarks.measure import Peer

said = "import os; input(); print(os.environ.get('OMP_NUM_THREADS'))"
print(os.environ.get("OMP_NUM_THREADS"), Peer([sys.executable, "-c", said], "it ended").ask("?"))
"""


def test_a_peer_takes_as_many_threads_as_it_would_alone():
    """Paddle tells OpenMP to use one, which PyTorch would keep to."""
    given = {key: value for key, value in environment().items() if key != "OMP_NUM_THREADS"}
    run = [sys.executable, "-c", PEER_OF_TWO]
    done = subprocess.run(run, env=given, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "None"]


def test_the_published_work_is_done_for_every_frame_and_scale(tmp_path):
    lines = write_drive(tmp_path, frames=3)
    items = make_items(tmp_path, lines, SOURCES, 192, 640)
    plain, jittered = published_item(items, 0), published_item(items, 1)
    assert len(plain) == len(jittered) == (1 + len(SOURCES)) * SCALES * 2
    assert plain[0].shape == (3, 192, 640)
    assert plain[-1].shape == (3, 24, 80)
    assert (plain[0] == plain[1]).all()
    assert not (jittered[0] == jittered[1]).all()
    ours = make_items(tmp_path, lines, SOURCES, 192, 640, resize="lanczos", augment=False)
    np.testing.assert_allclose(plain[0], ours.item(0, 0)["target"] / 255, atol=2 / 255)


def test_hue_turns():
    red = Image.new("RGB", (1, 1), (255, 0, 0))
    assert turn_hue(1 / 3, red).getpixel((0, 0)) == pytest.approx((0, 255, 0), abs=6)


def test_the_jitter_of_an_item_is_one_draw_of_four_changes_in_a_drawn_order():
    grey, orders = Image.new("RGB", (2, 2), (90, 120, 60)), set()
    for seed in range(8):
        steps = draw_jitter(np.random.default_rng(seed))
        orders.add(tuple(str(step.args[0])[:30] for step in steps if len(step.args) == 2))
        for step in steps:
            assert step(grey) == step(grey)
        assert len(steps) == 4
    assert len(orders) > 1


def test_a_sweep_as_large_as_kittis_falls_into_the_picture(tmp_path):
    add_sweeps(tmp_path, 1)
    calibration = read_calibration(day_folder(tmp_path, DRIVE), with_lidar=True)
    depth = published_depth(draw_sweep(), calibration)
    assert depth.shape == (375, 1242)
    assert 5_000 < np.count_nonzero(depth) < 40_000  # KITTI's: 15,000
    line = SplitLine(DRIVE, 0, "l")
    np.testing.assert_array_equal(frame_depth(tmp_path, line, FORWARD), depth)


def test_frames_of_a_long_list_are_one_picture(tmp_path):
    lines = [SplitLine(DRIVE, frame, "l") for frame in (1, 2)]
    image = tmp_path / "frame.jpg"
    Image.new("RGB", (64, 64)).save(image)
    link_frames(tmp_path / "kitti", image, {"train": lines})
    paths = sorted((tmp_path / "kitti").rglob("*.jpg"))
    assert [int(path.stem) for path in paths] == [0, 1, 2, 3]
    assert len(make_items(tmp_path / "kitti", lines, (-1, 1), 64, 64)) == 2
