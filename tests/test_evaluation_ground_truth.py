from __future__ import annotations

import os
import zipfile

import numpy as np
import pytest
from PIL import Image

import export_gt_depth
from datasets.kitti import frame_path, improved_depth_path, sweep_path
from datasets.splits import SplitLine
from evaluation import ground_truth, ground_truth_export
from evaluation.ground_truth import (
    CAMERA,
    FORWARD,
    IMPROVED,
    ground_truth_file,
    ground_truth_kind,
    open_ground_truth,
    read_published,
)
from evaluation.ground_truth_export import export_ground_truth, lines_on_disk
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


def stored_depths(target):
    with open_ground_truth(target, LINES) as truth:
        return [truth[index].max() for index in range(len(truth))]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_export_round_trip(kitti, tmp_path, num_workers):
    target = tmp_path / "out" / "gt_depths.npz"
    export_ground_truth(kitti, LINES, FORWARD, target, num_workers)
    with open_ground_truth(target, LINES) as truth:
        assert (truth.kind, len(truth)) == (FORWARD, 3)
        assert truth[1].dtype == np.float32
        assert truth[1].shape == (20, 40)
        assert np.argwhere(truth[1]).tolist() == [[9, 19]]
    assert stored_depths(target) == [1, 2, 3]
    assert list(target.parent.iterdir()) == [target]


def test_camera_depth_is_measured_from_the_camera(kitti, tmp_path):
    export_ground_truth(kitti, LINES, CAMERA, tmp_path / "gt.npz", 0)
    assert stored_depths(tmp_path / "gt.npz") == [0.75, 1.75, 2.75]


class Stopped(Exception):
    """As Ctrl-C would, in the middle of an export."""


def stop_at(frame, monkeypatch):
    """Let exports stop at a frame; returns the list of those exported."""
    exported, frame_depth = [], ground_truth_export.frame_depth

    def counting(data_path, line, kind):
        if line.frame == frame:
            raise Stopped
        exported.append(line.frame)
        return frame_depth(data_path, line, kind)

    monkeypatch.setattr(ground_truth_export, "frame_depth", counting)
    return exported


def test_interrupted_export_goes_on_where_it_stopped(kitti, tmp_path, monkeypatch):
    target = tmp_path / "gt_depths.npz"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(2, patch)
        export_ground_truth(kitti, LINES, FORWARD, target, 0)
    assert not target.exists()
    sweep_path(kitti, "day/drive", 0).unlink()  # is exported already
    exported = stop_at(None, monkeypatch)
    export_ground_truth(kitti, LINES, FORWARD, target, 0)
    assert exported == [2]
    assert stored_depths(target) == [1, 2, 3]


def test_parts_of_other_settings_are_not_reused(kitti, tmp_path, monkeypatch):
    target = tmp_path / "gt_depths.npz"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(2, patch)
        export_ground_truth(kitti, LINES, FORWARD, target, 0)
    sweep = sweep_path(kitti, "day/drive", 0)
    content = sweep.read_bytes()
    sweep.unlink()  # is exported already, but not of this kind
    with pytest.raises(InputError, match="1 of 3 LiDAR sweeps"):
        export_ground_truth(kitti, LINES, CAMERA, target, 0)
    sweep.write_bytes(content)
    export_ground_truth(kitti, LINES, CAMERA, target, 0)
    assert stored_depths(target) == [0.75, 1.75, 2.75]


def other_sweep(path):
    """Replace a sweep by one of the same size and time."""
    facts = path.stat()
    path.write_bytes(np.array([9, 0, 0, 0], "<f4").tobytes())
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda kitti, parts: other_sweep(sweep_path(kitti, "day/drive", 0)), [0]),
        (lambda kitti, parts: (parts / "000001.npz").write_bytes(b""), [1]),
        (lambda kitti, parts: (parts / "000001.npz").write_bytes(bytes(300)), [1]),
        (lambda kitti, parts: os.truncate(parts / "000000.npz", 200), [0]),
        (
            lambda kitti, parts: (kitti / "day" / "calib_cam_to_cam.txt").write_text(
                CAMERAS.replace("40 20", "60 20")
            ),
            [0, 1],
        ),
    ],
)
def test_what_another_file_or_a_damaged_part_would_give_is_exported_again(
    change, again, kitti, tmp_path, monkeypatch
):
    target, parts = tmp_path / "gt_depths.npz", tmp_path / "gt_depths.parts"
    with monkeypatch.context() as patch, pytest.raises(Stopped):
        stop_at(2, patch)
        export_ground_truth(kitti, LINES, FORWARD, target, 0)
    change(kitti, parts)
    exported = stop_at(None, monkeypatch)
    export_ground_truth(kitti, LINES, FORWARD, target, 0)
    assert exported == [*again, 2]
    whole = tmp_path / "whole.npz"
    export_ground_truth(kitti, LINES, FORWARD, whole, 0)
    assert whole.read_bytes() == target.read_bytes()


