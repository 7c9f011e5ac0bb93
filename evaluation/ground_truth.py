"""Ground truth of a split's test images: reading ``gt_depths.npz``.

Our own files are read one image at a time. Those of the published export hold one pickled array of
arrays, which is read whole, by the restricted reader.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from datasets.splits import split_folder
from errors import InputError
from weight_files.restricted_pickle import PickledArray, load_pickle

FILE_NAME = "gt_depths.npz"
KIND_KEY = "kind"

FORWARD = "velodyne_forward"
CAMERA = "velodyne_camera"
IMPROVED = "kitti_improved"
PUBLISHED_KEY = "data"
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


class PublishedGroundTruth:
    """The depth maps of a file of the published export, all in memory."""

    def __init__(self, path: Path, kind: str) -> None:
        self._maps = read_published(path)
        self.kind = kind

    def __len__(self) -> int:
        return len(self._maps)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._maps[index]

    def __enter__(self) -> PublishedGroundTruth:
        return self

    def __exit__(self, *_: object) -> None:
        self._maps = []


def open_ground_truth(
    path: Path, count: int, published_kind: str = FORWARD
) -> GroundTruth | PublishedGroundTruth:
    """Open the ground truth of a split of ``count`` test images.

    A file of the published export does not say its kind: ``published_kind`` does.

    Raises:
        InputError: the file is missing, damaged, of another format, or of another count.
    """
    archive = _open_archive(path)
    published = KIND_KEY not in archive.files
    archive.close()
    ground_truth = PublishedGroundTruth(path, published_kind) if published else GroundTruth(path)
    if len(ground_truth) != count:
        raise InputError(
            f"{path}: holds {len(ground_truth)} images, but the split's test list has {count}; "
            f"{EXPORT_HINT}"
        )
    return ground_truth


def read_published(path: Path) -> list[np.ndarray]:
    """The depth maps float32 [H,W] of a file that the published export wrote.

    Maps of one size may have become one array [N,H,W]; else they are pickled.

    Raises:
        InputError: the file is damaged, holds something else, or asks to run code.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{PUBLISHED_KEY}.npy") as file:
            version = np.lib.format.read_magic(file)
            read_header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = read_header(file)
            if dtype.hasobject:
                content = load_pickle(file, str(path))
                items = content.array if isinstance(content, PickledArray) else content
                maps = [item.array for item in items]
            else:
                maps = list(np.frombuffer(file.read(), dtype).reshape(shape))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as ground truth ({error})") from error
    if not all(isinstance(m, np.ndarray) and m.ndim == 2 and m.dtype.kind == "f" for m in maps):
        raise InputError(f"{path}: holds something other than depth maps; {EXPORT_HINT}")
    return [depth.astype(np.float32, copy=False) for depth in maps]


def _open_archive(path: Path) -> np.lib.npyio.NpzFile:
    try:
        archive = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no ground truth there; {EXPORT_HINT}") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as ground truth ({error})") from error
    is_archive = isinstance(archive, np.lib.npyio.NpzFile)
    if not is_archive or not {KIND_KEY, PUBLISHED_KEY} & set(archive.files):
        raise InputError(
            f"{path}: neither this project's ground truth nor that of the published export; "
            f"{EXPORT_HINT}"
        )
    return archive
