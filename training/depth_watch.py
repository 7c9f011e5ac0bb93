"""Depth of a batch beside its LiDAR, to look at while training; the loss never sees it."""

from __future__ import annotations

import cv2
import numpy as np

from datasets.items import TrainingItems, stereo_pose
from datasets.kitti import missing_files
from datasets.lidar import truth_paths
from datasets.loader import Batch
from evaluation.ground_truth import CAMERA, IMPROVED, frame_depth
from evaluation.metrics import depth_metrics
from evaluation.protocols import garg_mask

# What a data set has depth of, by its name.
KIND_OF_TRUTH = {"kitti": CAMERA, "kitti_depth": IMPROVED}
# The published names of `evaluation.metrics.METRIC_NAMES`.
TAGS = ("de/abs_rel", "de/sq_rel", "de/rms", "de/log_rms", "da/a1", "da/a2", "da/a3")
NEAREST, FARTHEST = 1e-3, 80.0  # metres


def depth_of_batch(depth: np.ndarray, batch: Batch, items: TrainingItems, kind: str) -> np.ndarray:
    """True and predicted depth of a batch's points that have one, float32 [2, n].

    As the published code compares them: inside the crop of Garg et al., the depth resized to that
    of the LiDAR's camera. Items whose sweep or depth map is not there are left out.

    Args:
        depth: predicted, [B, h, w].
        batch: of those items, some of them mirrored.
        items: that the batch is of.
        kind: of ground truth.

    Raises:
        InputError: a sweep, a depth map or a calibration is damaged.
    """
    lines = [items.lines[index] for index in batch["index"]]
    paths = truth_paths(items.data_path, lines, kind == IMPROVED)
    missing = set(missing_files(paths))
    compared = [np.zeros((2, 0), np.float32)]
    for line, path, predicted, pose in zip(lines, paths, depth, batch["T_stereo"]):
        if path in missing:
            continue
        truth = frame_depth(items.data_path, line, kind)
        if pose[0, 3] != stereo_pose(line.side, flip=False)[0, 3]:
            truth = truth[:, ::-1]
        height, width = truth.shape
        resized = cv2.resize(np.asarray(predicted, np.float32), (width, height))
        known = (truth > 0) & garg_mask(height, width)
        compared.append(np.stack([truth[known], resized[known]]))
    return np.concatenate(compared, axis=1)


def watched_depth(
    depth: np.ndarray, batch: Batch, items: TrainingItems, kind: str
) -> dict[str, float]:
    """The seven metrics of a batch by the published tags; none where it has no LiDAR.

    The whole batch is scaled by the medians of its points together, whatever the model knows of
    metres; for the arguments see :func:`depth_of_batch`.
    """
    truth, predicted = depth_of_batch(depth, batch, items, kind)
    if truth.size == 0:
        return {}
    predicted = np.clip(predicted, NEAREST, FARTHEST)
    predicted *= np.median(truth) / np.median(predicted)
    return dict(zip(TAGS, depth_metrics(truth, np.clip(predicted, NEAREST, FARTHEST))))
