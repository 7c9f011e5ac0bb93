"""What footage is good for: how far things move between frames, what is blurred, where it cuts.

Motion is optical flow (DIS, Kroeger et al., ECCV 2016, by OpenCV) in shares of the width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

SMALL_WIDTH = 320
GOOD_MOTION = 0.006  # between neighbouring frames; those of a KITTI drive are at 0.004
LARGEST_STRIDE = 15
STILL = 0.002
FASTEST = 0.15
CUT = 0.7  # difference that no motion explains, in deviations of the frame
BLURRED = 0.35  # of the usual sharpness
SHORTEST_CLIP = 3
ROTATION = 0.08  # of the motion is left when a homography explains it
GRID = 12  # pixels between the flow vectors that a homography is fitted to


@dataclass(frozen=True)
class Step:
    """From one frame to the next one looked at.

    Attributes:
        motion: median length of the flow, share of the width.
        parallax: share of the motion that no homography explains: 0 for a camera that only turns.
        unexplained: difference that is left after the motion, in deviations of the frame.
    """

    motion: float
    parallax: float
    unexplained: float = 0.0


def small_grey(frame: np.ndarray) -> np.ndarray:
    """A frame, uint8 RGB [H, W, 3], in the size and grey that motion is measured in."""
    height, width = frame.shape[:2]
    size = (SMALL_WIDTH, max(16, round(height * SMALL_WIDTH / width)))
    return cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)


def sharpness(grey: np.ndarray) -> float:
    """How much fine detail a grey frame has."""
    return float(cv2.Laplacian(grey, cv2.CV_32F).std())


def measure_step(before: np.ndarray, after: np.ndarray) -> Step:
    """The motion between two small grey frames."""
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(before, after, None)
    length = np.linalg.norm(flow, axis=2)
    motion = float(np.median(length)) / SMALL_WIDTH
    unexplained = _unexplained(before, after, flow)
    rows, columns = np.mgrid[: flow.shape[0] : GRID, : flow.shape[1] : GRID]
    start = np.stack([columns, rows], axis=-1).reshape(-1, 2).astype(np.float32)
    end = start + flow[::GRID, ::GRID].reshape(-1, 2)
    homography, _ = cv2.findHomography(start, end, cv2.RANSAC, 1.0)
    if homography is None or motion < STILL:
        return Step(motion, 0.0, unexplained)
    mapped = cv2.perspectiveTransform(start[:, None], homography)[:, 0]
    left = np.mean(np.linalg.norm(mapped - end, axis=1))
    whole = max(np.mean(np.linalg.norm(end - start, axis=1)), 1e-9)
    return Step(motion, float(left / whole), unexplained)


def _unexplained(before: np.ndarray, after: np.ndarray, flow: np.ndarray) -> float:
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    moved = cv2.remap(
        after,
        columns + flow[..., 0],
        rows + flow[..., 1],
        cv2.INTER_LINEAR,
        None,
        cv2.BORDER_REPLICATE,
    )
    difference = np.abs(moved.astype(np.float32) - before).mean()
    return float(difference / max(before.std(), 1.0))


def choose_stride(motions: Sequence[float]) -> int:
    """How many frames to go on, so that neighbours are a useful motion apart."""
    moving = [motion for motion in motions if STILL / 2 < motion < FASTEST]
    if not moving:
        return 1
    return int(np.clip(round(GOOD_MOTION / float(np.median(moving))), 1, LARGEST_STRIDE))


@dataclass(frozen=True)
class Selection:
    """Which frames of one piece of footage are kept.

    Attributes:
        clips: numbers of neighbouring frames, :data:`SHORTEST_CLIP` at least in each.
        still: frames dropped because nothing moved.
        blurred: frames dropped as blurred.
        cuts: places where the scene changed.
        short: frames dropped because too few neighbours were left.
        parallax: median over the steps, see :class:`Step`.
    """

    clips: list[list[int]]
    still: int
    blurred: int
    cuts: int
    short: int
    parallax: float


class Selector:
    """Chooses frames as they come; ``see`` is given each in turn, ``finish`` ends it."""

    def __init__(self) -> None:
        self._clips: list[list[int]] = [[]]
        self._last: np.ndarray | None = None
        self._usual: float | None = None
        self._still = self._blurred = self._cuts = 0
        self._parallax: list[float] = []

    def see(self, number: int, grey: np.ndarray) -> bool:
        """Look at a small grey frame; returns whether it is kept for now."""
        detail = sharpness(grey)
        usual = detail if self._usual is None else self._usual
        self._usual = 0.9 * usual + 0.1 * detail
        if detail < BLURRED * usual:
            self._blurred += 1
            self._break()
            return False
        if self._last is not None:
            step = measure_step(self._last, grey)
            if step.motion < STILL:
                self._still += 1
                return False
            if step.motion > FASTEST or step.unexplained > CUT:
                self._cuts += 1
                self._break()
            else:
                self._parallax.append(step.parallax)
        self._clips[-1].append(number)
        self._last = grey
        return True

    def _break(self) -> None:
        self._last = None
        if self._clips[-1]:
            self._clips.append([])

    def finish(self) -> Selection:
        """What was chosen."""
        long = [clip for clip in self._clips if len(clip) >= SHORTEST_CLIP]
        kept, all_frames = sum(map(len, long)), sum(map(len, self._clips))
        parallax = float(np.median(self._parallax)) if self._parallax else 0.0
        return Selection(long, self._still, self._blurred, self._cuts, all_frames - kept, parallax)
