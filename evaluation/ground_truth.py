"""Ground truth of a split's test images: reading ``gt_depths.npz`` one image at a time."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from datasets.splits import split_folder
from errors import InputError

FILE_NAME = "gt_depths.npz"
KIND_KEY = "kind"

FORWARD = "velodyne_forward"
CAMERA = "velodyne_camera"
IMPROVED = "kitti_improved"
KINDS = {
    FORWARD: "raw LiDAR, its forward coordinate (as published)",
    CAMERA: "raw LiDAR, true camera depth",
    IMPROVED: "improved KITTI depth, accumulated over frames",
}

EXPORT_HINT = "make it with export_gt_depth.py --data_path KITTI --split SPLIT"


def ground_truth_file(split: str, gt_path: Path | None) -> Path:
    """Return the ground truth's path: in the split's folder, or where ``gt_path`` says.

    ``gt_path`` may name the ``.npz`` file or the folder it lies in.
    """
    if gt_path is None:
        return split_folder(split) / FILE_NAME
    return gt_path if gt_path.suffix == ".npz" else gt_path / FILE_NAME


def array_key(index: int) -> str:
    """Return the key of one image's depth map in ``gt_depths.npz``."""
    return f"{index:06d}"


class GroundTruth:
    """The depth maps of a split, read from ``gt_depths.npz`` when they are asked for.

    ``kind`` is a key of :data:`KINDS`; item i is float32 [H,W] in metres, 0 where unknown.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._archive = _open_archive(path)
        self.kind = str(self._archive[KIND_KEY])
        if self.kind not in KINDS:
            raise InputError(f"{path}: unknown kind of ground truth '{self.kind}'; {EXPORT_HINT}")

    def __len__(self) -> int:
        return len(self._archive.files) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        try:
            return self._archive[array_key(index)]
        except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{self._path}: image {index} cannot be read ({error}); {EXPORT_HINT}"
            ) from error

    def __enter__(self) -> GroundTruth:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()


def open_ground_truth(path: Path, count: int) -> GroundTruth:
    """Open the ground truth of a split of ``count`` test images.

    Raises:
        InputError: the file is missing, damaged, of another format, or of another count.
    """
    ground_truth = GroundTruth(path)
    if len(ground_truth) != count:
        raise InputError(
            f"{path}: holds {len(ground_truth)} images, but the split's test list has {count}; "
            f"{EXPORT_HINT}"
        )
    return ground_truth


def _open_archive(path: Path) -> np.lib.npyio.NpzFile:
    try:
        archive = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no ground truth there; {EXPORT_HINT}") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as ground truth ({error})") from error
    if not isinstance(archive, np.lib.npyio.NpzFile) or KIND_KEY not in archive.files:
        raise InputError(
            f"{path}: not this project's format; the published file is a pickle, which can run "
            f"code when it is read: {EXPORT_HINT}"
        )
    return archive
