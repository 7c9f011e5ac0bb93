"""How far apart the cameras of the stereo pairs are: what a metre is to a model trained on them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from datasets.kitti import Calibration
from datasets.units import KITTI_BASELINE_METRES
from errors import InputError

logger = logging.getLogger(__name__)

# KITTI's days differ from one another, and from the published 0.54 m, by less.
TOLERANCE = 0.05


def stereo_baseline(calibration: Calibration) -> float:
    """Metres from the left camera to the right one; not positive in a wrong calibration."""
    left, right = (calibration.projection[side] for side in "lr")
    return left[0, 3] / left[0, 0] - right[0, 3] / right[0, 0]


def common_baseline(days: Mapping[Path, Calibration]) -> float:
    """The one baseline, metres, that a model trained on all of these days measures in.

    It is the published 0.54 m for KITTI, and for days without a calibration or with one that
    has no baseline, which is said; the mean of the days for another pair of cameras.

    Raises:
        InputError: the days were recorded with different baselines, so that no one length is
            a metre to the model.
    """
    baselines = {}
    for day, calibration in days.items():
        baseline = stereo_baseline(calibration)
        if baseline > 0:
            baselines[day] = baseline
        else:
            logger.warning(
                "%s: its calibration puts the right camera %g m right of the left one; metres "
                "will be wrong unless that distance is %g m",
                day,
                baseline,
                KITTI_BASELINE_METRES,
            )
    if all(_near(baseline, KITTI_BASELINE_METRES) for baseline in baselines.values()):
        return KITTI_BASELINE_METRES
    nearest, farthest = min(baselines, key=baselines.get), max(baselines, key=baselines.get)
    if not _near(baselines[nearest], baselines[farthest]):
        raise InputError(
            f"the stereo cameras are {baselines[nearest]:.3f} m apart in {nearest} and "
            f"{baselines[farthest]:.3f} m in {farthest}; train on them apart, since a model "
            "can measure in one of the two only"
        )
    mean = sum(baselines.values()) / len(baselines)
    logger.info("the stereo cameras are %.3f m apart (KITTI's: %g m)", mean, KITTI_BASELINE_METRES)
    return mean


def _near(baseline: float, reference: float) -> bool:
    return abs(baseline - reference) <= TOLERANCE * reference
