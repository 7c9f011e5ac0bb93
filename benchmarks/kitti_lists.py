"""Which frames of a folder of KITTI raw to train and to test on, whatever part of it is there.

The lists are, of the first kind that there is:

- given: folders ``splits/stereo`` (S), ``splits/mono`` (M) and ``splits/mono_stereo`` (MS), or
  ``splits`` alone for all three. One without a test list is tested on the lists of the others.
- published: ``eigen_zhou`` and ``eigen``, where every file of them is there.
- derived: every frame that has what the run needs, both cameras, but for the held-out part. That
  is every drive with frames of the Eigen test list; the test is on those frames of that list that
  have a sweep. Where these are not there, or nothing else is, the last fifth of each drive is held
  out, counted in frames with sweeps. Every tenth frame left is for validation.

No frame is tested on that is a training target, of either camera.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datasets.kitti import day_folder
from datasets.splits import PARTS, SplitLine, load_split
from system.errors import InputError
from system.files import make_writable_folder, written_whole

logger = logging.getLogger(__name__)

GIVEN, PUBLISHED, DERIVED = "given", "published", "derived"
PUBLISHED_SPLIT, PUBLISHED_TEST = "eigen_zhou", "eigen"
HELD_OUT = 5  # one in so many sweeps of a drive
VALIDATION = 10  # one in so many frames
OTHER = {"l": "r", "r": "l"}


@dataclass(frozen=True)
class Mode:
    """A way to train: its frames in time, whether with the other camera, its folder of lists."""

    frame_ids: tuple[int, ...]
    stereo: bool
    folder: str

    @property
    def words(self) -> list[str]:
        """Options of ``train.py``."""
        return ["--frame_ids", *map(str, self.frame_ids), *["--use_stereo"] * self.stereo]

    @property
    def scaling(self) -> str:
        """How ``evaluate_depth.py`` scales its predictions."""
        return "stereo" if self.stereo else "mono"


MODES = {
    "S": Mode((0,), True, "stereo"),
    "M": Mode((0, -1, 1), False, "mono"),
    "MS": Mode((0, -1, 1), True, "mono_stereo"),
}


@dataclass(frozen=True)
class DriveFrames:
    """The frames of a drive that are on disk: their numbers by side, and those with a sweep."""

    folder: str
    images: Mapping[str, frozenset[int]]
    sweeps: frozenset[int] = frozenset()

    def lines(self, mode: Mode, without: Iterable[int] = ()) -> list[SplitLine]:
        """Every frame of which all is there that a training item needs, ``without`` left alone."""
        there = {side: frames - frozenset(without) for side, frames in self.images.items()}
        return [
            SplitLine(self.folder, frame, side)
            for frame in sorted(there["l"] | there["r"])
            for side in "lr"
            if all(frame + offset in there[side] for offset in mode.frame_ids)
            and (not mode.stereo or frame in there[OTHER[side]])
        ]

    def tests(self) -> list[int]:
        """Left frames with a sweep, in order."""
        return sorted(self.images["l"] & self.sweeps)


@dataclass(frozen=True)
class Plan:
    """What each run trains and is tested on.

    Attributes:
        source: GIVEN, PUBLISHED or DERIVED.
        splits: per run, what ``--split`` names.
        tests: per run, what ``--eval_split`` names, by a name of its own.
    """

    source: str
    splits: Mapping[str, str]
    tests: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def find_drives(data_path: Path) -> list[DriveFrames]:
    """The drives in a folder of KITTI raw, in the order of their names.

    Sweeps count only where the day's LiDAR is calibrated; drives of days without a calibrated
    camera are left out, which is logged.

    Raises:
        InputError: there is none.
    """
    folders = sorted({path.parent for path in data_path.glob("*/*/image_0[23]")})
    drives, unknown = [], []
    for folder in folders:
        name = folder.relative_to(data_path).as_posix()
        day = day_folder(data_path, name)
        if not (day / "calib_cam_to_cam.txt").is_file():
            unknown.append(name)
            continue
        images = {
            side: _numbers(folder / f"image_{camera}" / "data", {".jpg", ".jpeg", ".png"})
            for side, camera in (("l", "02"), ("r", "03"))
        }
        has_lidar = (day / "calib_velo_to_cam.txt").is_file()
        sweeps = _numbers(folder / "velodyne_points" / "data", {".bin"} if has_lidar else set())
        drives.append(DriveFrames(name, images, sweeps))
    if unknown:
        logger.warning(
            "%d drives are left out, as %s: there is no calib_cam_to_cam.txt of their days",
            len(unknown),
            unknown[0],
        )
    if not drives:
        raise InputError(
            f"--data_path {data_path}: holds no drive with a calibration; give the folder of KITTI "
            "raw, which holds one folder for each day"
        )
    return drives


def _numbers(folder: Path, endings: set[str]) -> frozenset[int]:
    """The frame numbers of a folder's files with one of some endings."""
    paths = folder.iterdir() if folder.is_dir() else ()
    return frozenset(
        int(p.stem) for p in paths if p.suffix.lower() in endings and p.stem.isdecimal()
    )


