"""How predictions are measured: crop, cap and scaling; read images, predict, score, report.

A disparity here is a *scaled* one, the inverse of a depth in the model's unit, unless it is
called a sigmoid.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Callable

import cv2
import numpy as np

from datasets.conventions import STEREO_SCALE_FACTOR
from datasets.depth_files import unit_doubt
from datasets.lanczos import resize_lanczos
from datasets.pictures import read_picture
from evaluation.ground_truth import IMPROVED, KINDS, GroundTruth, check_upright
from evaluation.metrics import METRIC_NAMES, check_finite, depth_metrics
from system.errors import InputError

logger = logging.getLogger(__name__)

# Rows from and to, columns from and to, as shares of the height and width: the crop of Garg et
# al. (ECCV 2016), which leaves out sky, bonnet and the strip one camera alone sees.
GARG_CROP = (0.40810811, 0.99189189, 0.03594771, 0.96405229)

PUBLISHED_MAX_DEPTH = 80.0  # metres

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
        cut_truth: without ``crop`` too, score only the points nearer than ``max_depth``.
    """

    crop: bool
    median_scaling: bool
    scale_factor: float = 1.0
    min_depth: float = 1e-3
    max_depth: float = PUBLISHED_MAX_DEPTH
    cut_truth: bool = False


def eigen_protocol(
    ground_truth_kind: str,
    stereo: bool,
    median_scaling: bool = True,
    scale_factor: float = 1.0,
    metres_per_unit: float = STEREO_SCALE_FACTOR,
    max_depth: float = PUBLISHED_MAX_DEPTH,
) -> Protocol:
    """Return the published protocol for a kind of ground truth and of model.

    A stereo-trained model knows its scale: its depths are not scaled by medians, but multiplied by
    ``metres_per_unit``, and by ``scale_factor`` as those of every model.
    The improved ground truth is scored whole, raw LiDAR inside the crop. As published, only the
    latter ends at ``max_depth``; both do where it is another one than the published.
    """
    return Protocol(
        max_depth=max_depth,
        cut_truth=max_depth != PUBLISHED_MAX_DEPTH,
        crop=ground_truth_kind != IMPROVED,
        median_scaling=median_scaling and not stereo,
        scale_factor=scale_factor * metres_per_unit if stereo else scale_factor,
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

    def scaling_ratios(self) -> dict[str, float] | None:
        """Median of the ratios, and their standard deviation relative to it, if there are any."""
        if self.ratios.size == 0:
            return None
        median = np.median(self.ratios)
        return {"median": float(median), "relative_std": float(np.std(self.ratios / median))}


def image_batches(
    paths: Sequence[Path], width: int, height: int, batch_size: int, num_workers: int
) -> Iterator[np.ndarray]:
    """Yield the images in order as RGB uint8 [B,height,width,3]; the last batch may be smaller.

    Threads do the work, since pictures are decoded and resized outside Python's lock; at most two
    batches are held ready.
    """
    read = partial(read_resized, width=width, height=height)
    images = map(read, paths)
    if num_workers > 0:
        images = _read_ahead(read, paths, 2 * batch_size, num_workers)
    for start in range(0, len(paths), batch_size):
        yield np.stack([next(images) for _ in paths[start : start + batch_size]])


def read_resized(path: Path, width: int, height: int) -> np.ndarray:
    """Read an image and resize it as the published evaluation does, with Lanczos' filter."""
    return resize_lanczos(read_picture(path, reuse=True), (width, height))


def _read_ahead(
    read: Callable[[Path], np.ndarray], paths: Iterable[Path], ahead: int, num_workers: int
) -> Iterator[np.ndarray]:
    waiting: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(num_workers) as pool:
        for path in paths:
            waiting.append(pool.submit(read, path))
            if len(waiting) == ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


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
    sizes: Iterable[tuple[int, int]] | None = None,
) -> Scores:
    """Score predictions, one disparity [h,w] of any size per image, in order.

    Images whose ground truth has no point to score are skipped, and said by name.

    Args:
        disparities: predictions.
        ground_truth: one map for each.
        protocol: how they are compared.
        names: of the images.
        sizes: (width, height) of their pictures; None for those of the predictions.

    Raises:
        InputError: a prediction is not finite or is negative, a map is transposed, no image has
            ground truth, or a metric is no number.
        ValueError: there are fewer predictions than names.
    """
    rows, ratios, medians, skipped = [], [], [], []
    sizes = None if sizes is None else iter(sizes)
    for index, (disparity, name) in enumerate(zip(checked(disparities, names), names)):
        truth = ground_truth[index]
        check_upright(truth, disparity.shape[::-1] if sizes is None else next(sizes), name)
        gt, pred = compared_depths(disparity, truth, protocol)
        if gt.size == 0:
            logger.warning("%s has no ground truth to compare with: skipped", name)
            skipped.append(name)
            continue
        medians.append(np.median(gt))
        if protocol.median_scaling:
            ratios.append(medians[-1] / np.median(pred))
            pred = pred * ratios[-1]
        pred = np.clip(pred, protocol.min_depth, protocol.max_depth)
        metrics = depth_metrics(gt, pred)
        check_finite(metrics._asdict(), name)
        rows.append(metrics)
    if len(rows) + len(skipped) != len(names):
        raise ValueError(f"expected {len(names)} predictions, got {len(rows) + len(skipped)}")
    doubt = unit_doubt(float(np.median(medians))) if medians else None
    if doubt is not None:
        logger.warning("the ground truth: %s; export it again, in metres", doubt)
    if not rows:
        raise InputError("no image has ground truth to compare with; export the ground truth again")
    return Scores(np.array(rows), np.array(ratios, np.float64), tuple(skipped))


