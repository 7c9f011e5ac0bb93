"""Depth of a batch beside its LiDAR: which points, how scaled, under which names."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from datasets.items import stereo_pose
from datasets.splits import SplitLine
from evaluation.ground_truth import CAMERA
from evaluation.metrics import METRIC_NAMES
from training import depth_watch
from training.depth_watch import TAGS, watched_depth

HEIGHT, WIDTH = 100, 200


@pytest.fixture
def scene(monkeypatch):
    """Batches of drives whose depth rises from left to right; drive ``none`` has no LiDAR."""
    truth = np.tile(np.linspace(5, 60, WIDTH, dtype=np.float32), (HEIGHT, 1))
    truth[::2] = 0
    monkeypatch.setattr(depth_watch, "frame_depth", lambda data, line, kind: truth)
    paths = [Path("there"), Path("missing")]
    monkeypatch.setattr(
        depth_watch, "truth_paths", lambda d, lines, k: [paths[n.folder == "none"] for n in lines]
    )
    monkeypatch.setattr(
        depth_watch, "missing_files", lambda given: [p for p in given if p.name == "missing"]
    )
    return np.tile(truth[1], (HEIGHT, 1))


def batch_of(*items):
    """A batch, and the items that it is of, from (folder, side, mirrored)."""
    lines = [SplitLine(folder, 0, side) for folder, side, _ in items]
    poses = np.stack([stereo_pose(side, mirrored) for _, side, mirrored in items])
    batch = {"index": np.arange(len(items)), "T_stereo": poses}
    return batch, SimpleNamespace(lines=lines, data_path=Path())


@pytest.mark.parametrize("side", ["l", "r"])
def test_true_depth_of_any_scale_has_no_error_mirrored_or_not(scene, side):
    batch, items = batch_of(("drive", side, False), ("drive", side, True))
    seen = np.stack([scene, scene[:, ::-1]]) / 7
    watched = watched_depth(seen, batch, items, CAMERA)
    assert (
        tuple(watched)
        == TAGS
        == (*("de/abs_rel", "de/sq_rel", "de/rms", "de/log_rms", "da/a1", "da/a2", "da/a3"),)
    )
    assert len(TAGS) == len(METRIC_NAMES)
    assert watched["de/abs_rel"] == pytest.approx(0, abs=1e-4)
    assert watched["da/a1"] == 1
    wrong = watched_depth(seen[:, :, ::-1], batch, items, CAMERA)
    assert wrong["de/abs_rel"] > 0.5


def test_the_batch_is_scaled_as_a_whole(scene):
    """By one factor, so that two items of unlike scale do not both fit."""
    batch, items = batch_of(("drive", "l", False), ("drive", "l", False))
    assert watched_depth(np.stack([scene, 3 * scene]), batch, items, CAMERA)["da/a1"] < 0.6


def test_points_outside_the_crop_do_not_count(scene):
    batch, items = batch_of(("drive", "l", False))
    depth = scene.copy()
    depth[:40] = 80
    depth[:, :7] = 80
    watched = watched_depth(depth[None], batch, items, CAMERA)
    assert watched["de/abs_rel"] == pytest.approx(0, abs=1e-4)


def test_items_without_lidar_are_left_out(scene):
    batch, items = batch_of(("none", "l", False), ("drive", "l", False))
    depth = np.stack([np.full_like(scene, 1), scene])
    assert watched_depth(depth, batch, items, CAMERA)["de/abs_rel"] == pytest.approx(0, abs=1e-4)
    batch, items = batch_of(("none", "l", False))
    assert watched_depth(depth[:1], batch, items, CAMERA) == {}
