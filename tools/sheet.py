"""One page that shows what a training achieved: a street, its depth, and the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from prediction import visualise
from system.files import written_whole

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
        "Predicted depth": visualise.colorize(1 / predicted_depth, low, high),
        "True depth (LiDAR)": visualise.colorize_sparse_depth(true_depth, low, high, radius),
    }
    pictures = visualise.stack_labelled({label: _fit(panel) for label, panel in panels.items()})
    legend = visualise.legend(low, high, SHEET_WIDTH, "m")
    return np.concatenate([pictures, legend, metric_table(metrics, SHEET_WIDTH)])


def relative_sheet(
    picture: np.ndarray,
    inverse_depths: Mapping[str, np.ndarray],
    true_depth: np.ndarray,
    metrics: Mapping[str, Mapping[str, float]],
) -> np.ndarray:
    """Draw the input, relative inverse depths of it, its true depth, and metrics.

    Every inverse depth is shown over its own range, as its scale and shift are not known.

    Args:
        picture, true_depth, metrics: as :func:`quickstart_sheet` takes them, as is what it returns.
        inverse_depths: [H, W], near is large, by what to call them.
    """
    known = true_depth > 0
    truth = np.where(known, 1 / np.where(known, true_depth, 1), 0)
    shown = {**inverse_depths, "True inverse depth": truth}
    panels = {name: visualise.colorize_disparity(each) for name, each in shown.items()}
    panels, width = {"Input": picture, **panels}, SHEET_WIDTH // 2
    cells = [visualise.add_label(_fit(panel, width), name) for name, panel in panels.items()]
    rows = [np.concatenate(cells[i : i + 2], axis=1) for i in range(0, len(cells) - 1, 2)]
    return np.concatenate([*rows, metric_table(metrics, SHEET_WIDTH)])


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
        return visualise.text_line(columns, width)

    lines = [line("", names)]
    lines += [line(label, [f"{m[name]:.3f}" for name in names]) for label, m in rows.items()]
    remark = [(8, "a1, a2, a3: higher is better; the others: lower")]
    return np.concatenate([*lines, visualise.text_line(remark, width, size=14)])


def _fit(panel: np.ndarray, width: int = SHEET_WIDTH) -> np.ndarray:
    """Resize a panel to a width, that of the sheet."""
    height = round(panel.shape[0] * width / panel.shape[1])
    how = cv2.INTER_AREA if panel.shape[1] > width else cv2.INTER_LINEAR
    return cv2.resize(panel, (width, height), interpolation=how)


def save_sheet(path: Path, sheet: np.ndarray) -> None:
    """Write a sheet as PNG, whole or not at all."""
    with written_whole(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")
