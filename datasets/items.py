"""Training items: a target frame, its sources, the camera that saw them, and what is drawn of each.

Every draw follows from (seed, epoch, index of the item) alone, so that a run repeats itself for any
number of workers and after any resume.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from datasets.camera import Camera, published_camera
from datasets.conventions import KITTI_BASELINE_METRES, NOMINAL_BASELINE, STEREO
from datasets.facts import Facts, digest, facts_of_files
from datasets.frames import AREA, FrameFiles, FrameStore
from datasets.hints import depth_hint
from datasets.kitti import (
    common_baseline,
    find_extensions,
    first_few,
    images_in,
    missing_files,
    say_resized,
    size_of_frames,
    there_with_other_endings,
)
from datasets.layouts import LAYOUTS, Layout
from datasets.pictures import picture_size
from datasets.splits import SplitLine
from system.errors import InputError
from system.memory import without_collection

logger = logging.getLogger(__name__)

OTHER_SIDE = {"l": "r", "r": "l"}

# Largest factor above and below 1, and largest turn of the hue circle, as published.
BRIGHTNESS = CONTRAST = SATURATION = 0.2
HUE = 0.1

NO_JITTER = np.array([1, 1, 1, 0, 0, 1, 2, 3], np.float32)


class Draw(NamedTuple):
    """The augmentation of one item."""

    flip: bool  # whether all of its images are mirrored left to right
    # [8] float32: factors of brightness, contrast and saturation, turn of the hue in [-0.5, 0.5],
    # and the order in which these four (numbered 0 to 3) are applied.
    color_jitter: np.ndarray


NO_AUGMENTATION = Draw(False, NO_JITTER)


def draw_augmentation(seed: int, epoch: int, index: int) -> Draw:
    """Draw for one item: both the flip and the jitter happen to every second one."""
    rng = np.random.default_rng((seed, epoch, index))
    flip, jitter = rng.random(2) < 0.5
    if not jitter:
        return Draw(bool(flip), NO_JITTER)
    reach = np.array([BRIGHTNESS, CONTRAST, SATURATION, HUE])
    factors = NO_JITTER[:4] + rng.uniform(-reach, reach)
    return Draw(bool(flip), np.concatenate([factors, rng.permutation(4)]).astype(np.float32))


@dataclass(frozen=True)
class TrainingItems:
    """The items of a split, each made from (epoch, index) alone."""

    data_path: Path  # folder of the drives
    lines: Sequence[SplitLine]  # one per item: the target frame
    source_ids: tuple[int | str, ...]  # the sources, offsets in time or ``"s"``
    frames: FrameFiles | FrameStore  # in the size that the networks are given
    extensions: Mapping[tuple[str, str], str]  # of the image files, per (drive folder, side)
    # Likewise, of pictures in that size, and (width, height) of those on disk.
    cameras: Mapping[tuple[str, str], tuple[Camera, tuple[int, int]]]
    seed: int = 0  # of the augmentation
    augment: bool = True  # whether to flip and jitter
    baseline_metres: float = KITTI_BASELINE_METRES  # between the cameras of the stereo pairs
    layout: Layout = LAYOUTS["kitti"]  # of the data set on disk
    depth_hints: bool = False  # whether to match the stereo pair, which is among the sources

    def __len__(self) -> int:
        return len(self.lines)

    def name(self, index: int) -> str:
        """The split line of an item, for messages."""
        return str(self.lines[index])

    @property
    def cached(self) -> bool:
        """Whether making an item is no more than copying from memory."""
        return self.frames.cached

    def paths(self, index: int) -> list[Path]:
        """The files of an item: the target, then the sources."""
        return [self.layout.frame_path(self.data_path, *frame) for frame in self._frames(index)]

    def _frames(self, index: int) -> list[tuple[str, int, str, str]]:
        """The same as (folder, frame, side, extension): of many items, paths take their time."""
        line = self.lines[index]
        frames = [
            (line.frame, OTHER_SIDE[line.side]) if s == STEREO else (line.frame + s, line.side)
            for s in (0, *self.source_ids)
        ]
        return [
            (line.folder, frame, side, self.extensions[line.folder, side]) for frame, side in frames
        ]

    def item(self, epoch: int, index: int) -> dict[str, np.ndarray]:
        """One item.

        Returns:
            ``target`` [3, H, W] uint8; ``sources`` [S, 3, H, W] uint8; ``K`` [3, 3] float32;
            ``T_stereo`` [4, 4] float32, the pose of the stereo source (its length is the nominal
            baseline of 0.1); ``color_jitter`` [8] float32; ``index`` int64. With ``depth_hints``
            also ``hint`` [1, H, W] float32, see :func:`datasets.hints.depth_hint`.

        Raises:
            InputError: a frame is missing, damaged, or of another size than its drive's camera.
        """
        line = self.lines[index]
        draw = draw_augmentation(self.seed, epoch, index) if self.augment else NO_AUGMENTATION
        camera, size = self.cameras[line.folder, line.side]
        read = [self.frames.read(path, size) for path in self.paths(index)]
        hints = {}
        if self.depth_hints:
            source = read[1 + self.source_ids.index(STEREO)]
            hints["hint"] = depth_hint(read[0], source, line.side, float(camera.K[0, 0]))
        frames = np.empty((len(read), *read[0].shape), np.uint8)
        for frame, place in zip(read, frames):
            if draw.flip:
                mirrored(frame, place)
            else:
                place[:] = frame
        if draw.flip:
            hints = {key: mirrored(value) for key, value in hints.items()}
            camera = camera.flipped()
        return {
            **hints,
            "target": frames[0],
            "sources": frames[1:],
            "K": camera.K.astype(np.float32),
            "T_stereo": stereo_pose(line.side, draw.flip),
            "color_jitter": draw.color_jitter,
            "index": np.int64(index),
        }

    @without_collection()
    def facts(self) -> Facts:
        """The list of frames, the cameras and the files."""
        lines = "\n".join(map(str, self.lines))
        cameras = [
            f"{folder} {side} {camera.K.tolist()} {size}"
            for (folder, side), (camera, size) in sorted(self.cameras.items())
        ]
        return {
            "list of frames": f"{len(self.lines)} items ({digest(lines)})",
            "cameras": f"{len(cameras)} ({digest(chr(10).join(cameras))})",
            "baseline": f"{self.baseline_metres:.9g} m",
            **facts_of_files(self.all_paths()),
        }

    def all_paths(self) -> list[Path]:
        """The files that the items need, each once."""
        frames = dict.fromkeys(frame for i in range(len(self)) for frame in self._frames(i))
        return [self.layout.frame_path(self.data_path, *frame) for frame in frames]

    def check_files(self) -> None:
        """Raise InputError when frames that the items need are not there."""
        missing = missing_files(self.all_paths())
        if missing:
            others = missing[1:]
            rest = f" and {len(others)} more ({first_few(others)})" if others else ""
            there = there_with_other_endings(missing)
            if missing[0] in there:
                rest += f", though {there[missing[0]].name} is there (see --png)"
            raise InputError(
                f"{missing[0]}{rest}: no such image, and the split needs it as a target, a "
                "neighbouring frame or the other camera; check --data_path, --frame_ids and "
                "--split, or take its lines out of the split; for KITTI raw, python -m "
                "datasets.check lists what is missing and which archives hold it"
            )


def mirrored(images: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Images [..., H, W], left to right; into ``out``, where that is given."""
    out = np.empty_like(images) if out is None else out
    rows = (-1, images.shape[-1])
    cv2.flip(images.reshape(rows), 1, out.reshape(rows))
    return out


