"""KITTI's test images as a set that relative depth is measured on, by the metric protocol."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from datasets.kitti import image_paths
from datasets.splits import load_split, split_folder
from evaluation.depth_set import DepthSet, Sample, Source
from evaluation.ground_truth import KINDS, ground_truth_file, open_ground_truth
from evaluation.ground_truth_export import ground_truth_kind
from evaluation.protocols import eigen_protocol, scored_mask


def looks_like_kitti(path: Path) -> bool:
    """Whether a folder holds days of drives of KITTI's cameras 2 or 3."""
    return any(any(path.glob(f"*/*/image_0{camera}")) for camera in (2, 3))


def open_kitti(source: Source) -> DepthSet:
    """The test images of a split, measured inside the crop and cap of the metric protocol.

    Raises:
        InputError: see :func:`datasets.splits.load_split`, :func:`datasets.kitti.image_paths` and
            :func:`evaluation.ground_truth.open_ground_truth`.
    """
    lines = load_split(source.split, "test")
    paths = image_paths(source.data_path, lines, source.png)
    split_name = split_folder(source.split).resolve().name
    published_kind = ground_truth_kind(split_name, camera_depth=False)
    truth_path = ground_truth_file(source.split, source.gt_path)
    truth = open_ground_truth(truth_path, len(lines), published_kind)
    protocol = eigen_protocol(truth.kind, stereo=False)
    samples = [
        Sample(f"{line.folder} {line.frame} {line.side}", path, partial(truth.__getitem__, index))
        for index, (line, path) in enumerate(zip(lines, paths))
    ]
    return DepthSet(
        "kitti",
        samples,
        "Garg/Eigen" if protocol.crop else "none",
        partial(scored_mask, protocol=protocol),
        protocol.max_depth,
        f"split {split_name}, {KINDS[truth.kind]}",
        close=partial(truth.__exit__, None, None, None),
    )
