"""Pictures with depth: pairs of files by name, in folders for training and validation.

A folder holds ``rgb`` and ``depth`` (or the names of :data:`PICTURE_FOLDERS` and
:data:`DEPTH_FOLDERS`) and ``depth.json``: ``{"kind": "depth", "metres_per_step": 0.001}``. ``kind``
is ``depth`` or ``inverse_depth``; ``metres_per_step`` (or 1 / metres) is what 1 means in the files.
Whole numbers need it; floating-point ones are metres without it. What seems to be wrong with the
depth of a whole data set is warned of.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from datasets.depth_files import KINDS, NOTE, DepthNote, depth_size, read_depth, unit_doubt
from datasets.folders import is_hidden
from datasets.pictures import PICTURES, picture_size
from system.errors import InputError
from system.files import read_json

logger = logging.getLogger(__name__)

PICTURE_FOLDERS = ("rgb", "images", "image", "color")
DEPTH_FOLDERS = ("depth", "depths", "depth_map")
DEPTHS = {".png", ".tif", ".tiff", ".npy", ".npz", ".exr"}
ENDING = re.compile(r"[_-]?(rgb|image|color|img|depth|disp)$", re.IGNORECASE)
HELD_OUT = 0.1  # share of the pairs for validation, where the folder has no part for it

STEPS = (1e-9, 1e9)  # what ``metres_per_step`` may be
MIXED_UNITS = 100  # between the medians of two pictures of one data set
INVERTED = 0.3  # correlation of depth with the row, from the top
LOOKED_AT = 20  # depth maps that are looked at for what is wrong with all

Item = TypeVar("Item")


class Pair(NamedTuple):
    """A picture and its depth."""

    picture: Path
    depth: Path


class Part(NamedTuple):
    """Pairs to train on, or to validate on, and what their depth files hold."""

    pairs: Sequence[Pair]
    note: DepthNote


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
        if path.suffix.lower() not in suffixes or is_hidden(path.relative_to(folder)):
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
        fields = read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(fields, dict) or fields.keys() - {"kind", "metres_per_step"}:
        raise InputError(f"{path}: must be a JSON object with kind and metres_per_step only")
    kind, step = fields.get("kind", "depth"), fields.get("metres_per_step")
    is_number = isinstance(step, (int, float)) and not isinstance(step, bool)
    if kind not in KINDS or not (step is None or (is_number and STEPS[0] <= step <= STEPS[1])):
        raise InputError(f"{path}: kind must be {' or '.join(KINDS)}, and metres_per_step above 0")
    return DepthNote(kind, None if step is None else float(step))


def find_part(folder: Path, part: str, seed: int) -> Part:
    """The ``train`` or ``val`` pairs of a data set.

    These are in the folders of that name; without ``val``, a share of all that follows from
    the seed is held out for it.

    Raises:
        InputError: files lack a partner, a pair differs in size, or there are too few pairs.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check --data_path and --mix_data_path")
    if (folder / "train").is_dir() and (folder / "val").is_dir():
        return checked(_found(folder / part), folder / part)
    whole = folder / "train" if (folder / "train").is_dir() else folder
    found = pairs, note = _found(whole)
    if len(pairs) < 2:
        raise InputError(f"{whole}: has one pair only; training takes one, validation another")
    count = max(1, round(HELD_OUT * len(pairs)))
    held = set(np.random.default_rng(seed).permutation(len(pairs))[:count].tolist())
    if part == "train":
        checked(found, whole)
        logger.info(
            f"{folder}: has no val folder: {count} of its {len(pairs)} pairs, drawn from --seed "
            f"{seed}, are for validation"
        )
    return Part([p for i, p in enumerate(pairs) if (i in held) == (part == "val")], note)


def _found(folder: Path) -> Part:
    """The pairs of a folder; its note may lie beside it, for all parts."""
    own = (folder / NOTE).is_file() or not (folder.parent / NOTE).is_file()
    return Part(find_pairs(folder), read_note(folder if own else folder.parent))


def checked(part: Part, folder: Path) -> Part:
    """The pairs, after warnings of what looks wrong with their depth.

    Raises:
        InputError: a picture and its depth differ in size.
    """
    for pair in part.pairs:
        picture, depth = picture_size(pair.picture), depth_size(pair.depth, part.note)
        if picture != depth:
            raise InputError(size_message(pair, picture, depth))
    for words in suspicions(*part):
        logger.warning("%s: %s", folder, words)
    return part


def size_message(pair: Pair, picture: tuple[int, int], depth: tuple[int, int]) -> str:
    """What is wrong with a pair whose sizes (width, height) differ."""
    return (
        f"{pair.depth}: has {depth[0]}x{depth[1]} pixels, {pair.picture} has "
        f"{picture[0]}x{picture[1]}; a pair must be of one size; resize one, or take both out"
    )


def suspicions(pairs: Sequence[Pair], note: DepthNote) -> list[str]:
    """What seems to be wrong with the depth of a whole data set, in words, judged by some pairs."""
    other = KINDS[1 - KINDS.index(note.kind)]
    return judge(
        (read_depth(pair.depth, note) for pair in some_of(pairs)),
        f"set metres_per_step in {NOTE}",
        f'if it is inverse depth, or the other way round, set "kind": "{other}" in {NOTE}',
    )


def some_of(items: Sequence[Item]) -> list[Item]:
    """At most :data:`LOOKED_AT` of the items, evenly spread."""
    places = np.linspace(0, len(items) - 1, min(LOOKED_AT, len(items))).astype(int)
    return [items[place] for place in places]


def judge(depths: Iterable[np.ndarray], unit_remedy: str, order_remedy: str) -> list[str]:
    """What seems to be wrong with depth maps of one data set, in words.

    Units are judged by the median, a swap of near and far by where it is near, which is mostly
    below.

    Args:
        depths: metres [H, W], 0 where unknown.
        unit_remedy: what to do about a wrong unit.
        order_remedy: what to do about near and far swapped.
    """
    medians, slopes, unknown = [], [], []
    for depth in depths:
        known = depth > 0
        unknown.append(1 - known.mean())
        if not known.any():
            continue
        medians.append(np.median(depth[known]))
        rows = np.nonzero(known)[0]
        order = np.argsort(np.argsort(depth[known]))
        if rows.std() > 0 and order.std() > 0:
            slopes.append(np.corrcoef(rows, order)[0, 1])
    if not medians:
        return ["no depth is known anywhere: 0, negative and infinite values count as unknown"]
    words = []
    doubt = unit_doubt(float(np.median(medians)))
    if doubt is not None:
        words.append(f"{doubt}; {unit_remedy}")
    if max(medians) > MIXED_UNITS * min(medians):
        words.append(
            f"the median depth is {min(medians):.3g} m in one picture and {max(medians):.3g} m in "
            f"another: the files look of different units; {unit_remedy}, one for all files"
        )
    if slopes and float(np.median(slopes)) > INVERTED:
        words.append(
            "depth grows towards the lower edge in most pictures: near and far look swapped; "
            f"{order_remedy}"
        )
    if max(unknown) > 0:
        share = np.mean(unknown)
        words.append(f"{share:.1%} of the pixels are unknown (0 or not finite): left out")
    return words
