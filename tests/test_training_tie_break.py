"""Noise of the auto-mask: an item's own, whoever computes it beside which others."""

from __future__ import annotations

import numpy as np
import pytest

from options import TrainOptions, parse
from training.self_supervised import SelfSupervised
from training.tie_break import place_of, tie_break

SHAPE = (2, 64, 64)


def noise(indices, seed=0, epoch=0):
    return tie_break(seed, epoch, indices, SHAPE).numpy()


def test_an_item_has_its_own_however_a_step_is_divided():
    joint = noise([3, 14, 15, 92])
    for parts in ([[3, 14], [15, 92]], [[3], [14], [15], [92]]):
        np.testing.assert_array_equal(np.concatenate([noise(part) for part in parts]), joint)
    np.testing.assert_array_equal(noise([92, 3]), joint[[3, 0]])


def test_seed_epoch_and_item_each_decide_it():
    places = [place_of(*draw) for draw in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert len(set(places)) == 4
    maps = np.concatenate([noise([0]), noise([0], seed=1), noise([0], epoch=1), noise([1])])
    correlations = np.corrcoef(maps.reshape(4, -1)) - np.eye(4)
    assert np.abs(correlations).max() < 0.1


def test_it_is_normal_and_each_source_has_another():
    values = noise(range(8))
    assert values.shape == (8, *SHAPE)
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.std() == pytest.approx(1, abs=0.02)
    within = np.mean(np.abs(values) < 1)
    assert within == pytest.approx(0.6827, abs=0.01)
    assert abs(np.corrcoef(values[:, 0].ravel(), values[:, 1].ravel())[0, 1]) < 0.02


def test_frames_are_given_that_of_their_items():
    line = "--frame_ids 0 -1 1 --height 64 --width 64 --seed 5 --no_color_jitter"
    task = SelfSupervised(parse(TrainOptions, line.split()))

    def known(indices):
        frames = np.zeros((len(indices), 2, 3, 64, 64), np.uint8)
        batch = {"target": frames[:, 0], "sources": frames, "index": np.array(indices)}
        for name, size in (("K", 3), ("T_stereo", 4)):
            batch[name] = np.stack([np.eye(size, dtype=np.float32)] * len(indices))
        return task.inputs(batch, epoch=2)["known"]["tie_break"].numpy()

    np.testing.assert_array_equal(known([7, 1]), noise([7, 1], seed=5, epoch=2))
    np.testing.assert_array_equal(np.concatenate([known([7]), known([1])]), known([7, 1]))
