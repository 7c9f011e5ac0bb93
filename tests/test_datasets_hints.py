"""Depth hints: right for walls, roads and streets of known depth, for both cameras and flips."""

from __future__ import annotations

from itertools import zip_longest

import cv2
import numpy as np
import pytest

from datasets.cache import with_cache
from datasets.hints import NEAREST, depth_hint, number_of_disparities
from datasets.items import draw_augmentation, make_items
from datasets.kitti import read_calibration, sweep_path
from datasets.lidar import project_sweep, read_sweep
from datasets.loader import Loader
from datasets.splits import load_split
from datasets.streets.generate import StreetSettings, list_drives, load_street
from datasets.streets.render import render_depth
from datasets.streets.sensors import BASELINE, kitti_camera, right_camera_pose

HEIGHT, WIDTH, FOCAL = 64, 192, 110.0
KITTI_FOCAL = 0.58  # of the width
EPOCHS = {
    flip: next(e for e in range(100) if draw_augmentation(0, e, 0).flip == flip) for flip in (0, 1)
}


def picture(shift):
    """A texture [3, H, W] uint8, of which pixel x shows the point x + ``shift`` [H]."""
    rng = np.random.default_rng(0)
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    u += np.broadcast_to(shift, HEIGHT)[:, None]
    colors = [
        sum(
            np.sin(u * rng.uniform(0.05, 1.2) + v * rng.uniform(0.05, 1.2) + rng.uniform(0, 6))
            for _ in range(12)
        )
        for _ in range(3)
    ]
    return np.clip(128 + 20 * np.array(colors), 0, 255).astype(np.uint8)


def pair(disparity):
    """The left and the right picture of it; the right one shows each point further left."""
    return picture(0), picture(disparity)


@pytest.mark.parametrize("side", ["l", "r"])
@pytest.mark.parametrize("disparity", [4.0, 7.3, 12.5, 19.75])
def test_a_wall_is_where_it_is(disparity, side):
    left, right = pair(disparity)
    target, source = (left, right) if side == "l" else (right, left)
    hint = depth_hint(target, source, side, FOCAL)
    assert (hint.shape, hint.dtype) == ((1, HEIGHT, WIDTH), np.float32)
    depth = FOCAL * 0.1 / disparity
    known = hint[hint > 0]
    assert known.size > 0.9 * hint.size - HEIGHT * disparity  # what one camera alone sees
    assert np.median(known) == pytest.approx(depth, rel=0.02)
    assert (np.abs(FOCAL * 0.1 / known - disparity) < 0.25).mean() > 0.9  # pixels


@pytest.mark.parametrize("side", ["l", "r"])
def test_a_road_comes_nearer_from_row_to_row(side):
    disparity = np.linspace(3, 18, HEIGHT)
    left, right = pair(disparity)
    hint = depth_hint(*((left, right) if side == "l" else (right, left)), side, FOCAL)[0]
    for row in range(8, HEIGHT - 8):
        known = hint[row][hint[row] > 0]
        assert known.size > 0.6 * WIDTH
        assert np.median(known) == pytest.approx(FOCAL * 0.1 / disparity[row], rel=0.03)


def test_the_border_that_the_other_camera_does_not_see_is_matched_up_to_it():
    hint = depth_hint(*pair(10.0), "l", FOCAL)[0]
    assert (hint[:, 12:40] > 0).mean() > 0.95


def test_what_cannot_be_matched_is_unknown():
    rng = np.random.default_rng(1)
    grey = np.full((3, HEIGHT, WIDTH), 120, np.uint8)
    noise = rng.integers(0, 256, (2, 3, HEIGHT, WIDTH), np.uint8)
    assert not depth_hint(grey, grey, "l", FOCAL).any()
    assert (depth_hint(*noise, "r", FOCAL) > 0).mean() < 0.1


@pytest.mark.parametrize(("width", "count"), [(320, 48), (640, 80), (1024, 128), (64, 16)])
def test_disparities_reach_the_nearest_depth(width, count):
    focal = KITTI_FOCAL * width
    assert number_of_disparities(focal) == count
    assert focal * 0.1 / count <= NEAREST


def test_the_number_of_threads_changes_nothing():
    left, right = pair(7.3)
    before, hints = cv2.getNumThreads(), []
    for threads in (1, 2, 5):
        cv2.setNumThreads(threads)
        hints.append(depth_hint(left, right, "l", FOCAL).tobytes())
    cv2.setNumThreads(before)
    assert len(set(hints)) == 1


