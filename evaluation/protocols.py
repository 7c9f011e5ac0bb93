"""How predictions are measured: ground truth, crop, cap and scaling; predict, score, report.

A disparity here is a *scaled* one, the inverse of a depth in the model's unit, unless it is
called a sigmoid.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable

import cv2
import numpy as np

from datasets.splits import SplitLine
from datasets.units import STEREO_SCALE_FACTOR
from errors import InputError
from evaluation.ground_truth import IMPROVED, KINDS, GroundTruth, PublishedGroundTruth
from evaluation.metrics import METRIC_NAMES, depth_metrics
from files import written_whole

logger = logging.getLogger(__name__)

# Rows from and to, columns from and to, as shares of the height and width: the crop of Garg et
# al. (ECCV 2016), which leaves out sky, bonnet and the strip one camera alone sees.
GARG_CROP = (0.40810811, 0.99189189, 0.03594771, 0.96405229)

# An external prediction may hold zero disparities, infinitely far: they end at the cap.
SMALLEST_DISPARITY = 1e-12


@dataclass(frozen=True)
class Protocol:
    """How a prediction is made comparable with the ground truth.

    Attributes:
        crop: score only the points inside :data:`GARG_CROP` and nearer than ``max_depth``.
        median_scaling: scale each prediction to the median of its ground truth.
        scale_factor: what every predicted depth is multiplied with, before median scaling.
        min_depth: nearer predictions are taken for this near, metres.
        max_depth: farther predictions are taken for this far, metres.
    """

    crop: bool
    median_scaling: bool
    scale_factor: float = 1.0
    min_depth: float = 1e-3
    max_depth: float = 80.0

    def lines(self) -> list[str]:
        """Say in words what is done, one line each."""
        scaling = [f"times {self.scale_factor:g}"] if self.scale_factor != 1 else []
        scaling += ["per-image median scaling"] if self.median_scaling else []
        return [
            f"crop: {'Garg/Eigen' if self.crop else 'none'}",
            f"cap: {self.min_depth:g} to {self.max_depth:g} m",
            f"scaling: {' and '.join(scaling) or 'none'}",
        ]


def eigen_protocol(
    ground_truth_kind: str,
    stereo: bool,
    median_scaling: bool = True,
    scale_factor: float = 1.0,
    metres_per_unit: float = STEREO_SCALE_FACTOR,
) -> Protocol:
    """Return the published protocol for a kind of ground truth and of model.

    A stereo-trained model knows its scale: its depths are only multiplied by ``metres_per_unit``.
    The improved ground truth is scored whole, raw LiDAR inside the crop.
    """
    return Protocol(
        crop=ground_truth_kind != IMPROVED,
        median_scaling=median_scaling and not stereo,
        scale_factor=metres_per_unit if stereo else scale_factor,
    )


@dataclass(frozen=True)
class Scores:
    """The metrics of each scored image.

    Attributes:
        per_image: float64 [N,7], in the order of ``METRIC_NAMES``.
        ratios: true over predicted median of each image, float64 [N]; empty without median scaling.
        skipped: names of the images whose ground truth has no point to score.
    """

    per_image: np.ndarray
    ratios: np.ndarray
    skipped: tuple[str, ...] = ()

    def mean(self) -> dict[str, float]:
        """Return each metric's mean over the images."""
        return dict(zip(METRIC_NAMES, self.per_image.mean(axis=0).tolist()))

    def ratio_median(self) -> float:
        """Return the median of the scaling ratios."""
        return float(np.median(self.ratios))

    def ratio_spread(self) -> float:
        """Return the standard deviation of the scaling ratios, relative to their median."""
        return float(np.std(self.ratios / np.median(self.ratios)))


def predict(
    sigmoid_of: Callable[[np.ndarray], np.ndarray],
    batches: Iterable[np.ndarray],
    min_depth: float,
    max_depth: float,
    post_process: bool,
) -> Iterator[np.ndarray]:
    """Yield the disparity of each image, float32 [h,w], one batch after the other.

    Args:
        sigmoid_of: the network: RGB uint8 [B,h,w,3] to its finest sigmoid [B,h,w].
        batches: images of the network's size.
        min_depth: the model's depth where the sigmoid is 1.
        max_depth: the model's depth where the sigmoid is 0.
        post_process: also predict the mirrored images, and join both (:func:`join_flipped`).
    """
    farthest, nearest = 1 / max_depth, 1 / min_depth
    for images in batches:
        sigmoid = sigmoid_of(images)
        if post_process:
            of_mirrored = sigmoid_of(np.ascontiguousarray(images[:, :, ::-1]))
            sigmoid = join_flipped(sigmoid, of_mirrored[:, :, ::-1])
        yield from (farthest + (nearest - farthest) * sigmoid).astype(np.float32)


def join_flipped(disparity: np.ndarray, flipped_back: np.ndarray) -> np.ndarray:
    """Join the disparities of images and of their mirrored copies (Godard et al., CVPR 2017).

    A network trained on stereo pairs errs to the left of objects and at the left border, and for
    mirrored images to the right: the mean of both, and near each border the better one alone.

    Args:
        disparity: [N,h,w].
        flipped_back: [N,h,w], predicted from the mirrored images and mirrored back.

    Returns:
        float64 [N,h,w].
    """
    width = disparity.shape[-1]
    # 1 in the first 5 % of the columns, falling to 0 at 10 %.
    at_left = 1 - np.clip(20 * (np.linspace(0, 1, width) - 0.05), 0, 1)
    at_right = at_left[::-1]
    mean = 0.5 * (disparity + flipped_back)
    return at_right * disparity + at_left * flipped_back + (1 - at_left - at_right) * mean