def checked(disparities: Iterable[np.ndarray], names: Sequence[str]) -> Iterator[np.ndarray]:
    """Pass predictions [h,w] on, as long as they can be the inverse of depth.

    Raises:
        InputError: one is not finite or is negative; its index and name are said.
    """
    for index, (disparity, name) in enumerate(zip(disparities, names)):
        finite = np.isfinite(disparity).all()
        if not finite or disparity.min() < 0:
            words = "holds negative disparities" if finite else "is not finite"
            raise InputError(f"the prediction of image {index} ({name}) {words}")
        yield disparity


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
    if not (protocol.crop or protocol.cut_truth):
        return gt > 0
    near = (gt > protocol.min_depth) & (gt < protocol.max_depth)
    return near & garg_mask(*gt.shape) if protocol.crop else near


def garg_mask(height: int, width: int) -> np.ndarray:
    """Return bool [height,width], True inside :data:`GARG_CROP`."""
    top, bottom = (int(share * height) for share in GARG_CROP[:2])
    left, right = (int(share * width) for share in GARG_CROP[2:])
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def report(
    scores: Scores, protocol: Protocol, ground_truth_kind: str, of: int | None = None
) -> str:
    """Return what was measured and how, as text for people.

    Args:
        scores: of the images.
        protocol: that they were scored by.
        ground_truth_kind: a key of :data:`evaluation.ground_truth.KINDS`.
        of: images of the split, where a part of them was measured.
    """
    scaling = [f"times {protocol.scale_factor:g}"] if protocol.scale_factor != 1 else []
    scaling += ["per-image median scaling"] if protocol.median_scaling else []
    lines = [
        f"ground truth: {KINDS[ground_truth_kind]}",
        f"crop: {'Garg/Eigen' if protocol.crop else 'none'}",
        f"cap: {protocol.min_depth:g} to {protocol.max_depth:g} m",
        f"scaling: {' and '.join(scaling) or 'none'}",
        f"images: {len(scores.per_image)}"
        + ("" if of is None else f" of {of}; the others are missing (--allow_missing)"),
    ]
    if scores.skipped:
        lines.append(f"skipped, without ground truth: {', '.join(scores.skipped)}")
    ratios, mean = scores.scaling_ratios(), scores.mean()
    if ratios:
        median, spread = ratios.values()
        lines.append(f"scaling ratios | med: {median:0.3f} | std: {spread:0.3f}")
    lines.append(" | ".join(f"{name:>8s}" for name in METRIC_NAMES))
    lines.append(" | ".join(f"{mean[name]:8.3f}" for name in METRIC_NAMES))
    return "\n".join(lines)


def result(
    scores: Scores, protocol: Protocol, ground_truth_kind: str, of: int | None = None
) -> dict[str, Any]:
    """Return the same for programs, ready for JSON."""
    count = len(scores.per_image)
    return {
        "metrics": scores.mean(),
        "images": count if of is None else {"scored": count, "of": of},
        "skipped": list(scores.skipped),
        "ground_truth": ground_truth_kind,
        "protocol": asdict(protocol),
        "scaling_ratios": scores.scaling_ratios(),
    }
