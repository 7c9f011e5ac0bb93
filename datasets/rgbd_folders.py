"""The training and validation part of folders of pictures with depth, looked at before training."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.rgbd import NOTE, DepthNote, Pair, find_pairs, read_depth, read_note, suspicions
from datasets.rgbd_items import size_message
from errors import InputError

logger = logging.getLogger(__name__)

HELD_OUT = 0.1  # share of the pairs for validation, where the folder has no part for it
TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
ORIENTATION = 0x0112


@dataclass(frozen=True)
class Part:
    """Pairs to train on, or to validate on, and what their depth files hold."""

    pairs: Sequence[Pair]
    note: DepthNote


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
        pairs, note = _found(folder / part)
        return Part(checked(pairs, note, folder / part), note)
    whole = folder / "train" if (folder / "train").is_dir() else folder
    pairs, note = _found(whole)
    if len(pairs) < 2:
        raise InputError(f"{whole}: has one pair only; training takes one, validation another")
    count = max(1, round(HELD_OUT * len(pairs)))
    held = set(np.random.default_rng(seed).permutation(len(pairs))[:count].tolist())
    if part == "train":
        checked(pairs, note, whole)
        logger.info(
            "%s: has no val folder: %d of its %d pairs, drawn from --seed %d, are for validation",
            folder,
            count,
            len(pairs),
            seed,
        )
    return Part([p for i, p in enumerate(pairs) if (i in held) == (part == "val")], note)


def _found(folder: Path) -> tuple[list[Pair], DepthNote]:
    """The pairs of a folder; its note may lie beside it, for all parts."""
    own = (folder / NOTE).is_file() or not (folder.parent / NOTE).is_file()
    return find_pairs(folder), read_note(folder if own else folder.parent)


def checked(pairs: Sequence[Pair], note: DepthNote, folder: Path) -> Sequence[Pair]:
    """The pairs, after warnings of what looks wrong with their depth.

    Raises:
        InputError: a picture and its depth differ in size.
    """
    for pair in pairs:
        picture, depth = picture_size(pair.picture), depth_size(pair.depth, note)
        if picture != depth:
            raise InputError(size_message(pair, picture, depth))
    for words in suspicions(pairs, note):
        logger.warning("%s: %s", folder, words)
    return pairs


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture as it is seen, from the head of its file."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION) in TURNED
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read as a picture ({error}); replace it") from error
    return (height, width) if turned else (width, height)


def depth_size(path: Path, note: DepthNote) -> tuple[int, int]:
    """(width, height) of a depth file; from its head alone, where that says it."""
    try:
        if path.suffix.lower() == ".png":
            with Image.open(path) as image:
                return image.size
        if path.suffix.lower() == ".npy":
            height, width = np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
            return width, height
    except (OSError, SyntaxError, ValueError):
        pass  # read_depth says what is wrong with it
    height, width = read_depth(path, note).shape
    return width, height
