"""Before a long run: what of a split is missing, where to get it, and how long loading takes.

python -m datasets.check --data_path kitti --split eigen_zhou --use_stereo
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.cache import data_parser, items_of, source_ids
from datasets.camera import ASPECT_OF_PIXELS, USUAL_DEGREES
from datasets.frames import FrameFiles
from datasets.items import TrainingItems, missing_files
from datasets.kitti import Calibration, find_extension, stereo_baseline, sweep_path
from datasets.kitti_odom import pose_file
from datasets.layouts import LAYOUTS, Layout, archive_of_sequence
from datasets.loader import make_batch
from datasets.pictures import read_picture
from datasets.splits import PARTS, SplitLine, load_split
from system.errors import EXIT_BAD_INPUT, InputError, run_command

RUN_GIB = 1.5  # what a run with ResNet-18 keeps: three checkpoints of 0.35 GB, and logs
EPOCHS = 20  # of the published training
TIMED_ITEMS = 8
# What the cameras of a car look like, to notice a calibration of something else.
LARGEST_OFFSET = 0.25  # of the principal point from the centre, in image sizes
BASELINE_METRES = (0.05, 2.0)


@dataclass
class Findings:
    """What was found: problems keep a run from starting, warnings do not."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    archives: dict[str, None] = field(default_factory=dict)  # in the order they were needed

    def need(self, archive: str | None) -> None:
        """Note an archive to fetch, once."""
        if archive is not None:
            self.archives[archive] = None


def check_part(
    name: str, lines: Sequence[SplitLine], items: TrainingItems, findings: Findings
) -> list[Path]:
    """Note the drives and frames that a part of a split lacks; return the images that are there."""
    layout = items.layout
    needed: dict[Path, str] = {}
    for index, line in enumerate(lines):
        for path in items.paths(index):
            needed.setdefault(path, line.folder)
    absent = dict.fromkeys(missing_files(needed))
    drives = dict.fromkeys(line.folder for line in lines)
    gone = [drive for drive in drives if not layout.drive_folder(items.data_path, drive).is_dir()]
    for drive in gone:
        findings.problems.append(f"{name}: drive {drive} is missing")
        findings.need(layout.archive(drive))
    there = [path for path in needed if path not in absent]
    missing = [path for path in absent if needed[path] not in gone]
    if missing:
        shown = ", ".join(map(str, missing[:3])) + (", …" if len(missing) > 3 else "")
        findings.problems.append(f"{name}: {len(missing)} images are missing: {shown}")
        for path in missing:
            findings.need(layout.archive(needed[path]))
    print(
        f"{name}: {len(lines)} items of {len(drives)} drives, {len(there)} of {len(needed)} images"
    )
    return there


def check_calibrations(
    data_path: Path, lines: Iterable[SplitLine], layout: Layout, findings: Findings
) -> None:
    """Note drives without calibration, and calibrations that no car's cameras have."""
    drives = dict.fromkeys(line.folder for line in lines)
    places = {layout.calibration_folder(data_path, drive): drive for drive in drives}
    for place, drive in places.items():
        archive = layout.calibration_archive(drive)
        if not place.is_dir():  # its drives are named
            findings.need(archive)
            continue
        if not (place / layout.calibration_file).is_file():
            findings.warnings.append(
                f"{place}: no {layout.calibration_file}; training takes the published intrinsics"
            )
            findings.need(archive)
            continue
        try:
            calibration = layout.read_calibration(place)
        except InputError as error:
            findings.problems.append(str(error))
            continue
        findings.warnings.extend(f"{place}: {oddity}" for oddity in implausible(calibration))


def implausible(calibration: Calibration) -> list[str]:
    """What is unusual about the cameras of a calibration, in words."""
    oddities = []
    for side in ("l", "r"):
        camera = calibration.camera(side)
        K, (width, height) = camera.K, camera.image_size
        angle = float(np.degrees(2 * np.arctan(width / 2 / K[0, 0])))
        low, high = USUAL_DEGREES
        if not low <= angle <= high:
            oddities.append(f"camera {side} sees {angle:.0f} degrees across")
        if not ASPECT_OF_PIXELS[0] <= K[0, 0] / K[1, 1] <= ASPECT_OF_PIXELS[1]:
            oddities.append(f"camera {side} has focal lengths {K[0, 0]:.0f} and {K[1, 1]:.0f}")
        offset = np.abs(K[:2, 2] / (width, height) - 0.5)
        if offset.max() > LARGEST_OFFSET:
            oddities.append(
                f"camera {side} has its principal point at {K[0, 2]:.0f}, {K[1, 2]:.0f}"
            )
    baseline = stereo_baseline(calibration)
    low, high = BASELINE_METRES
    if baseline != 0 and not low <= baseline <= high:  # 0: there is one camera only
        oddities.append(f"the cameras are {baseline:.3f} m apart")
    return oddities


