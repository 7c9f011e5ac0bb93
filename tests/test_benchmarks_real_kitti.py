"""Real frames, whatever part of KITTI is there: lists, table, and the whole way on a street."""

from __future__ import annotations

import json
import runpy
import shlex
import time

import numpy as np
import pytest
from PIL import Image

from benchmarks import real_kitti
from benchmarks.kitti_lists import (
    DERIVED,
    GIVEN,
    MODES,
    PUBLISHED,
    DriveFrames,
    Plan,
    derive,
    find_drives,
    make_plan,
    published_lists_if_whole,
    seen_as_neighbours,
)
from benchmarks.kitti_table import commands_of, curves_of, means_of, rows_of, table
from benchmarks.real_kitti import (
    RealKittiOptions,
    make_points,
    saved_weights,
    training_words,
)
from datasets.splits import SplitLine, load_split
from options import TrainOptions, parse
from system.errors import InputError
from tools.stages import ROOT

NEW, OTHER_NEW = "2011_10_01/2011_10_01_drive_3000_sync", "2011_10_01/2011_10_01_drive_3001_sync"
EIGEN = load_split("eigen", "test")


def drive(folder, left=(), right=(), sweeps=()):
    return DriveFrames(folder, {"l": frozenset(left), "r": frozenset(right)}, frozenset(sweeps))


def touch_drive(root, drive, calibrations=("cam_to_cam", "velo_to_cam")):
    for folder, numbers, ending in (
        ("image_02", drive.images["l"], "jpg"),
        ("image_03", drive.images["r"], "png"),
        ("velodyne_points", drive.sweeps, "bin"),
    ):
        place = root / drive.folder / folder / "data"
        place.mkdir(parents=True)
        for number in numbers:
            (place / f"{number:010d}.{ending}").touch()
    for name in calibrations:
        (root / drive.folder).with_name(f"calib_{name}.txt").touch()


def targets(lines):
    return [(line.frame, line.side) for line in lines]


def test_an_item_needs_its_neighbours_and_its_other_camera():
    some = drive(NEW, left=[0, 1, 2, 5], right=[1, 5])
    assert targets(some.lines(MODES["S"])) == [(1, "l"), (1, "r"), (5, "l"), (5, "r")]
    assert targets(some.lines(MODES["M"])) == [(1, "l")]
    assert targets(some.lines(MODES["MS"])) == [(1, "l")]
    assert targets(some.lines(MODES["M"], without=[2])) == []


def test_drives_are_found_with_what_they_hold(tmp_path):
    first = drive(NEW, left=[0, 1], right=[1], sweeps=[1])
    touch_drive(tmp_path, first)
    assert find_drives(tmp_path) == [first]


def test_sweeps_without_a_calibrated_lidar_do_not_count(tmp_path, caplog):
    touch_drive(tmp_path, drive(NEW, left=[0, 1], sweeps=[1]), calibrations=["cam_to_cam"])
    touch_drive(tmp_path, drive("a/b", left=[0]), calibrations=[])
    assert find_drives(tmp_path) == [drive(NEW, left=[0, 1])]
    assert "1 drives are left out, as a/b" in caplog.text


def test_a_folder_without_drives_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no drive with a calibration"):
        find_drives(tmp_path)


def test_the_last_fifth_of_the_sweeps_is_held_out():
    frames = range(50)
    test, parts = derive([drive(NEW, frames, frames, sweeps=range(0, 50, 5))])
    assert test == [SplitLine(NEW, 40, "l"), SplitLine(NEW, 45, "l")]
    # MS takes no held-out frame as a neighbour either.
    used = [line.frame for part in parts["MS"].values() for line in part]
    assert max(used) == 38
    assert max(line.frame for part in parts["S"].values() for line in part) == 39


def test_validation_is_every_tenth_frame_with_both_cameras():
    frames = range(50)
    _, parts = derive([drive(NEW, frames, frames, sweeps=range(0, 50, 5))])
    train, val = targets(parts["S"]["train"]), targets(parts["S"]["val"])
    assert val == [(frame, side) for frame in (9, 19, 29, 39) for side in "lr"]
    assert not set(train) & set(val)
    assert len(train) + len(val) == 80


