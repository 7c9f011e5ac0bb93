"""What a set of pictures with known depth, or known order of depth, is to an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np

from errors import InputError
from evaluation.ordinal import OrdinalLabels

LISTED = 10  # names in a message


@dataclass(frozen=True)
class Source:
    """Where a set is, and what KITTI's layout needs beside.

    Attributes:
        data_path: the folder, or the file that is the set.
        split: published name or folder, whose test images are taken.
        gt_path: ground truth of the split; None: in the split's folder.
        png: read .png frames; None: whichever are there.
    """

    data_path: Path
    split: str = "eigen"
    gt_path: Path | None = None
    png: bool | None = None


@dataclass(frozen=True)
class Sample:
    """A picture, and what is known of it.

    Attributes:
        name: in tables and messages.
        picture: its file, or what reads it as RGB uint8 [H, W, 3].
        read_depth: metres float32 [H, W], 0 where unknown; None where no depth belongs to it.
        labels: ordinal ones.
    """

    name: str
    picture: Path | Callable[[], np.ndarray]
    read_depth: Callable[[], np.ndarray] | None = None
    labels: OrdinalLabels | None = None

    def read_picture(self) -> Path | np.ndarray:
        """What a predictor takes."""
        return self.picture() if callable(self.picture) else self.picture


def known(depth: np.ndarray) -> np.ndarray:
    """bool [H, W], True where depth [H, W] is known."""
    return depth > 0


@dataclass(frozen=True)
class DepthSet:
    """Pictures of one layout, and the pixels of theirs that count.

    Attributes:
        layout: its name.
        samples: the pictures.
        crop: in words.
        counted: from depth [H, W] to bool [H, W]: the pixels that are measured.
        farthest: predictions beyond are taken for this far, metres; None: no cap.
        note: what else is to be said of the ground truth.
        unit_remedy: what to do where depth looks as if in another unit.
        order_remedy: what to do where near and far look swapped.
        close: ends the use of the set.
    """

    layout: str
    samples: Sequence[Sample]
    crop: str = "none"
    counted: Callable[[np.ndarray], np.ndarray] = known
    farthest: float | None = None
    note: str = ""
    unit_remedy: str = "bring it into this layout's unit, or into the layout of pairs"
    order_remedy: str = 'bring it into the layout of pairs, with "kind": "inverse_depth"'
    close: Callable[[], None] = lambda: None


def check_partners(folder: Path, alone: Sequence[Path], what: str) -> None:
    """Refuse files that lack the others that belong to them; these are listed.

    Raises:
        InputError: there are any; ``what`` says what a file needs beside.
    """
    if alone:
        raise InputError(
            f"{folder}: {len(alone)} files lack their partners: {listed(alone)}; {what}"
        )


def listed(names: Sequence[object]) -> str:
    """The first of some names, and how many more there are."""
    shown = ", ".join(str(name) for name in names[:LISTED])
    return shown + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