def check_sweeps(data_path: Path, lines: Sequence[SplitLine], findings: Findings) -> None:
    """Note the LiDAR sweeps that the ground truth of a test list needs."""
    paths = {sweep_path(data_path, line.folder, line.frame): line.folder for line in lines}
    missing = [path for path in paths if not path.is_file()]
    if missing:
        findings.warnings.append(
            f"test: {len(missing)} LiDAR sweeps are missing, as {missing[0]}; evaluation needs "
            "them, or a gt_depths.npz"
        )
        for path in missing:
            findings.need(LAYOUTS["kitti"].archive(paths[path]))


def check_poses(data_path: Path, lines: Sequence[SplitLine], findings: Findings) -> None:
    """Note the true poses that the sequences of a test list need."""
    for sequence in dict.fromkeys(line.folder for line in lines):
        path = pose_file(data_path, int(sequence))
        if not path.is_file():
            findings.warnings.append(
                f"test: {path} is missing; python -m tools.evaluate_pose needs it"
            )
            findings.need(archive_of_sequence(sequence, "poses"))


def check_images(paths: Sequence[Path], num_workers: int, findings: Findings) -> None:
    """Decode every image; note those that cannot be read."""

    def problem(path: Path) -> str | None:
        try:
            read_picture(path)
        except InputError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(max(1, num_workers)) as pool:  # Pillow decodes outside Python's lock
        found = tqdm(pool.map(problem, paths), total=len(paths), desc="images", unit="image")
        findings.problems.extend(filter(None, found))


def check_disk(log_dir: Path, findings: Findings) -> None:
    """Note a disk without room for a run."""
    folder = next(p for p in (log_dir.absolute(), *log_dir.absolute().parents) if p.is_dir())
    free = shutil.disk_usage(folder).free / 2**30
    print(f"free disk at {folder}: {free:.1f} GiB; a run with ResNet-18 takes {RUN_GIB} GiB")
    if free < RUN_GIB:
        findings.warnings.append(f"{folder}: has {free:.1f} GiB free, a run takes {RUN_GIB}")


def print_plan(items: TrainingItems, batch_size: int, num_workers: int) -> None:
    """Say what would run, and how long loading alone would take."""
    steps = len(items) // batch_size
    epoch = f"an epoch: {len(items)} items, {steps} steps of {batch_size}"
    print(f"{epoch}; {EPOCHS} epochs: {EPOCHS * steps} steps")
    indices = np.linspace(0, len(items) - 1, min(TIMED_ITEMS, len(items))).astype(int)
    start = time.monotonic()
    for index in indices:
        make_batch(items, 0, [int(index)])
    seconds = (time.monotonic() - start) / len(indices)
    workers = max(1, num_workers)
    hours = EPOCHS * len(items) * seconds / workers / 3600
    print(
        f"loading alone: {1000 * seconds:.0f} ms an item, {hours:.2f} hours for {EPOCHS} epochs "
        f"with {workers} processes; training is timed by train.py's progress bar"
    )


def parts_of(split: str) -> dict[str, list[SplitLine]]:
    """The parts that a split has."""
    parts, refusals = {}, []
    for part in PARTS:
        try:
            parts[part] = load_split(split, part)
        except InputError as error:
            refusals.append(error)
    if not parts:
        raise refusals[0]
    return parts


def check(args: argparse.Namespace) -> int:
    """Look at everything, print what is found; returns the exit code."""
    if not args.data_path.is_dir():
        raise InputError(f"--data_path {args.data_path}: no such folder")
    parts = parts_of(args.split)
    layout = LAYOUTS[args.dataset]
    frames = FrameFiles(args.height, args.width, args.resize)
    findings = Findings()
    images: list[Path] = []
    for name, lines in parts.items():
        try:
            extension = find_extension(args.data_path, lines, args.png or None, layout.frame_path)
        except InputError:
            extension = "jpg"
        sources = () if name == "test" else source_ids(args)
        items = TrainingItems(args.data_path, lines, sources, frames, extension, {}, layout=layout)
        images += check_part(name, lines, items, findings)
    check_calibrations(args.data_path, itertools.chain(*parts.values()), layout, findings)
    check_truth = check_sweeps if args.dataset == "kitti" else check_poses
    check_truth(args.data_path, parts.get("test", []), findings)
    if args.deep:
        check_images(list(dict.fromkeys(images)), args.num_workers, findings)
    check_disk(args.log_dir, findings)
    problems, archives = findings.problems, findings.archives
    for kind, found in ("warning", findings.warnings), ("problem", problems), ("fetch", archives):
        for line in found:
            print(f"{kind}: {line}")
    if problems:
        print(f"not ready: {len(problems)} problems, {len(archives)} archives to fetch")
        return EXIT_BAD_INPUT
    if "train" in parts:
        print_plan(items_of(args, parts["train"]), args.batch_size, args.num_workers)
    print(f"ready: {', '.join(f'{len(lines)} {name} items' for name, lines in parts.items())}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and check; returns 2 when something is missing."""
    parser = data_parser("python -m datasets.check", __doc__.splitlines()[0])
    parser.add_argument("--batch_size", type=int, default=12, help="as training")
    parser.add_argument("--log_dir", type=Path, default=Path("logs"), help="as training")
    parser.add_argument("--deep", action="store_true", help="decode every image")
    return check(parser.parse_args(arguments))


if __name__ == "__main__":
    run_command(main)