def make_plan(data_path: Path, drives: Sequence[DriveFrames], out: Path) -> Plan:
    """Find the lists, or derive and write them into ``out``.

    Runs that there is nothing to train or to test on for are not in it.

    Raises:
        InputError: no run is left.
    """
    plan = given_lists(data_path) or published_lists_if_whole(drives)
    if plan is None:
        test, parts = derive(drives)
        write_list(out / "test", "test", test)
        for run, lists in parts.items():
            for part, lines in lists.items():
                write_list(out / run, part, lines)
        tests = {run: {"test": str(out / "test")} for run in parts}
        plan = Plan(DERIVED, {run: str(out / run) for run in parts}, tests)
    tests = {run: untrained_tests(run, plan, out) for run in plan.splits}
    splits = {run: split for run, split in plan.splits.items() if tests[run]}
    if not splits:
        raise InputError(
            f"--data_path {data_path}: there is nothing to train on besides what is tested on, or "
            "nothing to test on: runs need stereo pairs or consecutive frames, and other frames "
            "with LiDAR sweeps; add drives of KITTI raw"
        )
    return Plan(plan.source, splits, {run: tests[run] for run in splits})


def given_lists(data_path: Path) -> Plan | None:
    """The lists that lie with the data, if any do."""
    root = data_path / "splits"
    folders = {run: root / mode.folder for run, mode in MODES.items()}
    if not any(_has(folder, "train") for folder in folders.values()):
        folders = dict.fromkeys(MODES, root)
    splits = {run: folder for run, folder in folders.items() if _has(folder, "train")}
    if not splits:
        return None
    tested = [f for f in dict.fromkeys(folders.values()) if _has(f, "test")]
    tests = {}
    for run, folder in splits.items():
        own = [folder] if folder in tested else tested
        tests[run] = {each.name: str(each) for each in own}
    return Plan(GIVEN, {run: str(folder) for run, folder in splits.items()}, tests)


def _has(folder: Path, part: str) -> bool:
    return (folder / f"{part}_files.txt").is_file()


def published_lists_if_whole(drives: Sequence[DriveFrames]) -> Plan | None:
    """The published lists, if all that they name is there."""
    test = load_split(PUBLISHED_TEST, "test")
    if len(testable(drives, test)) < len(test):
        return None
    whole = {line for drive in drives for line in drive.lines(MODES["MS"])}
    named = {line for part in ("train", "val") for line in load_split(PUBLISHED_SPLIT, part)}
    if not named <= whole:
        return None
    tests = {run: {PUBLISHED_TEST: PUBLISHED_TEST} for run in MODES}
    return Plan(PUBLISHED, dict.fromkeys(MODES, PUBLISHED_SPLIT), tests)


def testable(drives: Iterable[DriveFrames], lines: Iterable[SplitLine]) -> list[SplitLine]:
    """Those of a test list's lines whose left image and sweep are there."""
    there = {drive.folder: frozenset(drive.tests()) for drive in drives}
    return [x for x in lines if x.side == "l" and x.frame in there.get(x.folder, ())]