def test_eigen_drives_are_held_out_whole_where_others_are_there():
    folder = EIGEN[0].folder
    listed = [line.frame for line in EIGEN if line.folder == folder]
    frames = range(max(listed) + 1)
    eigen, other = drive(folder, frames, frames, listed[:3]), drive(NEW, range(9), range(9), [8])
    test, parts = derive([eigen, other])
    assert test == [SplitLine(folder, frame, "l") for frame in listed[:3]]
    trained = [line for lists in parts.values() for part in lists.values() for line in part]
    assert {line.folder for line in trained} == {NEW}
    assert max(line.frame for line in trained) == 8  # nothing of it is tested on


def test_an_eigen_drive_alone_is_split():
    folder = EIGEN[0].folder
    frames = range(100)
    test, parts = derive([drive(folder, frames, frames, sweeps=range(0, 100, 10))])
    assert test == [SplitLine(folder, 80, "l"), SplitLine(folder, 90, "l")]
    assert max(line.frame for part in parts["S"].values() for line in part) == 79


def test_frames_without_any_sweep_cannot_be_measured():
    with pytest.raises(InputError, match="no frame of the left camera has a LiDAR sweep"):
        derive([drive(NEW, range(9), range(9))])


def whole_kitti():
    """Every file that the published lists name."""
    images, sweeps = {}, {}
    for line in EIGEN:
        images.setdefault(line.folder, {"l": set(), "r": set()})["l"].add(line.frame)
        sweeps.setdefault(line.folder, set()).add(line.frame)
    for part in ("train", "val"):
        for line in load_split("eigen_zhou", part):
            sides = images.setdefault(line.folder, {"l": set(), "r": set()})
            for frames in sides.values():
                frames.update(range(line.frame - 1, line.frame + 2))
    return [drive(f, *sides.values(), sweeps.get(f, ())) for f, sides in sorted(images.items())]


def test_the_whole_of_kitti_takes_the_published_lists():
    drives = whole_kitti()
    plan = published_lists_if_whole(drives)
    assert plan.source == PUBLISHED
    assert set(plan.splits.values()) == {"eigen_zhou"}
    assert plan.tests["MS"] == {"eigen": "eigen"}
    train = load_split("eigen_zhou", "train")[0]
    for less in (train.folder, EIGEN[-1].folder):
        assert published_lists_if_whole([each for each in drives if each.folder != less]) is None


def write_lists(root, name, **parts):
    (root / name).mkdir(parents=True, exist_ok=True)
    for part, frames in parts.items():
        text = "".join(f"{NEW} {frame} l\n" for frame in frames)
        (root / name / f"{part}_files.txt").write_text(text)


def test_lists_beside_the_data_come_first_and_lend_their_tests(tmp_path):
    touch_drive(tmp_path, drive(NEW, range(20), range(20), range(20)))
    splits = tmp_path / "splits"
    write_lists(splits, "stereo", train=[1, 2], val=[3], test=[10, 11])
    write_lists(splits, "mono_stereo", train=[4, 10], val=[5])
    plan = make_plan(tmp_path, find_drives(tmp_path), tmp_path / "out")
    assert plan.source == GIVEN
    assert plan.splits == {
        "S": str(splits / "stereo"),
        "MS": str(splits / "mono_stereo"),
    }
    assert plan.tests["S"] == {"stereo": str(splits / "stereo")}
    # Frame 10 is a target of MS; frame 11 is a neighbour of one.
    assert list(plan.tests["MS"]) == ["stereo_without_MS"]
    assert targets(load_split(plan.tests["MS"]["stereo_without_MS"], "test")) == [(11, "l")]
    assert seen_as_neighbours("MS", plan, "stereo_without_MS") == 1
    assert seen_as_neighbours("S", plan, "stereo") == 0


def test_derived_lists_are_written_and_the_same_again(tmp_path):
    touch_drive(tmp_path, drive(NEW, range(30), (), range(30)))
    touch_drive(tmp_path, drive(OTHER_NEW, range(5)))
    drives = find_drives(tmp_path)
    plan = make_plan(tmp_path, drives, tmp_path / "out")
    assert (plan.source, list(plan.splits)) == (DERIVED, ["M"])
    assert targets(load_split(plan.tests["M"]["test"], "test")) == [(f, "l") for f in range(24, 30)]
    before = {path: path.read_text() for path in (tmp_path / "out").rglob("*.txt")}
    assert make_plan(tmp_path, drives, tmp_path / "out") == plan
    assert {path: path.read_text() for path in (tmp_path / "out").rglob("*.txt")} == before


