from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

import export_gt_depth
from datasets.kitti import improved_depth_path, sweep_path
from datasets.splits import SplitLine
from evaluation import ground_truth
from evaluation.ground_truth import (
    CAMERA,
    FORWARD,
    IMPROVED,
    export_ground_truth,
    ground_truth_file,
    ground_truth_kind,
    open_ground_truth,
)
from system.errors import InputError

LINES = [SplitLine("day/drive", frame, "l") for frame in range(3)]
CAMERAS = """S_rect_02: 40 20
S_rect_03: 40 20
R_rect_00: 1 0 0 0 1 0 0 0 1
P_rect_02: 10 0 20 0 0 10 10 0 0 0 1 0
P_rect_03: 10 0 20 -5 0 10 10 0 0 0 1 0
"""


@pytest.fixture
def kitti(tmp_path):
    """A day with one drive of three frames; frame i has one point i + 1 m ahead."""
    root = tmp_path / "kitti"
    for line in LINES:
        path = sweep_path(root, line.folder, line.frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(np.array([line.frame + 1, 0, 0, 0], "<f4").tobytes())
    (root / "day" / "calib_cam_to_cam.txt").write_text(CAMERAS)
    (root / "day" / "calib_velo_to_cam.txt").write_text("R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 -0.25\n")
    return root


def stored_depths(target, count=3):
    with open_ground_truth(target, count) as truth:
        return [truth[index].max() for index in range(count)]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_export_round_trip(kitti, tmp_path, num_workers):
    target = tmp_path / "out" / "gt_depths.npz"
    export_ground_truth(kitti, LINES, FORWARD, target, num_workers)
    with open_ground_truth(target, 3) as truth:
        assert (truth.kind, len(truth)) == (FORWARD, 3)
        assert truth[1].dtype == np.float32
        assert truth[1].shape == (20, 40)
        assert np.argwhere(truth[1]).tolist() == [[9, 19]]
    assert stored_depths(target) == [1, 2, 3]
    assert list(target.parent.iterdir()) == [target]


def test_camera_depth_is_measured_from_the_camera(kitti, tmp_path):
    export_ground_truth(kitti, LINES, CAMERA, tmp_path / "gt.npz", 0)
    assert stored_depths(tmp_path / "gt.npz") == [0.75, 1.75, 2.75]


def test_interrupted_export_goes_on_where_it_stopped(kitti, tmp_path, monkeypatch):
    target = tmp_path / "gt_depths.npz"
    last = sweep_path(kitti, "day/drive", 2)
    content = last.read_bytes()
    last.unlink()
    with pytest.raises(InputError, match=last.name):
        export_ground_truth(kitti, LINES, FORWARD, target, 0)
    assert not target.exists()

    last.write_bytes(content)
    exported = []
    frame_depth = ground_truth.frame_depth

    def counting(data_path, line, kind):
        exported.append(line.frame)
        return frame_depth(data_path, line, kind)

    monkeypatch.setattr(ground_truth, "frame_depth", counting)
    export_ground_truth(kitti, LINES, FORWARD, target, 0)
    assert exported == [2]
    assert stored_depths(target) == [1, 2, 3]


def test_parts_of_other_settings_are_not_reused(kitti, tmp_path):
    target = tmp_path / "gt_depths.npz"
    sweep = sweep_path(kitti, "day/drive", 2)
    content = sweep.read_bytes()
    sweep.unlink()
    with pytest.raises(InputError):
        export_ground_truth(kitti, LINES, FORWARD, target, 0)
    sweep.write_bytes(content)
    export_ground_truth(kitti, LINES, CAMERA, target, 0)
    assert stored_depths(target) == [0.75, 1.75, 2.75]


def test_foreign_folder_is_left_alone(kitti, tmp_path):
    (tmp_path / "gt_depths.parts").mkdir()
    (tmp_path / "gt_depths.parts" / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"gt_depths\.parts"):
        export_ground_truth(kitti, LINES, FORWARD, tmp_path / "gt_depths.npz", 0)
    assert (tmp_path / "gt_depths.parts" / "thesis.tex").exists()


def test_unwritable_place_is_said_before_any_work(kitti, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file.*--gt_path"):
        export_ground_truth(kitti, LINES, FORWARD, tmp_path / "file" / "gt.npz", 0)
    with pytest.raises(InputError, match="--data_path"):
        export_ground_truth(tmp_path / "nowhere", LINES, FORWARD, tmp_path / "gt.npz", 0)


def test_kind_follows_the_split():
    assert ground_truth_kind("eigen", camera_depth=False) == FORWARD
    assert ground_truth_kind("eigen", camera_depth=True) == CAMERA
    assert ground_truth_kind("eigen_benchmark", camera_depth=False) == IMPROVED
    with pytest.raises(InputError, match="--camera_depth"):
        ground_truth_kind("eigen_benchmark", camera_depth=True)


def test_command_line_exports_improved_depth(tmp_path, monkeypatch, capsys):
    split = tmp_path / "eigen_benchmark"
    split.mkdir()
    (split / "test_files.txt").write_text("day/drive 5 l\n")
    path = improved_depth_path(tmp_path, "day/drive", 5, "l")
    path.parent.mkdir(parents=True)
    Image.fromarray(np.array([[0, 512]], np.uint16)).save(path)
    arguments = ["--data_path", str(tmp_path), "--split", str(split), "--num_workers", "0"]
    monkeypatch.setattr("sys.argv", ["export_gt_depth.py", *arguments])
    export_gt_depth.main()
    with open_ground_truth(split / "gt_depths.npz", 1) as truth:
        assert truth.kind == IMPROVED
        assert truth[0].tolist() == [[0, 2]]
    assert "1 images" in capsys.readouterr().out


def test_place_of_the_file(tmp_path):
    assert ground_truth_file(str(tmp_path), None) == tmp_path / "gt_depths.npz"
    assert ground_truth_file("eigen", tmp_path / "my.npz") == tmp_path / "my.npz"
    assert ground_truth_file("eigen", tmp_path) == tmp_path / "gt_depths.npz"


def published_file(path, maps):
    """As the published export writes it: np.savez_compressed of an array of arrays."""
    array = np.empty(len(maps), object)
    array[:] = maps
    np.savez_compressed(path, data=array)
    return path


def test_a_file_of_the_published_export_is_read(tmp_path):
    maps = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((3, 2), np.float64)]
    path = published_file(tmp_path / "gt_depths.npz", maps)
    with open_ground_truth(path, 2, IMPROVED) as truth:
        assert truth.kind == IMPROVED
        for got, expected in zip((truth[0], truth[1]), maps):
            assert got.dtype == np.float32
            np.testing.assert_array_equal(got, expected)
    with pytest.raises(InputError, match=r"holds 2 images.*has 3"):
        open_ground_truth(path, 3)


def test_published_maps_of_one_size_need_no_pickle(tmp_path):
    maps = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    np.savez_compressed(tmp_path / "gt_depths.npz", data=maps)
    with open_ground_truth(tmp_path / "gt_depths.npz", 2) as truth:
        np.testing.assert_array_equal(truth[1], maps[1])


class Attack:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_a_published_file_that_asks_to_run_code_is_refused(tmp_path):
    maps = [np.ones((2, 2)), Attack(tmp_path / "trace")]
    path = published_file(tmp_path / "gt_depths.npz", maps)
    with pytest.raises(InputError, match=r"gt_depths\.npz: refused, its pickle asks for .*mkdir"):
        open_ground_truth(path, 2)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("maps", [[np.ones(3), np.ones((2, 2))], [1.5, np.ones((2, 2))], ["a", 2]])
def test_a_published_file_of_something_else_is_refused(maps, tmp_path):
    path = published_file(tmp_path / "gt_depths.npz", maps)
    with pytest.raises(InputError, match=r"depth maps|cannot be read"):
        open_ground_truth(path, 2)


def test_wrong_files_are_refused(tmp_path):
    path = tmp_path / "gt_depths.npz"
    with pytest.raises(InputError, match=r"no ground truth there.*export_gt_depth\.py"):
        open_ground_truth(path, 2)
    path.write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(InputError, match="cannot be read"):
        open_ground_truth(path, 2)
    path.touch()
    np.savez(path, **{"kind": "velodyne_forward", "000000": np.zeros((2, 2), np.float32)})
    with pytest.raises(InputError, match=r"holds 1 images.*has 2"):
        open_ground_truth(path, 2)
    np.savez(path, **{"kind": "radar", "000000": np.zeros((2, 2), np.float32)})
    with pytest.raises(InputError, match="radar"):
        open_ground_truth(path, 1)
    np.savez(path, **{"kind": "velodyne_forward", "000001": np.zeros((2, 2), np.float32)})
    with open_ground_truth(path, 1) as truth, pytest.raises(InputError, match="image 0"):
        truth[0]