def derive(
    drives: Sequence[DriveFrames],
) -> tuple[list[SplitLine], dict[str, dict[str, list[SplitLine]]]]:
    """The test list, and by run the lists ``train`` and ``val`` of what else is there.

    Runs without at least one frame for each of the two are left out. See the module for the rules.

    Raises:
        InputError: no frame has a sweep.
    """
    eigen = load_split(PUBLISHED_TEST, "test")
    names = {line.folder for line in eigen}
    test = testable(drives, eigen)
    others = [drive for drive in drives if drive.folder not in names]
    if test and any(drive.lines(mode) for drive in others for mode in MODES.values()):
        held = {d.folder: frozenset(d.images["l"] | d.images["r"]) for d in drives}
        held = {folder: frames for folder, frames in held.items() if folder in names}
    else:
        held = {drive.folder: last_part(drive) for drive in drives}
        test = [
            SplitLine(d.folder, f, "l") for d in drives for f in d.tests() if f in held[d.folder]
        ]
    if not test:
        raise InputError(
            "--data_path: no frame of the left camera has a LiDAR sweep to be measured against; "
            "add velodyne_points and calib_velo_to_cam.txt"
        )
    parts = {}
    for run, mode in MODES.items():
        lines = [x for d in drives for x in d.lines(mode, held.get(d.folder, ()))]
        frames = list(dict.fromkeys((line.folder, line.frame) for line in lines))
        chosen = set(frames[VALIDATION - 1 :: VALIDATION] or frames[1:][-1:])
        if chosen:
            lists: dict[str, list[SplitLine]] = {"train": [], "val": []}
            for line in lines:
                lists["val" if (line.folder, line.frame) in chosen else "train"].append(line)
            parts[run] = lists
    return test, parts


def last_part(drive: DriveFrames) -> frozenset[int]:
    """The frames of a drive from the first of the last fifth of its sweeps on."""
    tests = drive.tests()
    if not tests:
        return frozenset()
    first = tests[-max(1, len(tests) // HELD_OUT)]
    return frozenset(f for f in drive.images["l"] | drive.images["r"] if f >= first)


def untrained_tests(run: str, plan: Plan, out: Path) -> dict[str, str]:
    """The tests of a run without frames that it trains on; shortened lists go into ``out``."""
    trained = {(line.folder, line.frame) for line in load_split(plan.splits[run], "train")}
    tests = {}
    for name, split in plan.tests[run].items():
        lines = load_split(split, "test")
        kept = [line for line in lines if (line.folder, line.frame) not in trained]
        if len(kept) == len(lines):
            tests[name] = split
            continue
        logger.warning(
            "%s: %d of %d frames of the test list %s are trained on, and left out of it",
            *(run, len(lines) - len(kept), len(lines), name),
        )
        if kept:
            shorter = f"{name}_without_{run}"
            tests[shorter] = str(out / shorter)
            write_list(out / shorter, "test", kept)
    return tests


def seen_as_neighbours(run: str, plan: Plan, name: str) -> int:
    """How many frames of a test list are neighbours in time of what a run trains on."""
    offsets = [offset for offset in MODES[run].frame_ids if offset]
    lines = load_split(plan.splits[run], "train")
    seen = {(line.folder, line.frame + offset) for line in lines for offset in offsets}
    return sum((x.folder, x.frame) in seen for x in load_split(plan.tests[run][name], "test"))


def lists_of(plan: Plan) -> dict[str, Any]:
    """Sizes of the lists, and a sum of what is in those that are trained on."""
    runs = {}
    for run, split in plan.splits.items():
        train = load_split(split, "train")
        listing = "\n".join(map(str, train))
        runs[run] = {
            "train": len(train),
            "sha256": hashlib.sha256(listing.encode()).hexdigest(),
            "test": {name: len(load_split(each, "test")) for name, each in plan.tests[run].items()},
            "seen_as_neighbours": {n: seen_as_neighbours(run, plan, n) for n in plan.tests[run]},
        }
    return {"source": plan.source, "runs": runs}


def write_list(folder: Path, part: str, lines: Iterable[SplitLine]) -> None:
    """Write ``<part>_files.txt`` into a folder that is made."""
    if part not in PARTS:
        raise ValueError(f"part must be one of {PARTS}, got {part!r}")
    make_writable_folder(folder, "choose another folder for --out")
    text = "".join(f"{line.folder} {line.frame:010d} {line.side}\n" for line in lines)
    with written_whole(folder / f"{part}_files.txt") as path:
        path.write_text(text, encoding="utf-8")
