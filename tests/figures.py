"""One checked figure of the reference check: what was expected, what came out, how far off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Figure:
    """``deviation`` is the largest over the figure's elements, in the unit of ``tolerance``.

    A figure without a tolerance is only reported.
    """

    name: str
    got: float
    expected: float
    deviation: float
    tolerance: float | None

    @property
    def ok(self) -> bool:
        return self.tolerance is None or self.deviation <= self.tolerance

    def __str__(self) -> str:
        verdict = "reported" if self.tolerance is None else ("ok" if self.ok else "OFF")
        return (
            f"{self.name:58s} got {self.got:<14.8g} expected {self.expected:<14.8g} "
            f"deviation {self.deviation:<10.3g} {verdict}"
        )


def compare(name: str, got, expected, tolerance: float | None, relative: bool = False) -> Figure:
    """Compare two arrays of one shape; the printed numbers are those of the worst element."""
    got = np.asarray(got, np.float64)
    expected = np.asarray(expected, np.float64)
    if got.shape != expected.shape:
        return Figure(f"{name} shape {got.shape}, expected {expected.shape}", 0, 0, np.inf, 0.0)
    deviation = np.abs(got - expected)
    if relative:
        deviation = deviation / np.maximum(np.abs(expected), 1e-12)
    deviation = np.where(np.isfinite(got), deviation, np.inf)
    worst = np.unravel_index(int(np.argmax(deviation)), deviation.shape)
    return Figure(
        name, float(got[worst]), float(expected[worst]), float(deviation[worst]), tolerance
    )