def test_foreign_folder_is_left_alone(kitti, tmp_path):
    (tmp_path / "gt_depths.parts").mkdir()
    (tmp_path / "gt_depths.parts" / "thesis.tex").touch()
    with pytest.raises(InputError, match=r"gt_depths\.parts"):
        export_ground_truth(kitti, LINES, FORWARD, tmp_path / "gt_depths.npz", 0)
    assert (tmp_path / "gt_depths.parts" / "thesis.tex").exists()


def image(root, line):
    path = frame_path(root, line.folder, line.frame, line.side, "jpg")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 20)).save(path)
    return path


def test_missing_sweeps_and_calibrations_are_counted_before_any_work(kitti, tmp_path):
    lines = [SplitLine("day/drive", frame, "l") for frame in range(8)]
    (kitti / "day" / "calib_velo_to_cam.txt").unlink()
    with pytest.raises(InputError) as refusal:
        export_ground_truth(kitti, lines, FORWARD, tmp_path / "gt.npz", 0)
    message = str(refusal.value)
    assert message.startswith("5 of 8 LiDAR sweeps are missing: ")
    named = [str(sweep_path(kitti, "day/drive", frame)) in message for frame in range(8)]
    assert named == [False] * 3 + [True] * 3 + [False] * 2
    assert "--allow_missing" in message
    assert (
        f"1 of 2 calibration files are missing: {kitti / 'day' / 'calib_velo_to_cam.txt'}"
        in message
    )
    assert not (tmp_path / "gt.parts").exists()


def test_a_part_of_a_split_is_exported_with_the_lines_that_it_holds(kitti, tmp_path):
    target = tmp_path / "gt.npz"
    image(kitti, LINES[0]), image(kitti, LINES[2])  # without an image, a sweep does not count
    gone = SplitLine("day/drive", 9, "l")
    image(kitti, gone)
    wanted = [gone, LINES[2], LINES[1], LINES[0]]
    held = lines_on_disk(kitti, wanted, FORWARD)
    assert held == [LINES[2], LINES[0]]
    export_ground_truth(kitti, held, FORWARD, target, 0, whole=False)
    with pytest.raises(InputError, match=r"partial, it holds 2 of the 4 .*--allow_missing"):
        open_ground_truth(target, wanted)
    with open_ground_truth(target, wanted, allow_missing=True) as truth:
        assert truth.held == [None, 0, None, 1]
        assert (truth[1].max(), truth[3].max()) == (3, 1)
        part = truth.part([3, 1])
        assert (len(part), part[0].max(), part[1].max()) == (2, 1, 3)
    # To a split of these lines it is whole, in whatever order.
    with open_ground_truth(target, [LINES[0], LINES[2]]) as truth:
        assert (truth[0].max(), truth[1].max()) == (1, 3)
    for allow_missing in (False, True):
        with pytest.raises(InputError, match="1 of them, as day/drive 0 l, are not in the split"):
            open_ground_truth(target, [LINES[2], LINES[1]], allow_missing=allow_missing)


def test_nothing_on_disk_is_refused(kitti):
    image(kitti, LINES[0])
    sweep_path(kitti, "day/drive", 0).unlink()
    with pytest.raises(InputError, match="of none of the 3 test images"):
        lines_on_disk(kitti, LINES, FORWARD)


