"""The layouts of data sets that relative depth is measured on, and how one is told by its look."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Callable, NamedTuple

from datasets.rgbd import (
    DEPTH_FOLDERS,
    KINDS,
    NOTE,
    PICTURE_FOLDERS,
    find_pairs,
    read_depth,
    read_note,
)
from errors import InputError
from evaluation.depth_set import DepthSet, Sample, Source
from evaluation.diode import looks_like_diode, open_diode
from evaluation.kitti import looks_like_kitti, open_kitti
from evaluation.nyu import looks_like_nyu, open_nyu
from evaluation.ordinal import CONVENTION, find_pictures, read_labels

logger = logging.getLogger(__name__)

ORDINAL = "ordinal.csv"
DIW_TEST = "DIW_test.csv"


class Layout(NamedTuple):
    """A layout: what it consists of in words, whether a path looks like it, how it is opened."""

    words: str
    looks_like: Callable[[Path], bool]
    open: Callable[[Source], DepthSet]


def open_depth_set(source: Source, layout: str | None = None) -> DepthSet:
    """Open a data set in one of :data:`LAYOUTS`, or in that which it looks like, which is logged.

    Raises:
        InputError: it is not there, looks like none, or is not complete.
    """
    path = source.data_path
    if not path.exists():
        raise InputError(f"--data_path {path}: there is no such file or folder; check the path")
    if layout is None:
        layout = find_layout(path)
        logger.info("%s: looks like --layout %s (%s)", path, layout, LAYOUTS[layout].words)
    return LAYOUTS[layout].open(source)


def find_layout(path: Path) -> str:
    """The name of the first layout that a path looks like.

    Raises:
        InputError: there is none.
    """
    for name, layout in LAYOUTS.items():
        if layout.looks_like(path):
            return name
    known = "; ".join(f"{name}: {layout.words}" for name, layout in LAYOUTS.items())
    raise InputError(f"--data_path {path}: looks like none of the layouts ({known})")


def _looks_like_pairs(path: Path) -> bool:
    return all(
        any((path / name).is_dir() for name in names) for names in (PICTURE_FOLDERS, DEPTH_FOLDERS)
    )


def open_pairs(source: Source) -> DepthSet:
    """Pairs by name, see :mod:`datasets.rgbd`; with :data:`ORDINAL`, its labels too."""
    folder = source.data_path
    pairs, note = find_pairs(folder), read_note(folder)
    labels = {}
    if (folder / ORDINAL).is_file():
        by_name = read_labels(folder / ORDINAL)
        files = find_pictures(by_name, folder)
        labels = {files[name].resolve(): each for name, each in by_name.items()}
    samples = [
        Sample(
            pair.picture.relative_to(folder).as_posix(),
            pair.picture,
            partial(read_depth, pair.depth, note),
            labels.pop(pair.picture.resolve(), None),
        )
        for pair in pairs
    ]
    samples += [Sample(path.name, path, None, each) for path, each in labels.items()]
    other = KINDS[1 - KINDS.index(note.kind)]
    return DepthSet(
        "pairs",
        samples,
        unit_remedy=f"set metres_per_step in {NOTE}",
        order_remedy="if it is inverse depth, or the other way round, set "
        f'"kind": "{other}" in {NOTE}',
    )


def _looks_like_diw(path: Path) -> bool:
    return path.suffix == ".csv" if path.is_file() else any(path.glob("*.csv"))


def open_diw(source: Source) -> DepthSet:
    """Pictures with ordinal labels and no depth, as DIW's: a CSV, or the folder it lies in."""
    path = source.data_path
    if path.is_dir():
        tables = sorted(path.glob("*.csv"))
        tables = [table for table in tables if table.name == DIW_TEST] or tables
        if len(tables) != 1:
            raise InputError(f"{path}: must hold one CSV, holds {len(tables)}; name it itself")
        path = tables[0]
    labels = read_labels(path)
    files = find_pictures(labels, path.parent)
    samples = [Sample(name, files[name], None, each) for name, each in labels.items()]
    return DepthSet("diw", samples, note=CONVENTION)


LAYOUTS = {
    "pairs": Layout("rgb and depth folders", _looks_like_pairs, open_pairs),
    "kitti": Layout("KITTI's drives", looks_like_kitti, open_kitti),
    "nyu": Layout("NYU Depth v2, rgb_N with sync_depth_N.png", looks_like_nyu, open_nyu),
    "diode": Layout("DIODE, NAME.png with NAME_depth.npy", looks_like_diode, open_diode),
    "diw": Layout("ordinal labels in a CSV", _looks_like_diw, open_diw),
}
