"""Draws of the augmentation: repeatable, within their ranges, and as frequent as published."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from datasets.augmentation import NO_JITTER, draw_augmentation

COUNT = 4000


@pytest.fixture(scope="module")
def draws():
    return [draw_augmentation(seed=3, epoch=5, index=index) for index in range(COUNT)]


def numbers(draw):
    return (draw.flip, *draw.color_jitter.tolist())


def share(values):
    return np.mean(list(values))


# Four standard deviations of a fair coin's share of heads.
FAIR = pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(COUNT))


def test_a_draw_depends_on_seed_epoch_and_index_alone(draws):
    np.random.seed(1)
    for index in reversed(range(0, COUNT, 97)):
        draw_augmentation(4, 5, index)
        assert numbers(draw_augmentation(3, 5, index)) == numbers(draws[index])
    state = np.random.get_state()[1]
    draw_augmentation(3, 5, 0)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_seed_epoch_and_index_each_give_other_draws():
    def series(*keys):
        return tuple(numbers(draw_augmentation(*key)) for key in keys)

    count = range(30)
    all_series = {
        series(*((0, 0, i) for i in count)),
        series(*((1, 0, i) for i in count)),
        series(*((0, 1, i) for i in count)),
        series(*((0, i, 0) for i in count)),
        series(*((i, 0, 0) for i in count)),
    }
    assert len(all_series) == 5


def test_half_of_the_items_are_flipped_and_half_jittered(draws):
    assert share(draw.flip for draw in draws) == FAIR
    jittered = [not np.array_equal(draw.color_jitter, NO_JITTER) for draw in draws]
    assert share(jittered) == FAIR
    # One does not go with the other.
    assert share(draw.flip == jitter for draw, jitter in zip(draws, jittered)) == FAIR


def test_an_item_is_flipped_in_half_of_the_epochs():
    assert share(draw_augmentation(0, epoch, 7).flip for epoch in range(COUNT)) == FAIR


def test_factors_fill_their_published_ranges(draws):
    values = np.array([draw.color_jitter for draw in draws])
    assert values.dtype == np.float32
    values = values[(values != NO_JITTER).any(axis=1), :4]
    low, high = np.array([0.8, 0.8, 0.8, -0.1]), np.array([1.2, 1.2, 1.2, 0.1])
    assert (values >= low - 1e-6).all()
    assert (values <= high + 1e-6).all()
    # The largest and smallest of so many lie near the ends, and the mean in the middle.
    assert (values.min(axis=0) < low + 0.01 * (high - low)).all()
    assert (values.max(axis=0) > high - 0.01 * (high - low)).all()
    np.testing.assert_allclose(values.mean(axis=0), [1, 1, 1, 0], atol=0.02)
    correlation = np.corrcoef(values.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.1


def test_every_order_of_the_adjustments_is_as_likely(draws):
    jittered = [d.color_jitter for d in draws if not np.array_equal(d.color_jitter, NO_JITTER)]
    orders = Counter(tuple(jitter[4:].astype(int).tolist()) for jitter in jittered)
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len(orders) == 24
    expected = len(jittered) / 24
    assert max(abs(count - expected) for count in orders.values()) < 5 * np.sqrt(expected)


def test_without_jitter_the_parameters_are_neutral(draws):
    assert NO_JITTER.tolist() == [1, 1, 1, 0, 0, 1, 2, 3]
    assert any(np.array_equal(draw.color_jitter, NO_JITTER) for draw in draws)
    assert all(draw.color_jitter.shape == (8,) for draw in draws)
