"""Pages that show what a training achieved: pictures, their depth, and the metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from prediction import visualise
from system.files import written_whole

SHEET_WIDTH = 960
PANEL_WIDTH = 560  # of three beside each other
GAP = 6  # white pixels between panels
NO_LIDAR = "no LiDAR"
METRIC_COLUMN = 92  # pixels; what is left of a line is for its label


def quickstart_sheet(
    picture: np.ndarray,
    predicted_depth: np.ndarray,
    true_depth: np.ndarray,
    metrics: Mapping[str, Mapping[str, float]],
    remarks: Sequence[str] = (),
    objects: Mapping[str, float] | None = None,
) -> np.ndarray:
    """Draw the input, its predicted and its true depth, and metrics.

    Both depths are shown over one range of disparities, that of the true depth.

    Args:
        picture: uint8 RGB [H, W, 3].
        predicted_depth: [H, W] metres; a mono-trained model's after median scaling.
        true_depth: [H, W] metres, 0 where there is none, which is shown grey.
        metrics: rows of the table, such as ``{"before training": ..., "after training": ...}``.
        remarks: lines below the table.
        objects: share of the objects that were found, by what they are called.

    Returns:
        uint8 RGB, ``SHEET_WIDTH`` pixels wide.

    Raises:
        ValueError: the three pictures differ in size, the metrics in names, or no depth is true.
    """
    low, high = disparity_range_of([true_depth])
    panels = depth_panels(picture, predicted_depth, true_depth, (low, high), SHEET_WIDTH)
    labels = ("Input", "Predicted depth", "True depth (LiDAR)")
    pictures = visualise.stack_labelled(dict(zip(labels, panels)))
    legend = visualise.legend(low, high, SHEET_WIDTH, "m", NO_LIDAR)
    gap = np.full((GAP, SHEET_WIDTH, 3), 255, np.uint8)
    table = metric_table(metrics, SHEET_WIDTH, remarks, objects)
    return np.concatenate([pictures, gap, legend, table])


def disparity_range_of(true_depths: Sequence[np.ndarray]) -> tuple[float, float]:
    """Disparities of the darkest and the brightest colour for sparse depths in metres.

    Raises:
        ValueError: they have no point.
    """
    known = [depth[depth > 0] for depth in true_depths]
    if not any(each.size for each in known):
        raise ValueError("expected a true depth with at least one point, got none")
    low, high = np.percentile(1 / np.concatenate(known), [2, 95])
    return float(low), float(high)


def depth_panels(
    picture: np.ndarray,
    predicted_depth: np.ndarray,
    true_depth: np.ndarray,
    shown: tuple[float, float],
    width: int,
) -> list[np.ndarray]:
    """A picture, its predicted and its true depth, each uint8 RGB of one width.

    Args:
        picture, predicted_depth, true_depth: as :func:`quickstart_sheet` takes them.
        shown: disparities of the darkest and the brightest colour.
        width: of each, pixels.

    Raises:
        ValueError: they differ in size.
    """
    shapes = [picture.shape[:2], predicted_depth.shape, true_depth.shape]
    if len(set(shapes)) > 1:
        raise ValueError(f"expected pictures of one height and width, got {shapes}")
    fitted = _fit(picture, width)
    points = visualise.resize_sparse_depth(true_depth, *fitted.shape[:2])
    radius = math.ceil(width / picture.shape[1])  # neighbouring points of a scan touch
    return [
        fitted,
        _fit(visualise.colorize(1 / predicted_depth, *shown), width),
        visualise.colorize_sparse_depth(points, *shown, radius),
    ]


def depth_sheet(
    groups: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]],
) -> np.ndarray:
    """Draw pictures in rows: the input, its predicted depth and its LiDAR, over one legend.

    Args:
        groups: by what is written above them, pictures with their predicted and true depth, as
            :func:`quickstart_sheet` takes them.

    Returns:
        uint8 RGB, three panels of ``PANEL_WIDTH`` wide.

    Raises:
        ValueError: the three of a row differ in size, or no depth is true.
    """
    low, high = disparity_range_of([true for rows in groups.values() for _, _, true in rows])
    width = 3 * PANEL_WIDTH + 2 * GAP
    starts = [i * (PANEL_WIDTH + GAP) for i in range(3)]
    parts = []
    for title, rows in groups.items():
        names = list(zip(starts, ("Input", "Predicted depth", "LiDAR")))
        parts += [visualise.text_line([(0, title)], width, size=24)]
        parts += [visualise.text_line(names, width, size=20)]
        for row in rows:
            panels = depth_panels(*row, (low, high), PANEL_WIDTH)
            beside = np.full((panels[0].shape[0] + GAP, width, 3), 255, np.uint8)
            for start, panel in zip(starts, panels):
                beside[:-GAP, start : start + PANEL_WIDTH] = panel
            parts.append(beside)
    return np.concatenate([*parts, visualise.legend(low, high, width, "m", NO_LIDAR, size=24)])


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
    shown = visualise.disparity_range(truth[known]) if known.any() else (0.0, 1.0)
    true_panel = visualise.colorize(truth, *shown)
    true_panel = np.where(known[..., None], true_panel, np.uint8(visualise.GREY))
    panels = {name: visualise.colorize_disparity(each) for name, each in inverse_depths.items()}
    panels = {"Input": picture, **panels, "True inverse depth": true_panel}
    width = SHEET_WIDTH // 2
    cells = [visualise.add_label(_fit(panel, width), name) for name, panel in panels.items()]
    rows = [np.concatenate(cells[i : i + 2], axis=1) for i in range(0, len(cells) - 1, 2)]
    return np.concatenate([*rows, metric_table(metrics, SHEET_WIDTH)])


def metric_table(
    rows: Mapping[str, Mapping[str, float]],
    width: int,
    remarks: Sequence[str] = (),
    objects: Mapping[str, float] | None = None,
) -> np.ndarray:
    """Write metrics as a table with one labelled row each: uint8 RGB [h, ``width``, 3].

    ``remarks`` and ``objects`` as :func:`quickstart_sheet` takes them.

    Raises:
        ValueError: the rows differ in the names of their metrics.
    """
    names = list(next(iter(rows.values())))
    for label, metrics in rows.items():
        if list(metrics) != names:
            raise ValueError(f"expected the metrics {names}, got {list(metrics)} {label}")
    first = width - METRIC_COLUMN * len(names)

    def line(label: str, cells: list[str]) -> np.ndarray:
        columns = [(8, label)] + [(first + METRIC_COLUMN * i, cell) for i, cell in enumerate(cells)]
        return visualise.text_line(columns, width)

    lines = [line("", names)]
    lines += [line(label, [f"{m[name]:.3f}" for name in names]) for label, m in rows.items()]
    if objects:
        found = ", ".join(f"{name} {share:.0%}" for name, share in objects.items())
        lines.append(visualise.text_line([(8, f"found in the predicted depth: {found}")], width))
    remarks = ["a1, a2, a3: higher is better; the others: lower", *remarks]
    lines += [visualise.text_line([(8, remark)], width, size=16) for remark in remarks]
    return np.concatenate(lines)


def _fit(panel: np.ndarray, width: int = SHEET_WIDTH) -> np.ndarray:
    """Resize a panel to a width, that of the sheet."""
    height = round(panel.shape[0] * width / panel.shape[1])
    how = cv2.INTER_AREA if panel.shape[1] > width else cv2.INTER_LINEAR
    return cv2.resize(panel, (width, height), interpolation=how)


def save_sheet(path: Path, sheet: np.ndarray) -> None:
    """Write a sheet as PNG, whole or not at all."""
    with written_whole(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")
