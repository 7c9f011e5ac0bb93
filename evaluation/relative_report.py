"""What was measured of relative depth, for programs and for people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from evaluation.depth_set import DepthSet
from evaluation.ordinal import CONVENTION
from evaluation.relative import ALIGNMENTS, mean_errors, percent_beyond


@dataclass
class Measured:
    """What was measured so far: numbers only, so that memory does not grow with the images.

    Attributes:
        errors: the seven metrics of each image with known depth.
        without_depth: names of the images with a depth map in which nothing is known.
        mismatched: names of the pairs that differ in size, which are left out.
        labels: ordinal ones.
        wrong: those that were predicted otherwise.
    """

    errors: list[dict[str, float]] = field(default_factory=list)
    without_depth: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    labels: int = 0
    wrong: int = 0


def result_of(measured: Measured, depth_set: DepthSet, alignment: str) -> dict[str, Any]:
    """What was measured and how, ready for JSON."""
    result: dict[str, Any] = {
        "task": "relative",
        "layout": depth_set.layout,
        "ground_truth": depth_set.note,
        "alignment": ALIGNMENTS[alignment].words,
        "crop": depth_set.crop,
        "cap_metres": depth_set.farthest,
        "images": len(measured.errors),
        "without_depth": len(measured.without_depth),
        "mismatched": measured.mismatched,
    }
    if measured.errors:
        metrics = mean_errors(measured.errors)
        result.update(metrics=metrics, percent_beyond_1_25=percent_beyond(metrics["a1"]))
    if measured.labels:
        whdr = measured.wrong / measured.labels
        result.update(whdr=whdr, ordinal_labels=measured.labels, ordinal_convention=CONVENTION)
    return result


def report(result: dict[str, Any]) -> str:
    """The same as text for people."""
    lines = [f"layout: {result['layout']}"]
    if result["ground_truth"]:
        lines.append(f"ground truth: {result['ground_truth']}")
    if "metrics" in result:
        cap = result["cap_metres"]
        lines += [
            f"alignment: {result['alignment']}",
            f"crop: {result['crop']}",
            f"cap: {f'{cap:g} m' if cap else 'none'}",
            "".join(f"{name:>10s}" for name in result["metrics"]),
            "".join(f"{value:10.3f}" for value in result["metrics"].values()),
            f"delta > 1.25: {result['percent_beyond_1_25']:.2f} % of the pixels",
            f"{result['images']} images",
        ]
    if "whdr" in result:
        lines.append(
            f"WHDR: {result['whdr']:.4f} of {result['ordinal_labels']} ordinal labels "
            f"({result['ordinal_convention']})"
        )
        if result["whdr"] > 0.5:
            lines.append("more than half are wrong: are the labels of the other convention?")
    return "\n".join(lines)