def test_no_run_is_an_error(tmp_path):
    touch_drive(tmp_path, drive(NEW, [1, 5, 9], (), [1, 5, 9]))
    with pytest.raises(InputError, match="nothing to train on"):
        make_plan(tmp_path, find_drives(tmp_path), tmp_path / "out")


def test_the_real_frames_are_never_tested_and_trained_on(shared, tmp_path):
    data = shared / "kitti_real"
    if not data.is_dir():
        pytest.skip("needs `shared/kitti_real`, real KITTI frames")
    drives = find_drives(data)
    given = make_plan(data, drives, tmp_path / "given")
    assert list(given.splits) == list(MODES)
    assert set(given.tests["MS"]) == {"stereo", "mono"}
    for run, tests in given.tests.items():
        trained = {(x.folder, x.frame) for x in load_split(given.splits[run], "train")}
        for split in tests.values():
            tested = {(x.folder, x.frame) for x in load_split(split, "test")}
            assert tested
            assert not tested & trained
    test, parts = derive(drives)
    assert {line.folder for line in test} <= {line.folder for line in EIGEN}
    assert set(parts) == set(MODES)
    for lists in parts.values():
        assert not {x.folder for x in lists["train"]} & {x.folder for x in test}


def point(run, seed, steps, abs_rel, test="stereo"):
    metrics = {test: {"abs_rel": abs_rel, "sq_rel": 2.0, "rmse": 7.0, "a1": 0.7}}
    command = f"python -m benchmarks.real_kitti --runs {run} --seeds {seed} --steps {steps}"
    more = {"train_seconds": 100.0, "command": command}
    return {"run": run, "seed": seed, "steps": steps, **more, "metrics": metrics}


def test_the_table_has_the_last_steps_the_means_and_the_curve():
    points = [point("S", 0, 10, 0.5), point("S", 0, 20, 0.2), point("S", 1, 20, 0.3)]
    rows = rows_of(points)
    means = means_of(rows)
    lists = {"train": 104, "test": {"stereo": 13}, "seen_as_neighbours": {"stereo": 2}}
    result = {
        "rows": rows,
        "means": means,
        "machine": {"processor": "Some CPU", "cores": 2, "paddle": "3.3.1"},
        "lists": {"source": GIVEN, "runs": {"S": lists, "M": lists}},
        "commands": commands_of(points[1:]),
    }
    lines = table(result).splitlines()
    assert "| S | stereo | 0 | 20 | 100 | 0.200 | 7.000 | 0.700 |" in lines
    assert "| S | stereo | mean | 20 | 100 | 0.250 | 7.000 | 0.700 |" in lines
    assert "| 10 | 0.500 | 7.000 | 0.700 |" in lines
    assert not [line for line in lines if line.startswith("| S | stereo | 0 | 10")]
    assert lines[-1] == "    python -m benchmarks.real_kitti --runs S --seeds 0 1 --steps 20"
    notes = [line for line in lines if "2 of stereo are next to a training frame in time" in line]
    assert [note.split(":")[0] for note in notes] == ["- S"]  # of M there is no row
    assert "S on stereo, mean of seeds 0, 1:" in lines
    assert list(curves_of(means)[("S", "stereo")]) == [10, 20]


def test_training_takes_the_epochs_that_the_steps_need_at_one_rate(tmp_path):
    options = RealKittiOptions(data_path=tmp_path, out=tmp_path / "out", steps=300)
    words = training_words(options, ["--learning_rate", "3e-4"], "MS", 2, "lists", items=104)
    training = parse(TrainOptions, words)
    assert training.source_ids == (-1, 1, "s")
    assert (training.num_epochs, training.scheduler_step_size) == (12, 12)
    assert (training.height, training.width, training.batch_size) == (96, 320, 4)
    assert (training.seed, training.learning_rate) == (2, 3e-4)
    assert training.log_dir / training.model_name == tmp_path / "out" / "models" / "MS_seed2"


def test_points_end_with_the_last_step(tmp_path):
    assert RealKittiOptions(data_path=tmp_path, steps=300).points == [300]
    assert RealKittiOptions(data_path=tmp_path, steps=300, every=100).points == [100, 200, 300]
    assert RealKittiOptions(data_path=tmp_path, steps=250, every=100).points == [100, 200, 250]
    with pytest.raises(InputError, match="--every 400: is more than --steps 300"):
        RealKittiOptions(data_path=tmp_path, steps=300, every=400)


