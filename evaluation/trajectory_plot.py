"""A trajectory and the true one, seen from above."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from files import written_whole


def plot_trajectories(positions: np.ndarray, truth: np.ndarray, path: Path) -> None:
    """Draw positions [N,3] and the true ones, x to the right and z (forward) up, as PNG."""
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    axes.plot(truth[:, 0], truth[:, 2], "k-", label="truth")
    axes.plot(positions[:, 0], positions[:, 2], "C1-", label="predicted, aligned")
    axes.set(xlabel="x, m", ylabel="z, m", aspect="equal")
    axes.grid(alpha=0.3)
    axes.legend()
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
