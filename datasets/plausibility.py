"""What the cameras of a car look like, to notice a calibration of something else."""

from __future__ import annotations

import numpy as np

from datasets.kitti import Calibration, intrinsics
from datasets.stereo import stereo_baseline

FIELD_OF_VIEW_DEGREES = (20, 150)
ASPECT_OF_PIXELS = (0.67, 1.5)
LARGEST_OFFSET = 0.25  # of the principal point from the centre, in image sizes
BASELINE_METRES = (0.05, 2.0)


def implausible(calibration: Calibration) -> list[str]:
    """What is unusual about the cameras of a calibration, in words."""
    oddities = []
    for side in ("l", "r"):
        K, (width, height) = intrinsics(calibration, side), calibration.image_size[side]
        angle = float(np.degrees(2 * np.arctan(width / 2 / K[0, 0])))
        low, high = FIELD_OF_VIEW_DEGREES
        if not low <= angle <= high:
            oddities.append(f"camera {side} sees {angle:.0f} degrees across")
        if not ASPECT_OF_PIXELS[0] <= K[0, 0] / K[1, 1] <= ASPECT_OF_PIXELS[1]:
            oddities.append(f"camera {side} has focal lengths {K[0, 0]:.0f} and {K[1, 1]:.0f}")
        offset = np.abs(K[:2, 2] / (width, height) - 0.5)
        if offset.max() > LARGEST_OFFSET:
            oddities.append(
                f"camera {side} has its principal point at {K[0, 2]:.0f}, {K[1, 2]:.0f}"
            )
    baseline = stereo_baseline(calibration)
    low, high = BASELINE_METRES
    if baseline != 0 and not low <= baseline <= high:  # 0: there is one camera only
        oddities.append(f"the cameras are {baseline:.3f} m apart")
    return oddities