def test_a_part_does_not_replace_the_whole(kitti, tmp_path):
    target = tmp_path / "gt.npz"
    export_ground_truth(kitti, LINES[:1], FORWARD, target, 0, whole=False)
    export_ground_truth(kitti, LINES, FORWARD, target, 0)
    with pytest.raises(InputError, match=r"gt\.npz: holds more images than the 2 .*--gt_path"):
        export_ground_truth(kitti, LINES[:2], FORWARD, target, 0, whole=False)
    assert stored_depths(target) == [1, 2, 3]
    published_file(target, [np.ones((2, 2), np.float32)] * 3)
    with pytest.raises(InputError, match=r"gt\.npz: holds more images"):
        export_ground_truth(kitti, LINES[:2], FORWARD, target, 0, whole=False)


def test_a_file_that_does_not_say_its_lines_must_be_whole(tmp_path):
    maps = {f"{index:06d}": np.zeros((2, 2), np.float32) for index in range(2)}
    np.savez(tmp_path / "gt.npz", kind=FORWARD, **maps)
    with pytest.raises(InputError, match=r"holds 2 images.*has 3"):
        open_ground_truth(tmp_path / "gt.npz", LINES, allow_missing=True)
    with open_ground_truth(tmp_path / "gt.npz", LINES[:2]) as truth:
        assert truth.held == [0, 1]
    np.savez(tmp_path / "gt.npz", kind=FORWARD, lines=np.array(["day/drive 0 l"]), **maps)
    with pytest.raises(InputError, match="2 maps of 1 images"):
        open_ground_truth(tmp_path / "gt.npz", LINES)


def test_ground_truth_of_a_resized_copy_has_the_calibrations_size(kitti, tmp_path):
    for line in LINES:
        Image.new("RGB", (20, 10)).save(image(kitti, line))
    assert lines_on_disk(kitti, LINES, FORWARD) == LINES
    export_ground_truth(kitti, LINES, FORWARD, tmp_path / "gt.npz", 0)
    with open_ground_truth(tmp_path / "gt.npz", LINES) as truth:
        assert truth[0].shape == (20, 40)


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


@pytest.mark.parametrize("place", ["day/drive", "val/drive", "train/drive"])
def test_command_line_exports_improved_depth(place, tmp_path, monkeypatch, capsys):
    split = tmp_path / "eigen_benchmark"
    split.mkdir()
    (split / "test_files.txt").write_text("day/drive 5 l\n")
    below = "proj_depth/groundtruth/image_02/0000000005.png"
    path = tmp_path / place / below
    path.parent.mkdir(parents=True)
    Image.fromarray(np.array([[0, 512]], np.uint16)).save(path)
    arguments = ["--data_path", str(tmp_path), "--split", str(split), "--num_workers", "0"]
    monkeypatch.setattr("sys.argv", ["export_gt_depth.py", *arguments])
    export_gt_depth.main()
    with open_ground_truth(split / "gt_depths.npz", [SplitLine("day/drive", 5, "l")]) as truth:
        assert truth.kind == IMPROVED
        assert truth[0].tolist() == [[0, 2]]
    assert "1 images" in capsys.readouterr().out


def test_command_line_exports_what_is_there(kitti, tmp_path, monkeypatch, capsys):
    (tmp_path / "test_files.txt").write_text("".join(f"day/drive {n} l\n" for n in (9, 2, 1)))
    image(kitti, LINES[1])
    arguments = ["--data_path", str(kitti), "--split", str(tmp_path), "--num_workers", "0"]
    monkeypatch.setattr("sys.argv", ["export_gt_depth.py", *arguments])
    with pytest.raises(InputError, match="1 of 3 LiDAR sweeps are missing"):
        export_gt_depth.main()
    monkeypatch.setattr("sys.argv", ["export_gt_depth.py", *arguments, "--allow_missing"])
    export_gt_depth.main()
    out = capsys.readouterr().out
    assert f"{tmp_path}: 1 of 3 images" in out
    assert "gt_depths.npz, with 1 of 3 images" in out
    wanted = [SplitLine("day/drive", frame, "l") for frame in (9, 2, 1)]
    with open_ground_truth(tmp_path / "gt_depths.npz", wanted, allow_missing=True) as truth:
        assert truth.held == [None, None, 0]


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
    with open_ground_truth(path, LINES[:2], IMPROVED) as truth:
        assert truth.kind == IMPROVED
        for got, expected in zip((truth[0], truth[1]), maps):
            assert got.dtype == np.float32
            np.testing.assert_array_equal(got, expected)
    with pytest.raises(InputError, match=r"holds 2 images.*has 3"):
        open_ground_truth(path, LINES)


