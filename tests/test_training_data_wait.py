"""The share of time that training waits for data, on a clock of the test's own."""

from __future__ import annotations

import os

import pytest

from training import data_wait
from training.data_wait import DataWait


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by hand."""
    now = [0.0]
    monkeypatch.setattr(data_wait.time, "perf_counter", lambda: now[0])

    def go_on(seconds):
        now[0] += seconds

    return go_on


def watched(clock, loading, working, count=5):
    """Batches that take ``loading`` seconds each (the first one more) and ``working`` to use."""

    def batches():
        for index in range(count):
            clock(100 if index == 0 else loading)
            yield index

    wait, seen = DataWait(), []
    for batch in wait.watch(batches()):
        seen.append(batch)
        clock(working)
    assert seen == list(range(count))
    return wait


def test_the_share_leaves_out_the_start(clock):
    wait = watched(clock, loading=1, working=4)
    assert wait.waited == 4
    assert wait.worked == 4 * 4
    assert wait.share == pytest.approx(4 / 20)


def test_nothing_to_watch(clock):
    assert watched(clock, 1, 1, count=0).share == 0


def test_advice_is_given_only_where_waiting_is_long(clock, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert watched(clock, 0.1, 4, count=11).advice(2, cached=False) is None
    slow = watched(clock, 2, 2, count=11)
    assert slow.advice(2, cached=False).endswith("try --num_workers 8, or --cache_dir")
    assert "all 8 cores" in slow.advice(8, cached=False)
    assert "faster" in slow.advice(8, cached=True)


def test_few_batches_tell_nothing(clock):
    assert not watched(clock, 2, 2, count=10).telling
    assert watched(clock, 2, 2, count=10).advice(2, cached=False) is None
    assert watched(clock, 2, 2, count=11).telling
