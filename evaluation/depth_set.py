"""What a set of pictures with known depth, or known order of depth, is to an evaluation.

Ordinal labels say which of two points of a picture is nearer (Chen et al., NeurIPS 2016). They are
read from a CSV as that of DIW: a line with the path of a picture, then one or more lines
``y_A,x_A,y_B,x_B,relation,width,height``. Coordinates count from 1 at the upper left, in pixels of
a picture of ``width`` x ``height``; ``>`` says that A is nearer than B, ``<`` that B is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np

from system.errors import InputError
from system.files import read_text

LISTED = 10  # names in a message
CONVENTION = "> says that the first point is nearer"
CLOSER = {">": 1, "<": -1}
FIELDS = "y_A,x_A,y_B,x_B,relation,width,height"


class OrdinalLabels(NamedTuple):
    """The labels of one picture.

    Attributes:
        points: [N, 2, 2] A and B, each row and column as shares of height and width.
        closer: [N], 1 where A is nearer, -1 where B is.
    """

    points: np.ndarray
    closer: np.ndarray

    def pixels(self, height: int, width: int) -> np.ndarray:
        """The points as pixels, int [N, 2, 2] rows and columns, of a picture of any size."""
        size = np.array([height, width])
        return np.clip(np.floor(self.points * size).astype(int), 0, size - 1)


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
        of_another_size: whether depth is coarser than the pictures: predictions are brought to its
            points.
        with_log10: whether the mean error of log10 of depth is measured too.
        unit_remedy: what to do where depth looks as if in another unit.
        order_remedy: what to do where near and far look swapped.
        close: ends the use of the set.
    """

    layout: str
    samples: Sequence[Sample]
    crop: str = "none"
    counted: Callable[[np.ndarray], np.ndarray] = lambda depth: depth > 0  # all that are known
    farthest: float | None = None
    note: str = ""
    of_another_size: bool = False
    with_log10: bool = False
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


def read_labels(path: Path) -> dict[str, OrdinalLabels]:
    """The labels of a CSV by the paths of pictures that it holds, in its order.

    Raises:
        InputError: the file is missing, is no text, has no label, or a malformed line.
    """
    try:
        lines = read_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as ordinal labels ({error})") from error
    found: dict[str, list[tuple[np.ndarray, int]]] = {}
    current: list[tuple[np.ndarray, int]] | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if line.count(",") == FIELDS.count(","):
            if current is None:
                raise _wrong(path, number, "a label comes before any picture")
            current.append(_label(line, path, number))
            continue
        if current == []:
            raise _wrong(path, number, f"expected a label {FIELDS}, got '{line.strip()[:80]}'")
        current = found.setdefault(line.strip(), [])
    if not found or current == []:
        raise InputError(f"{path}: ends before a label {FIELDS}")
    return {name: OrdinalLabels(*map(np.array, zip(*labels))) for name, labels in found.items()}


def _label(line: str, path: Path, number: int) -> tuple[np.ndarray, int]:
    *coordinates, relation, width, height = (word.strip() for word in line.split(","))
    if relation not in CLOSER:
        raise _wrong(path, number, f"the relation must be > or <, is '{relation[:20]}'")
    try:
        points = np.array([float(word) for word in coordinates]).reshape(2, 2)
        size = np.array([float(height), float(width)])
    except ValueError as error:
        raise _wrong(path, number, f"{FIELDS} must be numbers ({error})") from error
    # 0 is taken for 1: whether a list counts from 0 or 1 is half a pixel.
    inside = np.isfinite(points).all() and (points >= 0).all() and (points <= size).all()
    if not inside or not (size >= 1).all():
        raise _wrong(path, number, "a point lies outside the picture")
    # The centre of pixel 1 lies half a pixel from the border.
    return (np.maximum(points, 1) - 0.5) / size, CLOSER[relation]


def _wrong(path: Path, number: int, what: str) -> InputError:
    return InputError(f"{path}, line {number}: {what}")


def wrong_labels(prediction: np.ndarray, labels: OrdinalLabels) -> int:
    """How many labels of a picture its relative inverse depth [H, W] gets wrong.

    WHDR is their share, alike weighted.
    """
    first, second = labels.pixels(*prediction.shape).transpose(1, 2, 0)
    difference = prediction[tuple(first)] - prediction[tuple(second)]
    return int(np.sum(np.sign(difference) != labels.closer))


def find_pictures(labels: Mapping[str, OrdinalLabels], folder: Path) -> dict[str, Path]:
    """The file of each picture that labels name: below ``folder``, or in it by name alone.

    Raises:
        InputError: some are missing; these are listed.
    """
    files = {}
    for name in labels:
        places = (folder / name, folder / name.replace("\\", "/").rpartition("/")[2])
        files[name] = next(filter(Path.is_file, places), None)
    missing = [name for name, path in files.items() if path is None]
    if missing:
        shown = ", ".join(missing[:10]) + (" ..." if len(missing) > 10 else "")
        raise InputError(
            f"{folder}: {len(missing)} pictures that the labels name are missing: {shown}; add "
            "them, or take their labels out"
        )
    return files
