"""Ordinal labels: which of two points of a picture is nearer (Chen et al., NeurIPS 2016).

Read from a CSV as that of DIW: a line with the path of a picture, then one or more lines
``y_A,x_A,y_B,x_B,relation,width,height``. Coordinates count from 1 at the upper left, in pixels of
a picture of ``width`` x ``height``; ``>`` says that A is nearer than B, ``<`` that B is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from errors import InputError

CONVENTION = "> says that the first point is nearer"
CLOSER = {">": 1, "<": -1}
FIELDS = "y_A,x_A,y_B,x_B,relation,width,height"


@dataclass(frozen=True)
class OrdinalLabels:
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


def read_labels(path: Path) -> dict[str, OrdinalLabels]:
    """The labels of a CSV by the paths of pictures that it holds, in its order.

    Raises:
        InputError: the file is missing, is no text, has no label, or a malformed line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
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
    return {
        name: OrdinalLabels(np.stack([points for points, _ in labels]), np.array(closer))
        for name, labels in found.items()
        for closer in ([each for _, each in labels],)
    }


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


def whdr(
    prediction: np.ndarray, first: np.ndarray, second: np.ndarray, closer: np.ndarray
) -> float:
    """Share of ordinal labels that a prediction gets wrong, all weighted alike.

    Args:
        prediction: relative inverse depth [H, W].
        first: pixels [N, 2], row and column.
        second: likewise.
        closer: [N], 1 where the first is nearer, -1 where the second is.
    """
    difference = prediction[tuple(first.T)] - prediction[tuple(second.T)]
    return float(np.mean(np.sign(difference) != closer))


def wrong_labels(prediction: np.ndarray, labels: OrdinalLabels) -> int:
    """How many labels of a picture a prediction [H, W] gets wrong."""
    first, second = labels.pixels(*prediction.shape).transpose(1, 0, 2)
    return round(whdr(prediction, first, second, labels.closer) * len(labels.closer))


def find_pictures(labels: Mapping[str, OrdinalLabels], folder: Path) -> dict[str, Path]:
    """The file of each picture that labels name: below ``folder``, or in it by name alone.

    Raises:
        InputError: some are missing; these are listed.
    """
    files, missing = {}, []
    for name in labels:
        path = folder / name
        if not path.is_file():
            path = folder / name.replace("\\", "/").rpartition("/")[2]
        if path.is_file():
            files[name] = path
        else:
            missing.append(name)
    if missing:
        shown = ", ".join(missing[:10]) + (" ..." if len(missing) > 10 else "")
        raise InputError(
            f"{folder}: {len(missing)} pictures that the labels name are missing: {shown}; add "
            "them, or take their labels out"
        )
    return files