def run_here(arguments):
    """A stage as :func:`tools.stages.run_stage` runs it, without a process of its own."""
    program, *words = map(str, arguments)
    start = time.monotonic()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr("sys.argv", [program, *words])
        runpy.run_path(str(ROOT / program), run_name="__main__")
    assert end.value.code == 0
    return time.monotonic() - start


def test_from_frames_to_a_table_and_a_sheet_and_again(streets, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(real_kitti, "run_stage", run_here)
    # The drives of a street without its lists, as a part of KITTI has none.
    data, out = tmp_path / "kitti", tmp_path / "out"
    data.mkdir()
    day = next(path for path in streets.iterdir() if path.name[0].isdigit())
    (data / day.name).symlink_to(day)
    line = f"--data_path {data} --out {out} --seeds 5 --height 64 --width 64 --batch_size 2 "
    line += "--num_workers 0 --pictures 2"
    extras = "-- --eager --log_frequency 1"
    real_kitti.main(shlex.split(f"{line} --runs S --steps 2 --every 1 {extras}"))
    result = json.loads((out / "result.json").read_text())
    assert [(row["run"], row["steps"]) for row in result["rows"]] == [("S", 1), ("S", 2)]
    assert all(0 < row["metrics"]["abs_rel"] < 5 for row in result["rows"])
    assert result["lists"]["source"] == DERIVED
    assert sum(result["shares_of_time"].values()) == pytest.approx(1, abs=1e-3)
    text = (out / "result.json").read_text() + (out / "table.md").read_text()
    assert str(tmp_path) not in text
    assert (out / "table.md").read_text() in capsys.readouterr().out
    sheet = np.asarray(Image.open(out / "sheet.png"))
    assert sheet.std() > 30
    assert (out / "curve.png").stat().st_size > 0
    assert not list(data.rglob("*.npz"))
    # Again: all that is there is kept, and other settings are not mixed with them.
    monkeypatch.setattr(real_kitti, "run_stage", lambda words: pytest.fail(f"ran {words}"))
    real_kitti.main(shlex.split(f"{line} --runs S --steps 2 --every 1 {extras}"))
    assert json.loads((out / "result.json").read_text())["rows"] == result["rows"]
    with pytest.raises(InputError, match="holds results of other sizes"):
        real_kitti.main(shlex.split(f"{line} --runs S --steps 2 -- --eager --no_ssim"))


def test_a_training_that_has_passed_a_point_is_not_measured_there(tmp_path):
    model = tmp_path / "models" / "S_seed0"
    for name, step in (("last", 300), ("previous_1", 200)):
        (model / name).mkdir(parents=True)
        (model / name / "model.json").write_text(json.dumps({"step": step}))
    assert sorted(saved_weights(model)) == [200, 300]
    options = RealKittiOptions(data_path=tmp_path, out=tmp_path, steps=300, every=100)
    with pytest.raises(InputError, match=r"trained for 300 steps already, and .* after 100;"):
        make_points(options, [], Plan(GIVEN, {"S": "lists"}), "S", 0)


def test_time_of_a_stopped_training_counts(tmp_path, monkeypatch):
    model, words = tmp_path / "S_seed0", []
    model.mkdir()

    def stopped(arguments):
        words.append(arguments)
        (model / "options.json").touch()
        time.sleep(0.05)
        raise KeyboardInterrupt

    monkeypatch.setattr(real_kitti, "run_stage", stopped)
    given = ["--load_weights_folder", "before/last", "--seed", "0"]
    with pytest.raises(KeyboardInterrupt):
        real_kitti.train(given, model)
    monkeypatch.setattr(real_kitti, "run_stage", words.append)
    assert real_kitti.train(given, model) >= 0.05
    # train.py refuses weights to begin with where a run goes on with its own.
    assert words == [["train.py", *given], ["train.py", "--seed", "0", "--resume"]]


def test_a_schedule_of_ones_own_takes_the_place_of_the_constant_rate(tmp_path):
    options = RealKittiOptions(data_path=tmp_path, steps=300, every=100)
    words = training_words(options, ["--scheduler", "cosine"], "S", 0, "lists", items=104)
    assert "--scheduler_step_size" not in words
    assert words[words.index("--save_every_steps") + 1] == "100"
    assert int(words[words.index("--keep_checkpoints") + 1]) >= 3
