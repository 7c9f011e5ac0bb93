"""Depth hints: depth of a stereo pair by semi-global matching, for training to look at.

From Watson et al., Self-Supervised Monocular Depth Hints, ICCV 2019, section 3; what training
makes of them is in :mod:`training.objective`. The matching is OpenCV's (Hirschmueller, PAMI 2008).
"""

from __future__ import annotations

import cv2
import numpy as np

from datasets.conventions import NOMINAL_BASELINE

# Nearest depth that is looked for, model units: five baselines, for KITTI 2.7 m, where its camera
# sees the road from about 6 m on.
NEAREST = 0.5
DISPARITY_MULTIPLE = 16  # OpenCV's, of the number of disparities
SUBPIXEL_STEPS = 16  # OpenCV's, per pixel

# Chosen by LiDAR on real pairs and on generated streets (docs/method.md).
BLOCK = 3  # pixels
SMALL_STEP, LARGE_STEP = 8 * BLOCK**2, 32 * BLOCK**2  # costs of a change of disparity
UNIQUENESS = 10  # percent by which the second best must be worse
MOST_DISAGREEMENT = 1  # pixels between the matches of both directions
SPECKLE_SIZE, SPECKLE_RANGE = 100, 1  # smaller islands of that many pixels are left out
CONTRAST_CAP = 63  # of the filtered pictures whose difference is taken


def depth_hint(target: np.ndarray, source: np.ndarray, side: str, focal: float) -> np.ndarray:
    """Depth of the target by matching it with the other picture of its rectified pair.

    Args:
        target: RGB uint8 [3, H, W], not flipped.
        source: likewise, of the other camera.
        side: of the target's camera, ``l`` or ``r``.
        focal: horizontal focal length in pixels of W.

    Returns:
        Depth in model units, float32 [1, H, W], 0 where it is unknown.
    """
    left, right = (grey(image) for image in (target, source))
    if side == "r":  # mirrored, it is a left picture
        left, right = cv2.flip(left, 1), cv2.flip(right, 1)
    disparity = match(left, right, number_of_disparities(focal))
    if side == "r":
        disparity = cv2.flip(disparity, 1)
    hint = np.zeros((1, *disparity.shape), np.float32)
    np.divide(focal * NOMINAL_BASELINE, disparity, out=hint[0], where=disparity > 0)
    return hint


def grey(image: np.ndarray) -> np.ndarray:
    """Luminance, uint8 [H, W], of RGB uint8 [3, H, W]."""
    return cv2.cvtColor(np.ascontiguousarray(image.transpose(1, 2, 0)), cv2.COLOR_RGB2GRAY)


def number_of_disparities(focal: float) -> int:
    """How many disparities reach from infinity to :data:`NEAREST`, as a multiple of 16."""
    most = focal * NOMINAL_BASELINE / NEAREST
    return DISPARITY_MULTIPLE * (1 + int(most / DISPARITY_MULTIPLE))


def match(left: np.ndarray, right: np.ndarray, disparities: int) -> np.ndarray:
    """How many pixels further left the right picture shows what the left one does.

    Args:
        left: uint8 [H, W].
        right: likewise, rectified.
        disparities: how many to try, a multiple of 16.

    Returns:
        Disparity in pixels, float32 [H, W], 0 or less where it is unknown.
    """
    # What is seen at the left border is outside the right picture, where OpenCV does not look.
    padded = [
        cv2.copyMakeBorder(image, 0, 0, disparities, 0, cv2.BORDER_REPLICATE)
        for image in (left, right)
    ]
    # A matcher has buffers of its own, so threads cannot share one.
    matcher = cv2.StereoSGBM_create(
        minDisparity=0,
        numDisparities=disparities,
        blockSize=BLOCK,
        P1=SMALL_STEP,
        P2=LARGE_STEP,
        disp12MaxDiff=MOST_DISAGREEMENT,
        preFilterCap=CONTRAST_CAP,
        uniquenessRatio=UNIQUENESS,
        speckleWindowSize=SPECKLE_SIZE,
        speckleRange=SPECKLE_RANGE,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    return matcher.compute(*padded)[:, disparities:].astype(np.float32) / SUBPIXEL_STEPS
