"""Training items: a target frame, its sources, and the camera that saw them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from datasets.augmentation import NO_JITTER, Draw, draw_augmentation
from datasets.frame_store import FrameStore, build_store, store_folder
from datasets.frames import AREA, FrameFiles
from datasets.kitti import (
    find_extension,
    flip_intrinsics,
    intrinsics,
    published_intrinsics,
    read_image,
    resize_intrinsics,
)
from datasets.layouts import LAYOUTS, Layout
from datasets.splits import SplitLine
from datasets.stereo import common_baseline
from datasets.units import KITTI_BASELINE_METRES, NOMINAL_BASELINE
from errors import InputError

logger = logging.getLogger(__name__)

STEREO = "s"
OTHER_SIDE = {"l": "r", "r": "l"}


@dataclass(frozen=True)
class Camera:
    """The camera of one drive and side.

    Attributes:
        K: [3, 3] float64, in pixels of the training size.
        image_size: (width, height) of the frames on disk.
        mirror: whether a flip of the image mirrors the principal point.
    """

    K: np.ndarray
    image_size: tuple[int, int]
    mirror: bool


@dataclass(frozen=True)
class TrainingItems:
    """The items of a split, each made from (epoch, index) alone.

    Attributes:
        data_path: folder of the drives.
        lines: one per item: the target frame.
        source_ids: the sources, offsets in time or ``"s"``.
        frames: reads a frame from its path, in the size that the networks are given.
        extension: of the image files.
        cameras: per (drive folder, side).
        seed: of the augmentation.
        augment: whether to flip and jitter.
        baseline_metres: between the cameras of the stereo pairs.
        layout: of the data set on disk.
    """

    data_path: Path
    lines: Sequence[SplitLine]
    source_ids: tuple[int | str, ...]
    frames: FrameFiles | FrameStore
    extension: str
    cameras: Mapping[tuple[str, str], Camera]
    seed: int = 0
    augment: bool = True
    baseline_metres: float = KITTI_BASELINE_METRES
    layout: Layout = LAYOUTS["kitti"]

    def __len__(self) -> int:
        return len(self.lines)

    def name(self, index: int) -> str:
        """The split line of an item, for messages."""
        line = self.lines[index]
        return f"{line.folder} {line.frame} {line.side}"

    @property
    def cached(self) -> bool:
        """Whether making an item is no more than copying from memory."""
        return isinstance(self.frames, FrameStore)

    def paths(self, index: int) -> list[Path]:
        """The files of an item: the target, then the sources."""
        line = self.lines[index]
        frames = [(line.frame, line.side)]
        for source in self.source_ids:
            stereo = source == STEREO
            side = OTHER_SIDE[line.side] if stereo else line.side
            frames.append((line.frame if stereo else line.frame + source, side))
        return [
            self.layout.frame_path(self.data_path, line.folder, frame, side, self.extension)
            for frame, side in frames
        ]

    def item(self, epoch: int, index: int) -> dict[str, np.ndarray]:
        """One item.

        Returns:
            ``target`` [3, H, W] uint8; ``sources`` [S, 3, H, W] uint8; ``K`` [3, 3] float32;
            ``T_stereo`` [4, 4] float32, the pose of the stereo source (its length is the nominal
            baseline of 0.1); ``color_jitter`` [8] float32; ``index`` int64.

        Raises:
            InputError: a frame is missing, damaged, or of another size than its drive's camera.
        """
        line = self.lines[index]
        draw = Draw(False, NO_JITTER)
        if self.augment:
            draw = draw_augmentation(self.seed, epoch, index)
        camera = self.cameras[line.folder, line.side]
        frames = np.stack([self.frames.read(p, camera.image_size) for p in self.paths(index)])
        K = camera.K
        if draw.flip:
            width = frames.shape[-1]
            frames = cv2.flip(frames.reshape(-1, width), 1).reshape(frames.shape)
            K = flip_intrinsics(K, width) if camera.mirror else K
        return {
            "target": frames[0],
            "sources": frames[1:],
            "K": K.astype(np.float32),
            "T_stereo": stereo_pose(line.side, draw.flip),
            "color_jitter": draw.color_jitter,
            "index": np.int64(index),
        }

    def all_paths(self) -> list[Path]:
        """The files that the items need, each once."""
        return list(dict.fromkeys(path for i in range(len(self)) for path in self.paths(i)))

    def check_files(self) -> None:
        """Raise InputError when frames that the items need are not there."""
        needed = self.all_paths()
        # One listing per folder instead of one look-up per file.
        present = {
            folder: {path.name for path in folder.iterdir()} if folder.is_dir() else set()
            for folder in dict.fromkeys(path.parent for path in needed)
        }
        missing = [path for path in needed if path.name not in present[path.parent]]
        if missing:
            rest = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise InputError(
                f"{missing[0]}{rest}: no such image, and the split needs it as a target, a "
                "neighbouring frame or the other camera; check --data_path, --frame_ids and "
                "--split, or take its lines out of the split; for KITTI raw, python -m "
                "datasets.check lists what is missing and which archives hold it"
            )


def with_cache(items: TrainingItems, cache_dir: Path, num_threads: int) -> TrainingItems:
    """The same items, their frames from a store below ``cache_dir``, which gets what it lacks.

    Raises:
        InputError: a frame cannot be read, or the disk has no room.
    """
    files = items.frames
    folder = store_folder(cache_dir, items.data_path, files)
    store = build_store(folder, items.data_path, files, items.all_paths(), num_threads)
    return replace(items, frames=store)


def stereo_pose(side: str, flip: bool) -> np.ndarray:
    """Pose of the other camera, [4, 4] ``source_T_target``, 0.1 long along x.

    The right camera sees a point further left, so for a left target x shrinks; a flip mirrors that.
    """
    sign = (-1 if side == "l" else 1) * (-1 if flip else 1)
    pose = np.eye(4, dtype=np.float32)
    pose[0, 3] = sign * NOMINAL_BASELINE
    return pose


def make_items(
    data_path: Path,
    lines: Sequence[SplitLine],
    source_ids: tuple[int | str, ...],
    height: int,
    width: int,
    png: bool | None = None,
    intrinsics_kind: str = "calibration",
    seed: int = 0,
    augment: bool = True,
    layout: Layout = LAYOUTS["kitti"],
    resize: str = AREA,
) -> TrainingItems:
    """Find the files and cameras of a split.

    Args:
        data_path: folder of the drives.
        lines: the split.
        source_ids: the sources, offsets in time or ``"s"``.
        height: of the images given to the networks.
        width: likewise.
        png: read .png (True) or whichever files are there.
        intrinsics_kind: ``calibration`` of each drive's day, or the ``published`` camera.
        seed: of the augmentation.
        augment: whether to flip and jitter.
        layout: of the data set on disk.
        resize: how frames are brought to that size.

    Raises:
        InputError: frames or calibration are missing or cannot be used.
    """
    extension = find_extension(data_path, lines, png, layout.frame_path)
    cameras = {}
    calibrations, uncalibrated = {}, set()
    for folder, side in dict.fromkeys((line.folder, line.side) for line in lines):
        day = layout.calibration_folder(data_path, folder)
        calibrated = (day / layout.calibration_file).is_file()
        if intrinsics_kind == "calibration" and calibrated:
            if day not in calibrations:
                calibrations[day] = layout.read_calibration(day)
            calibration = calibrations[day]
            size = calibration.image_size[side]
            K = resize_intrinsics(intrinsics(calibration, side), size, (width, height))
            cameras[folder, side] = Camera(K, size, mirror=True)
            continue
        if intrinsics_kind == "calibration":
            uncalibrated.add(day)
        size = first_image_size(layout.frame_path(data_path, folder, 0, side, extension))
        cameras[folder, side] = Camera(published_intrinsics(width, height), size, mirror=False)
    for day in sorted(uncalibrated):
        logger.warning(
            "%s: has no %s, so its drives use the published intrinsics "
            "(0.58, 1.92, 0.5, 0.5 of the image's size)",
            day,
            layout.calibration_file,
        )
    items = TrainingItems(
        data_path,
        tuple(lines),
        source_ids,
        FrameFiles(height, width, resize),
        extension,
        cameras,
        seed,
        augment,
        common_baseline(calibrations) if STEREO in source_ids else KITTI_BASELINE_METRES,
        layout,
    )
    items.check_files()
    return items


def first_image_size(frame: Path) -> tuple[int, int]:
    """(width, height) of the first image in the folder of ``frame``, with its extension."""
    paths = sorted(frame.parent.glob(f"*{frame.suffix}"))
    if not paths:
        raise InputError(f"{frame.parent}: holds no {frame.suffix} image")
    height, width = read_image(paths[0]).shape[:2]
    return width, height