def stereo_pose(side: str, flip: bool) -> np.ndarray:
    """Pose of the other camera, [4, 4] ``source_T_target``, 0.1 long along x.

    The right camera sees a point further left, so for a left target x shrinks; a flip mirrors that.
    """
    sign = (-1 if side == "l" else 1) * (-1 if flip else 1)
    pose = np.eye(4, dtype=np.float32)
    pose[0, 3] = sign * NOMINAL_BASELINE
    return pose


@without_collection()
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
    depth_hints: bool = False,
) -> TrainingItems:
    """Find the files and cameras of a split; the other arguments are :class:`TrainingItems`'.

    Args:
        height: of the images given to the networks.
        width: likewise.
        png: read .png (True) or whichever files are there.
        intrinsics_kind: ``calibration`` of each drive's day, or the ``published`` camera.
        resize: how frames are brought to that size.

    Raises:
        InputError: frames or calibration are missing or cannot be used.
    """
    frames_of: dict[tuple[str, str], list[int]] = {}
    for line in lines:
        frames_of.setdefault((line.folder, line.side), []).append(line.frame)
    seen = set(frames_of)
    if STEREO in source_ids:
        seen |= {(folder, OTHER_SIDE[side]) for folder, side in frames_of}
    extensions = find_extensions(data_path, sorted(seen), png, layout.frame_path)
    frames = FrameFiles(height, width, resize)
    items = TrainingItems(
        data_path,
        tuple(lines),
        source_ids,
        frames,
        extensions,
        {},
        seed,
        augment,
        layout=layout,
        depth_hints=depth_hints,
    )
    items.check_files()
    cameras, calibrations, uncalibrated = {}, {}, set()
    for (folder, side), numbers in frames_of.items():
        day = layout.calibration_folder(data_path, folder)
        extension = extensions[folder, side]
        if intrinsics_kind == "calibration" and (day / layout.calibration_file).is_file():
            if day not in calibrations:
                calibrations[day] = layout.read_calibration(day)
            camera = calibrations[day].camera(side, str(day))
            some = (numbers[0], numbers[len(numbers) // 2], numbers[-1])
            paths = [layout.frame_path(data_path, folder, n, side, extension) for n in some]
            size = size_of_frames(paths, camera)
            if size != camera.image_size:
                say_resized(data_path, size, camera.image_size)
            cameras[folder, side] = camera.stretched((width, height)), size
            continue
        if intrinsics_kind == "calibration":
            uncalibrated.add(day)
        first = layout.frame_path(data_path, folder, 0, side, extension)
        cameras[folder, side] = published_camera(width, height), first_image_size(first)
    for day in sorted(uncalibrated):
        logger.warning(
            f"{day}: has no {layout.calibration_file}, so its drives use the published intrinsics "
            "(0.58, 1.92, 0.5, 0.5 of the image's size)"
        )
    baseline = common_baseline(calibrations) if STEREO in source_ids else KITTI_BASELINE_METRES
    return replace(items, cameras=cameras, baseline_metres=baseline)


def first_image_size(frame: Path) -> tuple[int, int]:
    """(width, height) of the first image in the folder of ``frame``, with its extension."""
    paths = [path for path in images_in(frame.parent) if path.suffix == frame.suffix]
    if not paths:
        raise InputError(f"{frame.parent}: holds no {frame.suffix} image")
    return picture_size(paths[0])
