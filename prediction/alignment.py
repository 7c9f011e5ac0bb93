"""Metres for a model without a unit, from a few points whose distance is known.

Inverse depth in metres is fitted as ``scale * disparity``, or ``scale * disparity + shift``, by
medians (Theil and Sen), so that a few wrong points do not matter.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datasets import depth_files
from prediction.depth_map import ScaleShift
from system.errors import InputError
from system.files import json_text, read_json

logger = logging.getLogger(__name__)

MOST_POINTS = 2000  # of a depth file
MOST_PAIRS = 200_000
UNITS = {
    "metres": depth_files.METRES,
    **depth_files.STATED_UNITS,
}
ARRAYS = (".npy", ".npz")
DOUBTFUL_ERROR = 0.2  # of a fit, in the median; published models are off by 0.1
FLAT = 1e-3  # of the largest disparity
SMALLEST = 1e-12  # disparity that is divided by


def fit_scale_shift(
    disparity: np.ndarray, points: np.ndarray, with_shift: bool
) -> tuple[ScaleShift, float]:
    """Fit disparity to known distances.

    Args:
        disparity: [H, W].
        points: [N, 3]: x, y in pixels from the upper left, and depth in metres.
        with_shift: whether inverse depth also has a shift, as MiDaS's has.

    Returns:
        From disparity to inverse metres, and the median error of depth, as a share of it.

    Raises:
        InputError: a point lies outside or has no distance, there are fewer points than unknowns,
            they contradict the model, or it sees the same depth everywhere.
    """
    _check_points(disparity, points, needed=2 if with_shift else 1)
    seen, inverse = _seen(disparity, points)
    slope = _slope(seen, inverse)
    if with_shift and slope is None:
        raise InputError(
            "the points: all look equally far to the model, so that scale and shift cannot be "
            "told apart; add one at another distance, or leave out --shift"
        )
    if with_shift:
        fit = ScaleShift(slope, float(np.median(inverse - slope * seen)))
    else:
        fit = ScaleShift(float(np.median(inverse / np.maximum(seen, SMALLEST))))
    error = float(np.median(_errors(fit, seen, inverse)))
    far_off = not with_shift and len(points) > 1 and error > DOUBTFUL_ERROR
    if far_off and slope is None:
        raise InputError(
            "the points: look equally far to the model, and are not; check them (x y metres), or "
            "take another picture"
        )
    if not fit.scale > 0 or (far_off and slope < 0):
        raise InputError(
            "the points: those that are nearer look farther to the model; check their order "
            "(x y metres), or leave out --shift"
        )
    return fit, error


def _check_points(disparity: np.ndarray, points: np.ndarray, needed: int) -> None:
    """Refuse what :func:`fit_scale_shift` cannot fit: points [N, 3] or disparity [H, W]."""
    height, width = disparity.shape
    for x, y, metres in points:
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            raise InputError(f"point {x:g} {y:g}: lies outside the picture of {width}x{height}")
        if not 1e-9 < metres < depth_files.FARTHEST_METRES:
            raise InputError(f"point {x:g} {y:g}: {metres:g} m is no distance; it must be above 0")
    if len(points) < needed:
        what = "scale and shift need two points" if needed > 1 else "the scale needs a point"
        raise InputError(f"{len(points)} points: {what} at least; add --points 'x y metres'")
    if not np.isfinite(disparity).all():
        raise InputError("the model: its prediction is not finite; check the weights")
    if np.ptp(disparity) <= FLAT * disparity.max():
        raise InputError(
            "the model: sees the same depth everywhere in the picture, so that no points can be "
            "fitted; check the weights, or take another picture"
        )


def doubts(disparity: np.ndarray, points: np.ndarray, fit: ScaleShift) -> list[str]:
    """What seems to be wrong with a fit of :func:`fit_scale_shift`, in words."""
    seen, inverse = _seen(disparity, points)
    errors, metres = _errors(fit, seen, inverse), points[:, 2]
    error, slope, words = np.median(errors), _slope(seen, inverse), []
    if error > DOUBTFUL_ERROR:
        worst = int(errors.argmax())
        x, y, known = points[worst]
        fitted = 1 / max(fit.scale * seen[worst] + fit.shift, SMALLEST)
        words.append(
            f"half of the points are off by {error:.0%} or more: they and the model do not agree; "
            f"the worst is {x:g} {y:g}, {known:g} m away and {fitted:.3g} m by the fit; check "
            "pixels and metres"
        )
    elif slope is not None and slope < 0:
        words.append("those points that are nearer look farther to the model; check them")
    if len(points) <= (2 if fit.shift else 1):
        words.append("so few points are always met: another one would tell whether the fit holds")
    unit = depth_files.unit_doubt(float(np.median(metres)))
    if unit is not None:
        words.append(f"{unit}; give metres, or the --depth_unit of a depth file")
    return words


def _seen(disparity: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Disparity at points [N, 3], and their inverse metres; both [N]."""
    columns, rows = np.rint(points[:, :2]).astype(int).T
    return disparity[rows, columns].astype(np.float64), 1 / points[:, 2].astype(np.float64)


