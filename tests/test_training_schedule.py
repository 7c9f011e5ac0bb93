"""The learning rate over a run: published values, ends and peaks of the curves, resumed runs."""

from __future__ import annotations

import dataclasses
import math

import pytest

from options import TrainOptions, parse
from system.errors import InputError
from training.checkpoint import Progress
from training.schedule import (
    CYCLE_RISE,
    Schedule,
    cosine,
    last_step,
    learning_rate,
    make_schedule,
    one_cycle,
)

BASE = 1e-4


def rates(schedule, steps, steps_per_epoch=100):
    return [learning_rate(schedule, BASE, s, s // steps_per_epoch) for s in range(steps)]


def options_of(line):
    return parse(TrainOptions, line.split())


def test_the_published_rate_falls_to_a_tenth_after_fifteen_epochs():
    defaults = make_schedule(Progress(), parse(TrainOptions, []), 2)
    values = rates(defaults, 40, 2)
    assert values[:30] == [BASE] * 30
    assert values[30:] == [BASE * 0.1] * 10
    # As it was computed before there were other schedules, to the last bit.
    for epoch in range(100):
        assert learning_rate(Schedule(step_size=7), BASE, 0, epoch) == BASE * 0.1 ** (epoch // 7)


def test_a_cosine_falls_from_the_base_rate_to_nothing():
    values = rates(Schedule("cosine", steps=100), 100)
    assert values[0] == BASE
    assert values[50] == pytest.approx(BASE / 2)
    assert values[25] == pytest.approx(BASE * (1 + math.sqrt(0.5)) / 2)
    assert 0 < values[-1] < 1e-3 * BASE
    assert values == sorted(values, reverse=True)
    assert (cosine(0), cosine(1)) == (1, 0)


def test_one_cycle_rises_straight_to_the_base_rate_and_falls_to_a_ten_thousandth():
    values = rates(Schedule("one_cycle", steps=100), 100)
    peak = values.index(max(values))
    assert values[0] == pytest.approx(BASE / 25)
    assert (peak, values[peak]) == (30, pytest.approx(BASE))
    assert values[15] == pytest.approx(BASE * (1 + 1 / 25) / 2)
    assert values[65] == pytest.approx(BASE * (1 + 1e-4) / 2)
    assert values[:31] == sorted(values[:31])
    assert values[30:] == sorted(values[30:], reverse=True)
    assert one_cycle(1) == pytest.approx(1e-4)
    assert one_cycle(CYCLE_RISE - 1e-12) == pytest.approx(one_cycle(CYCLE_RISE))


@pytest.mark.parametrize("kind", ["step", "cosine", "one_cycle"])
def test_a_warm_up_leads_straight_from_zero_to_where_the_schedule_begins(kind):
    schedule = Schedule(kind, 15, 100, warmup_steps=9)
    values = rates(schedule, 100)
    start = learning_rate(dataclasses.replace(schedule, warmup_steps=0), BASE, 0, 0)
    assert values[:10] == pytest.approx([start * k / 10 for k in range(1, 11)])


def test_a_curve_takes_the_steps_that_a_warm_up_leaves():
    plain, later = Schedule("cosine", steps=90), Schedule("cosine", steps=100, warmup_steps=10)
    assert rates(later, 100)[10:] == pytest.approx(rates(plain, 90))
    # The epochs of the published schedule are counted from the start.
    values = rates(Schedule("step", 2, warmup_steps=10), 40, 10)
    assert values[10:] == [BASE] * 10 + [BASE * 0.1] * 20


@pytest.mark.parametrize(
    ("progress", "line", "expected"),
    [
        (Progress(), "--num_epochs 3", 30),
        (Progress(), "--num_epochs 3 --max_steps 7", 7),
        (Progress(), "--num_epochs 3 --max_steps 70", 30),
        (Progress(epoch=1, step_in_epoch=4, step=14), "--num_epochs 3", 30),
        (Progress(epoch=3, step=30), "--num_epochs 3", 30),
        (Progress(epoch=3, step=30), "--num_epochs 2", 30),
        # Epochs had another number of steps before: six are left of this one, and one more.
        (Progress(epoch=1, step_in_epoch=4, step=99), "--num_epochs 3", 115),
    ],
)
def test_a_run_ends_with_its_epochs_or_its_steps(progress, line, expected):
    assert last_step(progress, options_of(line), 10) == expected


def test_a_curve_keeps_the_length_that_it_began_with():
    line = "--num_epochs 3 --scheduler cosine"
    new = make_schedule(Progress(), options_of(line), 10)
    assert new == Schedule("cosine", steps=30)
    progress = Progress(epoch=1, step=10, schedule_steps=30)
    for more in ("", " --max_steps 20", " --max_steps 30"):
        assert make_schedule(progress, options_of(line + more), 10) == new
    with pytest.raises(InputError, match=r"step 40.*cosine.*add --max_steps 30.*--load_weights"):
        make_schedule(progress, options_of("--num_epochs 4 --scheduler cosine"), 10)
    # The published schedule has no end to go beyond.
    assert make_schedule(progress, options_of("--num_epochs 4"), 10).steps is None


def test_a_warm_up_that_leaves_no_steps_is_refused():
    line = "--scheduler one_cycle --max_steps 8 --warmup_steps "
    assert make_schedule(Progress(), options_of(line + "7"), 10).warmup_steps == 7
    with pytest.raises(InputError, match=r"--warmup_steps 8: the run has 8 steps; give fewer"):
        make_schedule(Progress(), options_of(line + "8"), 10)
