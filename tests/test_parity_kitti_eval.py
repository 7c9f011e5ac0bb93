"""The reference check itself: it passes on the published figures, and notices what is off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.parity_kitti_eval import check_kitti_eval

SHARED = Path(__file__).parents[1].parent / "shared"
GOLDEN = SHARED / "golden" / "kitti_eval_seed0.npz"

pytestmark = pytest.mark.skipif(
    not GOLDEN.exists(), reason="needs the published figures in ../shared/golden"
)


@pytest.fixture(scope="module")
def arrays():
    with np.load(GOLDEN, allow_pickle=False) as archive:
        arrays = dict(archive)
    arrays["frames"] = arrays["frames"][:2]  # two frames are enough, and faster
    for key in list(arrays):
        if key.startswith(("pred_disp", "post_processed")) or key.endswith("per_image"):
            arrays[key] = arrays[key][:2]
    for mode in ("mono", "stereo"):
        arrays[f"metrics/{mode}/mean"] = arrays[f"metrics/{mode}/per_image"].mean(axis=0)
    return arrays


def check(arrays, root=SHARED / "kitti_mini"):
    return list(check_kitti_eval(arrays, root))


def test_published_figures(arrays):
    figures = check(arrays)
    assert len(figures) == 2 * 2 * 2 * 2 + 2 * 2 * 7 + 1 + 1
    assert [str(figure) for figure in figures if not figure.ok] == []


@pytest.mark.parametrize(
    "key",
    [
        "drive",
        "frames",
        "lidar/5/cam3/vel_depth_False/index",
        "pred_disp",
        "metrics/mono/mean",
        "post_processed",
        "odom/ate",
    ],
)
def test_missing_array_fails(arrays, key):
    without = {name: array for name, array in arrays.items() if name != key}
    assert any(not figure.ok and key in figure.name for figure in check(without))


def test_wrong_figures_fail(arrays):
    wrong = dict(arrays)
    wrong["lidar/15/cam2/vel_depth_True/depth"] = wrong["lidar/15/cam2/vel_depth_True/depth"] + 1e-3
    wrong["metrics/stereo/per_image"] = wrong["metrics/stereo/per_image"] + 1e-3
    wrong["odom/ate"] = wrong["odom/ate"][:-1]
    off = [figure.name for figure in check(wrong) if not figure.ok]
    assert len(off) == 1 + 7 + 1


def test_missing_drive_fails(arrays, tmp_path):
    assert any(not figure.ok for figure in check(arrays, tmp_path))
