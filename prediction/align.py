"""Metres for a model without a unit, from a few points whose distance is known.

Inverse depth in metres is fitted as ``scale * disparity``, or ``scale * disparity + shift``, by
medians (Theil and Sen), so that a few wrong points do not matter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from errors import InputError
from prediction.depth_map import InverseDepth

MOST_POINTS = 2000  # of a depth file
MOST_PAIRS = 200_000
PICTURE_UNITS = {"millimetres": 1000.0, "kitti": 256.0}


@dataclass(frozen=True)
class Alignment:
    """What was fitted, and how well.

    Attributes:
        inverse_depth: the fit.
        points: that it was fitted to.
        median_error: of the depth, as a share of it.
        model: name of the model that it is of.
    """

    inverse_depth: InverseDepth
    points: int
    median_error: float
    model: str = ""

    def to_json(self) -> str:
        """The text of an alignment file."""
        fit = self.inverse_depth
        fields = {"model": self.model, "scale": fit.scale, "shift": fit.shift}
        fields.update({"points": self.points, "median_error": self.median_error})
        return json.dumps(fields, indent=2) + "\n"


def fit(disparity: np.ndarray, points: np.ndarray, with_shift: bool, model: str = "") -> Alignment:
    """Fit disparity to known distances.

    Args:
        disparity: [H, W].
        points: [N, 3]: x, y in pixels from the upper left, and depth in metres.
        with_shift: whether inverse depth also has a shift, as MiDaS's has.
        model: name of the model.

    Raises:
        InputError: a point lies outside or has no distance, there are fewer points than unknowns,
            or they contradict the model.
    """
    height, width = disparity.shape
    for x, y, metres in points:
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            raise InputError(f"point {x:g} {y:g}: lies outside the picture of {width}x{height}")
        if not (np.isfinite(metres) and metres > 0):
            raise InputError(f"point {x:g} {y:g}: {metres:g} m is no distance; it must be above 0")
    needed = 2 if with_shift else 1
    if len(points) < needed:
        what = "scale and shift need two points" if with_shift else "the scale needs a point"
        raise InputError(f"{len(points)} points: {what} at least; add --points 'x y metres'")
    columns, rows = np.rint(points[:, :2]).astype(int).T
    seen = disparity[rows, columns].astype(np.float64)
    inverse = 1 / points[:, 2].astype(np.float64)
    if with_shift:
        scale, shift = _line(seen, inverse)
    else:
        scale, shift = float(np.median(inverse / np.maximum(seen, 1e-12))), 0.0
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(
            "the points: those that are nearer look farther to the model; check their order "
            "(x y metres), or leave out --shift"
        )
    fitted = np.maximum(scale * seen + shift, 1e-12)
    error = float(np.median(np.abs(inverse / fitted - 1)))
    return Alignment(InverseDepth(scale, shift), len(points), error, model)


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of y over x: medians over pairs of points, then over points."""
    count = len(x)
    if count * (count - 1) // 2 <= MOST_PAIRS:
        pairs = np.stack(np.triu_indices(count, 1), axis=1)
    else:
        pairs = np.random.default_rng(0).integers(0, count, (MOST_PAIRS, 2))
    run = x[pairs[:, 1]] - x[pairs[:, 0]]
    far_apart = np.abs(run) > 1e-6 * max(np.abs(x).max(), 1e-12)
    if not far_apart.any():
        raise InputError(
            "the points: all look equally far to the model, so that scale and shift cannot be "
            "told apart; add one at another distance, or leave out --shift"
        )
    rise = y[pairs[:, 1]] - y[pairs[:, 0]]
    slope = float(np.median(rise[far_apart] / run[far_apart]))
    return slope, float(np.median(y - slope * x))


def read_points(words: tuple[str, ...]) -> np.ndarray:
    """Points [N, 3] of texts ``x y metres``.

    Raises:
        InputError: one is not three numbers.
    """
    points = []
    for word in words:
        try:
            x, y, metres = (float(number) for number in word.replace(",", " ").split())
        except ValueError:
            raise InputError(f"--points '{word}': must be 'x y metres', three numbers") from None
        points.append((x, y, metres))
    return np.array(points, np.float64).reshape(-1, 3)


def read_sparse_depth(path: Path, unit: str, shape: tuple[int, int]) -> np.ndarray:
    """Points [N, 3] of a depth file: ``.npy`` in metres, or a 16-bit PNG; 0 means unknown.

    Raises:
        InputError: it cannot be read, has another size than ``shape`` (height, width), or no depth.
    """
    try:
        if path.suffix.lower() == ".npy":
            depth = np.load(path, allow_pickle=False).astype(np.float64)
        else:
            with Image.open(path) as file:
                depth = np.asarray(file).astype(np.float64) / PICTURE_UNITS[unit]
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: cannot be read as depth ({error})") from error
    if depth.shape != shape:
        raise InputError(
            f"{path}: has shape {'x'.join(map(str, depth.shape[::-1]))}, the picture "
            f"{shape[1]}x{shape[0]}; they must be of one size"
        )
    rows, columns = np.nonzero(np.isfinite(depth) & (depth > 0))
    if len(rows) == 0:
        raise InputError(f"{path}: holds no depth; 0 means unknown")
    chosen = np.linspace(0, len(rows) - 1, min(MOST_POINTS, len(rows))).astype(int)
    rows, columns = rows[chosen], columns[chosen]
    return np.stack([columns, rows, depth[rows, columns]], axis=1)


def read_alignment(path: Path, model: str) -> InverseDepth:
    """Read what :meth:`Alignment.to_json` wrote, for a model of that name.

    Raises:
        InputError: it is missing or damaged, or of another model.
    """
    try:
        fields = json.loads(path.read_text())
        scale, shift, of = float(fields["scale"]), float(fields["shift"]), fields["model"]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; align.py makes it") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as an alignment ({error})") from error
    if of != model:
        raise InputError(f"{path}: is of the model {of}, this one is {model}; align it anew")
    if not (np.isfinite(scale) and scale > 0 and np.isfinite(shift)):
        raise InputError(f"{path}: impossible scale {scale} or shift {shift}; align anew")
    return InverseDepth(scale, shift)