def _errors(fit: ScaleShift, seen: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """How far off the fitted depth of points is, as shares of their depth; all [N]."""
    fitted = np.maximum(fit.scale * seen + fit.shift, SMALLEST)
    return np.abs(inverse / fitted - 1)


def _slope(x: np.ndarray, y: np.ndarray) -> float | None:
    """Slope of y over x, the median over pairs of points; None where all x are the same."""
    count = len(x)
    if count * (count - 1) // 2 <= MOST_PAIRS:
        pairs = np.stack(np.triu_indices(count, 1), axis=1)
    else:
        pairs = np.random.default_rng(0).integers(0, count, (MOST_PAIRS, 2))
    run = x[pairs[:, 1]] - x[pairs[:, 0]]
    far_apart = np.abs(run) > 1e-6 * max(np.abs(x).max(), SMALLEST)
    if not far_apart.any():
        return None
    rise = y[pairs[:, 1]] - y[pairs[:, 0]]
    return float(np.median(rise[far_apart] / run[far_apart]))


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


def read_sparse_depth(path: Path, unit: str | None, shape: tuple[int, int]) -> np.ndarray:
    """Points [N, 3] of a depth file of any form that is read; 0 means unknown.

    Args:
        path: floating-point numbers are metres.
        unit: of whole numbers, a key of :data:`UNITS`; without it, the one that a prediction
            states, else those of a picture are millimetres.
        shape: (height, width) of the picture.

    Raises:
        InputError: it cannot be read, has another size, no depth, or whole numbers of an unknown
            unit.
    """
    numbers = depth_files.read_numbers(path)
    if numbers.dtype.kind == "f" and unit not in (None, "metres"):
        logger.warning(
            "%s: holds floating-point numbers, which are taken for metres: --depth_unit %s is of "
            "whole numbers",
            *(path, unit),
        )
    if numbers.dtype.kind != "f" and unit is None and path.suffix.lower() in ARRAYS:
        raise InputError(
            f"{path}: holds whole numbers of an unknown unit; add --depth_unit "
            f"{', '.join(UNITS)}, or save metres as floating-point numbers"
        )
    stated = depth_files.stated_unit(path)
    if numbers.dtype.kind != "f" and None not in (unit, stated) and unit != stated:
        words = "%s: says itself that it is in the unit %s; --depth_unit %s is taken, as given"
        logger.warning(words, path, stated, unit)
    note = UNITS[unit or stated or "millimetres"]
    depth = depth_files.in_metres(numbers, note, path, np.float64)
    if depth.shape != shape:
        raise InputError(
            f"{path}: has shape {'x'.join(map(str, depth.shape[::-1]))}, the picture "
            f"{shape[1]}x{shape[0]}; they must be of one size"
        )
    rows, columns = np.nonzero(depth)
    if len(rows) == 0:
        raise InputError(f"{path}: holds no depth; 0 means unknown")
    chosen = np.linspace(0, len(rows) - 1, min(MOST_POINTS, len(rows))).astype(int)
    rows, columns = rows[chosen], columns[chosen]
    return np.stack([columns, rows, depth[rows, columns]], axis=1)


def alignment_json(
    fit: ScaleShift, error: float, points: int, model: str, about: Mapping[str, Any] | None = None
) -> str:
    """The text of an alignment file: a fit, its median error, and the points and model it is of.

    What is said ``about`` it besides comes last.
    """
    fields = {"model": model, "scale": fit.scale, "shift": fit.shift}
    return json_text({**fields, "points": points, "median_error": error, **(about or {})})


def read_alignment(path: Path, model: str, keep_aspect: bool = False) -> ScaleShift:
    """Read what :func:`alignment_json` made, for a model of that name.

    Raises:
        InputError: it is missing or damaged, of another model, or of pictures that were padded
            where ``keep_aspect`` is not set, or the other way round.
    """
    try:
        fields = read_json(path)
        scale, shift, of = float(fields["scale"]), float(fields["shift"]), fields["model"]
        padded = bool(fields.get("keep_aspect"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; python -m tools.align makes it") from None
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: cannot be read as an alignment ({error})") from error
    if of != model:
        raise InputError(f"{path}: is of the model {of}, this one is {model}; align it anew")
    if padded != keep_aspect:
        how = "with" if padded else "without"
        raise InputError(f"{path}: was made {how} --keep_aspect; predict in the same way")
    if not (np.isfinite(scale) and scale > 0 and np.isfinite(shift)):
        raise InputError(f"{path}: impossible scale {scale} or shift {shift}; align anew")
    return ScaleShift(scale, shift)