def street_items(streets, lines, source_ids=(-1, 1, "s"), **more):
    return make_items(streets, lines, source_ids, height=64, width=160, depth_hints=True, **more)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("side", ["l", "r"])
def test_hints_of_items_are_the_depth_of_the_street(side, flip, streets):
    (line,) = [each for each in load_split(str(streets / "splits"), "train") if each.side == side][
        :1
    ]
    item = street_items(streets, [line]).item(EPOCHS[flip], 0)
    settings = StreetSettings(
        width=160, height=64, train_drives=2, val_drives=1, test_drives=1, frames=5
    )  # as the fixture's
    (drive,) = (each for each in list_drives(settings) if each.folder == line.folder)
    street = load_street(settings, drive)
    pose = street.poses[line.frame]
    pose = right_camera_pose(pose) if side == "r" else pose
    truth = render_depth(street, line.frame, pose, kitti_camera(160, 64)).reshape(64, 160)
    truth = truth[:, ::-1] if flip else truth
    hint = item["hint"][0] * BASELINE / 0.1
    known = (hint > 0) & (truth < 40)
    assert known.mean() > 0.6
    error = np.abs(hint[known] / truth[known] - 1)
    assert np.median(error) < 0.05
    assert (error < 0.25).mean() > 0.9


def test_a_flip_mirrors_the_hint_and_changes_nothing_else(streets):
    lines = load_split(str(streets / "splits"), "train")[:1]
    straight, flipped = (street_items(streets, lines).item(EPOCHS[flip], 0) for flip in (0, 1))
    np.testing.assert_array_equal(flipped["hint"], straight["hint"][..., ::-1])
    assert flipped["hint"].flags.c_contiguous
    plain = make_items(streets, lines, (-1, 1, "s"), height=64, width=160).item(EPOCHS[1], 0)
    assert flipped.keys() - plain.keys() == {"hint"}
    for key, value in plain.items():
        np.testing.assert_array_equal(flipped[key], value)


def test_hints_follow_the_camera_that_training_takes(streets):
    lines = load_split(str(streets / "splits"), "train")[:1]
    own, published = (
        street_items(streets, lines, ("s",), augment=False, intrinsics_kind=kind).item(0, 0)
        for kind in ("calibration", "published")
    )
    ratio = published["K"][0, 0] / own["K"][0, 0]
    np.testing.assert_allclose(published["hint"], ratio * own["hint"], rtol=1e-5)


@pytest.mark.parametrize("cached", [False, True])
def test_batches_hold_hints_whoever_makes_them(cached, streets, tmp_path):
    items = street_items(streets, load_split(str(streets / "splits"), "train")[:4])
    expected = list(Loader(items, 2, num_workers=0, shuffle=False).batches(1))
    assert [batch["hint"].shape for batch in expected] == [(2, 1, 64, 160)] * 2
    if cached:
        items = with_cache(items, tmp_path / "cache", 1)
    loader = Loader(items, 2, num_workers=2, shuffle=False, threads=items.cached)
    try:
        for batch, wanted in zip_longest(loader.batches(1), expected):
            for key, value in wanted.items():
                np.testing.assert_array_equal(batch[key], value)
    finally:
        loader.close()


def test_hints_of_real_pairs_agree_with_lidar(shared):
    data = shared / "kitti_real"
    lines = load_split(str(data / "splits" / "stereo"), "test")[:4]
    items = make_items(data, lines, ("s",), 96, 320, augment=False, depth_hints=True)
    errors = []
    for index, line in enumerate(lines):
        calibration = read_calibration(data / line.folder.split("/")[0], with_lidar=True)
        sweep = read_sweep(sweep_path(data, line.folder, line.frame))
        truth = project_sweep(sweep, calibration, line.side, forward_depth=False)
        rows, columns = np.nonzero((truth > 0) & (truth < 80))
        hint = items.item(0, index)["hint"][0] * items.baseline_metres / 0.1
        at = rows * 96 // truth.shape[0], columns * 320 // truth.shape[1]
        known = hint[at] > 0
        assert known.mean() > 0.9
        errors.append(np.abs(hint[at] / truth[rows, columns] - 1)[known])
    errors = np.concatenate(errors)
    assert np.median(errors) < 0.05
    assert (errors < 0.25).mean() > 0.85