def test_published_maps_of_one_size_need_no_pickle(tmp_path):
    maps = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    np.savez_compressed(tmp_path / "gt_depths.npz", data=maps)
    with open_ground_truth(tmp_path / "gt_depths.npz", LINES[:2]) as truth:
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
        open_ground_truth(path, LINES[:2])
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("maps", [[np.ones(3), np.ones((2, 2))], [1.5, np.ones((2, 2))], ["a", 2]])
def test_a_published_file_of_something_else_is_refused(maps, tmp_path):
    path = published_file(tmp_path / "gt_depths.npz", maps)
    with pytest.raises(InputError, match=r"depth maps|cannot be read"):
        open_ground_truth(path, LINES[:2])


def test_wrong_files_are_refused(tmp_path):
    path = tmp_path / "gt_depths.npz"
    with pytest.raises(InputError, match=r"no ground truth there.*export_gt_depth\.py"):
        open_ground_truth(path, LINES[:2])
    path.write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(InputError, match="cannot be read"):
        open_ground_truth(path, LINES[:2])
    path.touch()
    np.savez(path, **{"kind": "velodyne_forward", "000000": np.zeros((2, 2), np.float32)})
    with pytest.raises(InputError, match=r"holds 1 images.*has 2"):
        open_ground_truth(path, LINES[:2])
    np.savez(path, **{"kind": "radar", "000000": np.zeros((2, 2), np.float32)})
    with pytest.raises(InputError, match="radar"):
        open_ground_truth(path, LINES[:1])
    np.savez(path, **{"kind": "velodyne_forward", "000001": np.zeros((2, 2), np.float32)})
    with open_ground_truth(path, LINES[:1]) as truth, pytest.raises(InputError, match="image 0"):
        truth[0]


def own_file(path, **content):
    maps = {f"{index:06d}": np.full((2, 3), 5, np.float32) for index in range(2)}
    np.savez(
        path, **{"kind": FORWARD, "lines": ["day/drive 0 l", "day/drive 1 l"], **maps, **content}
    )
    return path


UNKNOWN = np.array([[5, 0, -1], [np.nan, np.inf, -np.inf]], np.float32)


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_whatever_means_unknown_becomes_0(published, dtype, tmp_path):
    """As 1e10 and the largest float, which programs write for infinity, do."""
    values = UNKNOWN.astype(dtype)
    if np.dtype(dtype).itemsize > 2:
        values[0, 1:] = 1e10, np.finfo(np.float32).max
    path = tmp_path / "gt_depths.npz"
    if published:
        published_file(path, [values, np.ones((3, 2), dtype)])
    else:
        own_file(path, **{"000000": values})
    with open_ground_truth(path, LINES[:2]) as truth:
        assert truth[0].dtype == np.float32
        assert truth[0].tolist() == [[5, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    "values",
    [
        np.ones((2, 3), bool),
        np.ones((2, 3), complex),
        np.ones((2, 3), np.uint16),
        np.full((2, 3), "5.0"),
        np.full((2, 3), None),
        np.float32(5),
        np.ones(6, np.float32),
        np.ones((1, 2, 3), np.float32),
        np.ones((2, 3, 1), np.float32),
        np.ones((0, 3), np.float32),
        np.ones((2, 0), np.float32),
        np.zeros((2, 3), [("depth", "f4")]),
    ],
)
def test_what_is_no_depth_map_is_refused(values, tmp_path):
    path = own_file(tmp_path / "gt.npz", **{"000001": values})
    with open_ground_truth(path, LINES[:2]) as truth:
        assert truth[0].max() == 5
        with pytest.raises(InputError, match=r"gt\.npz: image 0*1 (is no|has no|cannot)"):
            truth[1]
    published_file(path, [np.ones((2, 3), np.float32), values])
    refused = pytest.raises(InputError, match=r"gt\.npz: ")
    with refused, open_ground_truth(path, LINES[:2]) as truth:
        truth[1]


@pytest.mark.parametrize("kept", [0, 1, 4, 100, 400, -100, -1])
def test_empty_and_broken_archives_are_refused(kept, tmp_path):
    path = own_file(tmp_path / "gt.npz")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"gt\.npz: .*export_gt_depth"):
        open_ground_truth(path, LINES[:2])


