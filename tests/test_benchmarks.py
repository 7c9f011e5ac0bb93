"""The measurements measure what they say."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks import measure
from benchmarks.drives import write_drive
from benchmarks.loader import (
    SCALES,
    SOURCES,
    camera_with_lidar,
    draw_jitter,
    draw_sweep,
    published_depth,
    published_item,
    turn_hue,
)
from benchmarks.measure import compared, in_turns
from datasets.items import make_items


def test_ways_are_timed_in_turns_and_the_first_round_is_left_out(monkeypatch):
    now, order = [0.0], []
    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[0])

    def way(name, *seconds):
        left = iter(seconds)

        def run():
            order.append(name)
            now[0] += next(left)

        return run

    medians = in_turns({"a": way("a", 90, 1, 3, 2), "b": way("b", 90, 5, 5, 9)}, rounds=3)
    assert medians == {"a": 2, "b": 5}
    assert order == ["a", "b"] * 4
    assert compared("x", 2, 5).ratio == 2.5


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


def test_a_sweep_as_large_as_kittis_falls_into_the_picture():
    depth = published_depth(draw_sweep(), camera_with_lidar())
    assert depth.shape == (375, 1242)
    assert 5_000 < np.count_nonzero(depth) < 40_000  # KITTI's: 15,000
