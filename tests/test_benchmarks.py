"""The measurements measure what they say."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks import measure
from benchmarks.drives import write_drive
from benchmarks.loader import SCALES, SOURCES, published_item, turn_hue
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
    assert turn_hue(red, 1 / 3).getpixel((0, 0)) == pytest.approx((0, 255, 0), abs=6)
