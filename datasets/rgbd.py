"""Pictures with depth: pairs of files by name, depth from PNG, NPY, NPZ or EXR.

A folder holds ``rgb`` and ``depth`` (or the names of :data:`PICTURE_FOLDERS` and
:data:`DEPTH_FOLDERS`) and ``depth.json``: ``{"kind": "depth", "metres_per_step": 0.001}``. ``kind``
is ``depth`` or ``inverse_depth``; ``metres_per_step`` (or 1 / metres) is of whole numbers, and
needed for these only. 0, negative, and what is not finite is unknown. A sparse ``.npz`` has
``index``, flat pixel numbers, ``depth`` at these, and ``shape``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from datasets.depth_suspicions import judge, some_of
from datasets.exr import read_exr
from errors import InputError

PICTURE_FOLDERS = ("rgb", "images", "image", "color")
DEPTH_FOLDERS = ("depth", "depths", "depth_map")
PICTURES = {".jpg", ".jpeg", ".png"}
DEPTHS = {".png", ".npy", ".npz", ".exr"}
NOTE = "depth.json"
ENDING = re.compile(r"[_-]?(rgb|image|color|img|depth|disp)$", re.IGNORECASE)
KINDS = ("depth", "inverse_depth")


@dataclass(frozen=True)
class DepthNote:
    """What ``depth.json`` says.

    Attributes:
        kind: ``depth`` or ``inverse_depth``.
        metres_per_step: of whole numbers; None when it is not said.
    """

    kind: str = "depth"
    metres_per_step: float | None = None


@dataclass(frozen=True)
class Pair:
    """A picture and its depth."""

    picture: Path
    depth: Path


def find_pairs(folder: Path) -> list[Pair]:
    """The pairs of a folder, by their names without ending and ``_rgb``, ``_depth`` and the like.

    Raises:
        InputError: there are none, or files without a partner; these are listed.
    """
    pictures = _by_name(_sub_folder(folder, PICTURE_FOLDERS), PICTURES)
    depths = _by_name(_sub_folder(folder, DEPTH_FOLDERS), DEPTHS)
    alone = [str(pictures[name]) for name in sorted(pictures.keys() - depths.keys())]
    alone += [str(depths[name]) for name in sorted(depths.keys() - pictures.keys())]
    if alone:
        shown = ", ".join(alone[:10]) + (f" and {len(alone) - 10} more" if len(alone) > 10 else "")
        raise InputError(
            f"{folder}: {len(alone)} files have no partner of the same name: {shown}; add the "
            "partners, or take them out"
        )
    if not pictures:
        raise InputError(f"{folder}: holds no pairs of pictures and depth")
    return [Pair(pictures[name], depths[name]) for name in sorted(pictures)]


def _sub_folder(folder: Path, names: Sequence[str]) -> Path:
    found = [folder / name for name in names if (folder / name).is_dir()]
    if len(found) != 1:
        what = "none of" if not found else "more than one of"
        raise InputError(f"{folder}: holds {what} the folders {', '.join(names)}; it must hold one")
    return found[0]


def _by_name(folder: Path, suffixes: set[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in suffixes:
            continue
        relative = path.relative_to(folder).with_suffix("")
        name = str(relative.with_name(ENDING.sub("", relative.name)))
        if name in files:
            raise InputError(f"{files[name]} and {path}: have the same name; remove one")
        files[name] = path
    return files


def read_note(folder: Path) -> DepthNote:
    """What a folder says of its depth; metres where there is no ``depth.json``.

    Raises:
        InputError: it is damaged, or says what cannot be.
    """
    path = folder / NOTE
    if not path.is_file():
        return DepthNote()
    try:
        fields = json.loads(path.read_text(encoding="utf-8-sig"))
        note = DepthNote(**fields)
        step = None if note.metres_per_step is None else float(note.metres_per_step)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: must be a JSON object with kind and metres_per_step ({error})"
        ) from error
    if note.kind not in KINDS or (step is not None and not 0 < step < np.inf):
        raise InputError(f"{path}: kind must be {' or '.join(KINDS)}, and metres_per_step above 0")
    return DepthNote(note.kind, step)


def read_depth(path: Path, note: DepthNote) -> np.ndarray:
    """Depth in metres, float32 [H, W], 0 where it is not known.

    Raises:
        InputError: the file is damaged, of another form, or of whole numbers of an unknown unit.
    """
    values = _read_values(path)
    if values.ndim == 3:
        values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind not in "uif":
        held = f"{values.dtype} {values.shape}"
        raise InputError(f"{path}: must hold one number a pixel, holds {held}")
    if values.dtype.kind in "ui":
        if note.metres_per_step is None:
            raise InputError(
                f"{path}: holds whole numbers of an unknown unit; say in {NOTE} of its data set "
                'how many metres a step is, as in {"metres_per_step": 0.001}'
            )
        values = values * np.float64(note.metres_per_step)
    with np.errstate(invalid="ignore", divide="ignore"):
        known = np.isfinite(values) & (values > 0)
        metres = np.where(known, values, 1)
        if note.kind == "inverse_depth":
            metres = 1 / metres
    return np.where(known, metres, 0).astype(np.float32)


def _read_values(path: Path) -> np.ndarray:
    suffix = path.suffix.lower()
    try:
        if suffix == ".npy":
            return np.load(path, allow_pickle=False)
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                if {"index", "depth", "shape"} <= set(file.files):
                    dense = np.zeros(tuple(file["shape"]), np.float32)
                    dense.ravel()[file["index"]] = file["depth"]
                    return dense
                return file["depth" if "depth" in file.files else file.files[0]]
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: cannot be read as depth ({error})") from error
    if suffix == ".exr":
        return read_exr(path)
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise InputError(f"{path}: cannot be read as depth; it is damaged or of another kind")
    if suffix == ".png" and values.dtype == np.uint8:
        raise InputError(f"{path}: has 8 bits, which is a picture of depth; it needs 16")
    return values


def suspicions(pairs: Sequence[Pair], note: DepthNote) -> list[str]:
    """What seems to be wrong with the depth of a whole data set, in words, judged by some pairs."""
    other = KINDS[1 - KINDS.index(note.kind)]
    return judge(
        (read_depth(pair.depth, note) for pair in some_of(pairs)),
        f"set metres_per_step in {NOTE}",
        f'if it is inverse depth, or the other way round, set "kind": "{other}" in {NOTE}',
    )