def score(
    disparities: Iterable[np.ndarray],
    ground_truth: GroundTruth | Sequence[np.ndarray],
    protocol: Protocol,
    names: Sequence[str],
) -> Scores:
    """Score predictions, one disparity [h,w] of any size per image, in order.

    Images whose ground truth has no point to score are skipped, and said by name.

    Raises:
        InputError: a prediction is not finite or is negative, or no image has ground truth.
        ValueError: there are fewer predictions than names.
    """
    rows, ratios, skipped = [], [], []
    for index, (disparity, name) in enumerate(zip(disparities, names)):
        _check_disparity(disparity, index, name)
        gt, pred = compared_depths(disparity, ground_truth[index], protocol)
        if gt.size == 0:
            logger.warning("%s has no ground truth to compare with: skipped", name)
            skipped.append(name)
            continue
        if protocol.median_scaling:
            ratios.append(np.median(gt) / np.median(pred))
            pred = pred * ratios[-1]
        pred = np.clip(pred, protocol.min_depth, protocol.max_depth)
        rows.append(depth_metrics(gt, pred).as_array())
    if len(rows) + len(skipped) != len(names):
        raise ValueError(f"expected {len(names)} predictions, got {len(rows) + len(skipped)}")
    if not rows:
        raise InputError("no image has ground truth to compare with; export the ground truth again")
    return Scores(np.array(rows), np.array(ratios, np.float64), tuple(skipped))


def compared_depths(
    disparity: np.ndarray, gt: np.ndarray, protocol: Protocol
) -> tuple[np.ndarray, np.ndarray]:
    """Return true and predicted depths, both [n], of the points that the protocol scores.

    The disparity is resized bilinearly to the ground truth, as published: not the depth.
    """
    height, width = gt.shape
    # In float32, as published: the metrics are compared to the fifth decimal.
    resized = cv2.resize(np.asarray(disparity, np.float32), (width, height))
    mask = scored_mask(gt, protocol)
    pred = 1 / np.maximum(resized[mask], SMALLEST_DISPARITY)
    return gt[mask], pred * protocol.scale_factor


def scored_mask(gt: np.ndarray, protocol: Protocol) -> np.ndarray:
    """bool [H,W]: the points of a ground truth [H,W] that the protocol scores."""
    if not protocol.crop:
        return gt > 0
    return (gt > protocol.min_depth) & (gt < protocol.max_depth) & garg_mask(*gt.shape)


def garg_mask(height: int, width: int) -> np.ndarray:
    """Return bool [height,width], True inside :data:`GARG_CROP`."""
    top, bottom = (int(share * height) for share in GARG_CROP[:2])
    left, right = (int(share * width) for share in GARG_CROP[2:])
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def _check_disparity(disparity: np.ndarray, index: int, name: str) -> None:
    if not np.isfinite(disparity).all():
        raise InputError(f"the prediction of image {index} ({name}) is not finite")
    if disparity.min() < 0:
        raise InputError(f"the prediction of image {index} ({name}) holds negative disparities")


def report(scores: Scores, protocol: Protocol, ground_truth_kind: str) -> str:
    """Return what was measured and how, as text for people."""
    lines = [f"ground truth: {KINDS[ground_truth_kind]}", *protocol.lines()]
    lines.append(f"images: {len(scores.per_image)}")
    if scores.skipped:
        lines.append(f"skipped, without ground truth: {', '.join(scores.skipped)}")
    if protocol.median_scaling:
        median, spread = scores.ratio_median(), scores.ratio_spread()
        lines.append(f"scaling ratios | med: {median:0.3f} | std: {spread:0.3f}")
    mean = scores.mean()
    lines.append(" | ".join(f"{name:>8s}" for name in METRIC_NAMES))
    lines.append(" | ".join(f"{mean[name]:8.3f}" for name in METRIC_NAMES))
    return "\n".join(lines)


def result(scores: Scores, protocol: Protocol, ground_truth_kind: str) -> dict[str, Any]:
    """Return the same for programs, ready for JSON."""
    ratios = None
    if protocol.median_scaling:
        ratios = {"median": scores.ratio_median(), "relative_std": scores.ratio_spread()}
    return {
        "metrics": scores.mean(),
        "images": len(scores.per_image),
        "skipped": list(scores.skipped),
        "ground_truth": ground_truth_kind,
        "protocol": asdict(protocol),
        "scaling_ratios": ratios,
    }


def measure(
    disparities: Iterable[np.ndarray],
    truth: GroundTruth | PublishedGroundTruth,
    protocol: Protocol,
    lines: Sequence[SplitLine],
    out_path: Path,
) -> str:
    """Score disparities of a split's test images; write JSON to ``out_path``, return the report."""
    names = [f"{line.folder} {line.frame} {line.side}" for line in lines]
    scores = score(disparities, truth, protocol, names)
    with written_whole(out_path) as temporary:
        temporary.write_text(json.dumps(result(scores, protocol, truth.kind), indent=2) + "\n")
    return report(scores, protocol, truth.kind)
