"""One page that shows what a training achieved: a street, its depth, and the metrics."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from prediction.visualise import (
    colorize,
    colorize_sparse_depth,
    legend,
    stack_labelled,
    text_line,
)

SHEET_WIDTH = 960


def quickstart_sheet(
    picture: np.ndarray,
    predicted_depth: np.ndarray,
    true_depth: np.ndarray,
    metrics: Mapping[str, Mapping[str, float]],
) -> np.ndarray:
    """Draw the input, its predicted and its true depth, and metrics.

    Both depths are shown over one range of disparities, that of the true depth.

    Args:
        picture: uint8 RGB [H, W, 3].
        predicted_depth: [H, W] metres; a mono-trained model's after median scaling.
        true_depth: [H, W] metres, 0 where there is none.
        metrics: rows of the table, such as ``{"before training": ..., "after training": ...}``.

    Returns:
        uint8 RGB, ``SHEET_WIDTH`` pixels wide.

    Raises:
        ValueError: the three pictures differ in size, the metrics in names, or no depth is true.
    """
    shapes = [picture.shape[:2], predicted_depth.shape, true_depth.shape]
    if len(set(shapes)) > 1:
        raise ValueError(f"expected pictures of one height and width, got {shapes}")
    if not (true_depth > 0).any():
        raise ValueError("expected a true depth with at least one point, got none")
    low, high = np.percentile(1 / true_depth[true_depth > 0], [2, 95])
    radius = max(1, round(picture.shape[1] / 500))
    panels = {
        "Input": picture,
        "Predicted depth": colorize(1 / predicted_depth, low, high),
        "True depth (LiDAR)": colorize_sparse_depth(true_depth, low, high, radius),
    }
    return np.concatenate(
        [
            stack_labelled({label: _fit(panel) for label, panel in panels.items()}),
            legend(low, high, SHEET_WIDTH, "m"),
            metric_table(metrics, SHEET_WIDTH),
        ]
    )


def metric_table(rows: Mapping[str, Mapping[str, float]], width: int) -> np.ndarray:
    """Write metrics as a table with one labelled row each: uint8 RGB [h, ``width``, 3].

    Raises:
        ValueError: the rows differ in the names of their metrics.
    """
    names = list(next(iter(rows.values())))
    for label, metrics in rows.items():
        if list(metrics) != names:
            raise ValueError(f"expected the metrics {names}, got {list(metrics)} {label}")
    step = width // (len(names) + 2)  # the labels take the width of two columns

    def line(label: str, cells: list[str]) -> np.ndarray:
        columns = [(8, label)] + [(step * (i + 2), cell) for i, cell in enumerate(cells)]
        return text_line(columns, width)

    lines = [line("", names)]
    lines += [line(label, [f"{m[name]:.3f}" for name in names]) for label, m in rows.items()]
    lines.append(
        text_line([(8, "a1, a2, a3: higher is better; the others: lower")], width, size=14)
    )
    return np.concatenate(lines)


def _fit(panel: np.ndarray) -> np.ndarray:
    """Resize a panel to the width of the sheet."""
    height = round(panel.shape[0] * SHEET_WIDTH / panel.shape[1])
    shrinks = panel.shape[1] > SHEET_WIDTH
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(panel, (SHEET_WIDTH, height), interpolation=how)