def test_archives_of_nothing_or_of_something_else_are_refused(tmp_path):
    path = tmp_path / "gt.npz"
    np.savez(path)
    with pytest.raises(InputError, match="neither this project's"):
        open_ground_truth(path, LINES[:2])
    with path.open("wb") as file:
        np.save(file, np.ones((2, 3)))
    with pytest.raises(InputError, match="neither this project's"):
        open_ground_truth(path, LINES[:2])
    for key in ("kind", "lines", "000000"):
        with zipfile.ZipFile(own_file(path)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in {**members, f"{key}.npy": b"text"}.items():
                archive.writestr(name, content)
        refused = pytest.raises(InputError, match=rf"gt\.npz: .*{key} cannot be read")
        with refused, open_ground_truth(path, LINES[:2]) as truth:
            truth[0]


def test_a_flipped_bit_in_a_map_is_noticed(tmp_path):
    path = own_file(tmp_path / "gt.npz", **{"000001": np.full((2, 3), 7, np.float32)})
    content = path.read_bytes()
    place = content.index(np.full(6, 7, np.float32).tobytes())
    path.write_bytes(content[:place] + b"\1" + content[place + 1 :])
    refused = pytest.raises(InputError, match="image 000001 cannot be read")
    with open_ground_truth(path, LINES[:2]) as truth, refused:
        truth[1]


def test_a_map_that_unpacks_to_more_than_any_is_refused_unread(tmp_path, monkeypatch):
    path = own_file(tmp_path / "gt.npz", **{"000001": np.ones((20, 30), np.float32)})
    monkeypatch.setattr(ground_truth, "MOST_MAP_BYTES", 1000)
    refused = pytest.raises(InputError, match="2528 bytes, and at most 1000")
    with open_ground_truth(path, LINES[:2]) as truth, refused:
        truth[1]


def test_a_published_file_that_unpacks_out_of_proportion_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "gt.npz"
    np.savez_compressed(path, data=np.zeros((2, 200, 300), np.float32))
    assert len(read_published(path)) == 2
    monkeypatch.setattr(ground_truth, "MOST_MAP_BYTES", 1000)
    with pytest.raises(InputError, match=r"gt\.npz: .* bytes unpack to 480128"):
        read_published(path)


def test_two_maps_of_one_image_are_refused(tmp_path):
    path = own_file(tmp_path / "gt.npz", lines=["day/drive 0 l", "day/drive 0 l"])
    with pytest.raises(InputError, match="two maps of day/drive 0 l"):
        open_ground_truth(path, LINES[:2], allow_missing=True)
    with open_ground_truth(path, [LINES[0], LINES[0]]) as truth:  # a list that names it twice
        assert len(truth) == 2


@pytest.mark.parametrize(
    "points", [[], [[-1, 0, 0, 0]], [[np.nan] * 4], [[np.inf, 0, 0, 0]], [[1, 1e30, 0, 0]]]
)
def test_a_sweep_without_a_point_in_the_picture_is_no_truth(points, kitti, tmp_path):
    sweep = sweep_path(kitti, "day/drive", 1)
    sweep.write_bytes(np.array(points, "<f4").tobytes())
    with pytest.raises(InputError, match=r"0000000001\.bin: (is empty|gives no depth)"):
        export_ground_truth(kitti, LINES, FORWARD, tmp_path / "gt.npz", 0)


def test_improved_depth_of_nothing_is_no_truth(tmp_path):
    path = improved_depth_path(tmp_path, "day/drive", 0, "l")
    path.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((2, 3), np.uint16)).save(path)
    with pytest.raises(InputError, match=r"0000000000\.png: gives no depth"):
        ground_truth.frame_depth(tmp_path, LINES[0], IMPROVED)
