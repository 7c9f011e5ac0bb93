"""Before a long run: what of a split is missing, where to get it, and how long loading takes.

python -m datasets.check --data_path kitti --split eigen_zhou --use_stereo
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.cache import data_parser, items_of, source_ids
from datasets.camera import ASPECT_OF_PIXELS, USUAL_DEGREES
from datasets.conventions import IMPROVED_SPLIT
from datasets.frames import FrameFiles
from datasets.items import OTHER_SIDE, TrainingItems
from datasets.kitti import (
    LIDAR_FILE,
    Calibration,
    find_extensions,
    first_few,
    first_middle_last,
    missing_files,
    size_of_frames,
    stereo_baseline,
    there_with_other_endings,
)
from datasets.kitti_odom import pose_file
from datasets.layouts import LAYOUTS, Layout, archive_of_sequence
from datasets.lidar import truth_paths
from datasets.loader import make_batch
from datasets.pictures import picture_size, read_picture
from datasets.splits import PARTS, SplitLine, load_split, split_folder
from system.command_line import path_of
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
    otherwise = there_with_other_endings(missing)
    if otherwise:
        path = next(iter(otherwise))
        findings.problems.append(
            f"{name}: {len(otherwise)} images have another ending than {path.suffix}, which is "
            f"read there: {first_few(list(otherwise.values()))}; bring the images of a folder to "
            "one ending (--png reads .png; without it, .jpg comes first)"
        )
    missing = [path for path in missing if path not in otherwise]
    if missing:
        shown = first_few(missing)
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


def check_truth(
    items: TrainingItems, improved: bool, images: Iterable[Path], findings: Findings
) -> str:
    """Note the files that the ground truth of a test list needs; return what can be evaluated.

    Args:
        items: of the test list.
        improved: whether it is measured on improved depth instead of LiDAR sweeps.
        images: those of the list that are there, which :func:`check_part` returns.
        findings: to add to.
    """
    data_path, lines, layout = items.data_path, items.lines, items.layout
    what = "improved depth maps" if improved else "LiDAR sweeps"
    truths = truth_paths(data_path, lines, improved)
    missing = dict.fromkeys(missing_files(truths))
    if missing:
        findings.warnings.append(
            f"test: {len(missing)} {what} are missing: {first_few(list(missing))}; evaluation "
            "needs them, or a gt_depths.npz"
        )
        if not improved:
            for path, line in zip(truths, lines):
                findings.need(layout.archive(line.folder) if path in missing else None)
    days = {layout.calibration_folder(data_path, line.folder): line.folder for line in lines}
    bare = [day for day in days if not improved and not (day / LIDAR_FILE).is_file()]
    for day in bare:
        if day.is_dir():  # those of missing drives are named
            findings.warnings.append(f"test: {day / LIDAR_FILE} is missing; sweeps need it")
        findings.need(layout.calibration_archive(days[day]))
    images = set(images)
    held = [
        path not in missing
        and layout.calibration_folder(data_path, line.folder) not in bare
        and items.paths(index)[0] in images
        for index, (line, path) in enumerate(zip(lines, truths))
    ]
    count = f"{sum(held)} of {len(lines)} test images are there with their {what}"
    if all(held):
        return f"ready to evaluate: {count}"
    return f"{count}" + ("; --allow_missing evaluates on these" if any(held) else "")


def check_poses(data_path: Path, lines: Sequence[SplitLine], findings: Findings) -> None:
    """Note the true poses that the sequences of a test list need."""
    for sequence in dict.fromkeys(line.folder for line in lines):
        path = pose_file(data_path, int(sequence))
        if not path.is_file():
            findings.warnings.append(
                f"test: {path} is missing; python -m tools.evaluate_pose needs it"
            )
            findings.need(archive_of_sequence(sequence, "poses"))


def check_sizes(
    data_path: Path,
    lines: Iterable[SplitLine],
    images: Iterable[Path],
    layout: Layout,
    stereo: bool,
    findings: Findings,
) -> None:
    """Note drives whose frames are of another size than their calibration: resized or wrong.

    With ``stereo`` the frames of both cameras must be of one size.
    """
    cameras = dict.fromkeys((line.folder, line.side) for line in lines)
    frames: dict[Path, list[Path]] = {}
    for path in dict.fromkeys(images):
        frames.setdefault(path.parent, []).append(path)
    read = cache(layout.read_calibration)
    resized: dict[tuple[int, int], list[Path]] = {}
    for drive, side in cameras:
        folder, other = (
            layout.frame_path(data_path, drive, 0, each, "").parent
            for each in (side, OTHER_SIDE[side])
        )
        paths, partners = frames.get(folder, []), frames.get(other, []) if stereo else []
        if not paths:
            continue
        place = layout.calibration_folder(data_path, drive)
        try:
            camera = read(place).camera(side, str(place))
        except InputError:  # check_calibrations tells
            camera = None
        try:
            size = picture_size(paths[0]) if camera is None else size_of_frames(paths, camera)
            odd = [path for path in first_middle_last(partners) if picture_size(path) != size]
        except InputError as error:
            findings.problems.append(str(error))
            continue
        if odd:
            findings.problems.append(
                f"{odd[0]}: is {'{}x{}'.format(*picture_size(odd[0]))}, and the other camera's "
                f"frames in {folder} are {'{}x{}'.format(*size)}; --use_stereo needs one size"
            )
        if camera is not None and size != camera.image_size:
            resized.setdefault(size, []).append(folder)
    for (width, height), folders in resized.items():
        more = f" and {len(folders) - 1} more" if folders[1:] else ""
        findings.warnings.append(
            f"{folders[0]}{more}: frames of {width}x{height}, smaller or larger than calibrated: "
            "taken for a resized copy, with the calibration scaled to it"
        )


def check_images(paths: Sequence[Path], num_workers: int, findings: Findings) -> None:
    """Decode every image; note those that cannot be read, and folders of more than one size."""

    def look(path: Path) -> tuple[int, ...] | str:
        try:
            return read_picture(path).shape[1::-1]
        except InputError as error:
            return str(error)

    sizes: dict[Path, dict[tuple[int, ...], list[Path]]] = {}
    with ThreadPoolExecutor(max(1, num_workers)) as pool:  # Pillow decodes outside Python's lock
        found = tqdm(pool.map(look, paths), total=len(paths), desc="images", unit="image")
        for path, size in zip(paths, found):
            if isinstance(size, str):
                findings.problems.append(size)
            else:
                sizes.setdefault(path.parent, {}).setdefault(size, []).append(path)
    for folder, by_size in sizes.items():
        (width, height), *odd = sorted(by_size, key=lambda size: -len(by_size[size]))
        for size in odd:
            findings.problems.append(
                f"{folder}: {len(by_size[size])} images are {size[0]}x{size[1]}, the others "
                f"{width}x{height}: {first_few(by_size[size])}"
            )


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


def parts_of(split: str, wanted: Sequence[str] = PARTS) -> dict[str, list[SplitLine]]:
    """The wanted parts that a split has."""
    parts, refusals = {}, []
    for part in wanted:
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
    parts = parts_of(args.split, args.only)
    layout = LAYOUTS[args.dataset]
    frames = FrameFiles(args.height, args.width, args.resize)
    findings = Findings()
    images: dict[str, list[Path]] = {}
    evaluable = ""
    for name, lines in parts.items():
        sources = () if name == "test" else source_ids(args)
        extensions = extensions_of(args, lines, layout)
        items = TrainingItems(args.data_path, lines, sources, frames, extensions, {}, layout=layout)
        images[name] = check_part(name, lines, items, findings)
    every_line, every_image = (list(itertools.chain(*x.values())) for x in (parts, images))
    check_calibrations(args.data_path, every_line, layout, findings)
    if "test" in parts and args.dataset in ("kitti", "kitti_depth"):
        improved = split_folder(args.split).resolve().name == IMPROVED_SPLIT
        evaluable = check_truth(items, improved, images["test"], findings)
    elif "test" in parts:
        check_poses(args.data_path, parts["test"], findings)
    check_sizes(args.data_path, every_line, every_image, layout, args.use_stereo, findings)
    if args.deep:
        check_images(list(dict.fromkeys(every_image)), args.num_workers, findings)
    check_disk(args.log_dir, findings)
    problems, archives = findings.problems, findings.archives
    for kind, found in ("warning", findings.warnings), ("problem", problems), ("fetch", archives):
        for line in found:
            print(f"{kind}: {line}")
    if evaluable:
        print(evaluable)
    if problems:
        print(f"not ready: {len(problems)} problems, {len(archives)} archives to fetch")
        return EXIT_BAD_INPUT
    if "train" in parts:
        print_plan(items_of(args, parts["train"]), args.batch_size, args.num_workers)
    if not evaluable or set(parts) != {"test"}:
        print(f"ready: {', '.join(f'{len(lines)} {name} items' for name, lines in parts.items())}")
    return 0


def extensions_of(
    args: argparse.Namespace, lines: Sequence[SplitLine], layout: Layout
) -> Mapping[tuple[str, str], str]:
    """The extension of the images of each drive and side; jpg where there are none."""
    cameras = {(line.folder, side) for line in lines for side in OTHER_SIDE}
    try:
        return find_extensions(args.data_path, cameras, args.png or None, layout.frame_path)
    except InputError:
        return defaultdict(lambda: "jpg")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and check; returns 2 when something is missing."""
    parser = data_parser("python -m datasets.check", __doc__.splitlines()[0])
    parser.add_argument("--batch_size", type=int, default=12, help="as training")
    parser.add_argument("--log_dir", type=path_of, default=Path("logs"), help="as training")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        help="parts of the split to look for: test is what evaluation needs",
    )
    parser.add_argument("--deep", action="store_true", help="decode every image")
    return check(parser.parse_args(arguments))


if __name__ == "__main__":
    run_command(main)
