"""What footage is good for: how far things move, what is blurred, where it cuts, what is held out.

Motion is optical flow (DIS, Kroeger et al., ECCV 2016, by OpenCV) in shares of the width.
"""

from collections.abc import Iterable, Sequence
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
VALIDATION = 0.1  # of each piece of footage, at its end
CLEAR_PIXELS = 0.5  # of a shift that is no noise
CLEAR_SHARE = 0.05  # of the picture, that has to move
MATCHED = 0.7  # of the difference may be left: it is a quarter to a half between KITTI's cameras
GRID = 12  # pixels between the flow vectors that a homography is fitted to


@dataclass(frozen=True)
class Step:
    """From one frame to the next one looked at."""

    motion: float  # median length of the flow, share of the width
    # Share of the motion that no homography explains: 0 for a camera that only turns.
    parallax: float
    unexplained: float = 0.0  # difference that is left after the motion, in deviations of the frame


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


def shift_between(left: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """How far things lie further right, and further down, in the right camera's small grey frame.

    In shares of the width and height; of what moves clearly, so that what is far away is no part.
    0 where nothing does, or where the shift is too large for the flow to find it.
    """
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(left, right, None)
    clear = flow[np.linalg.norm(flow, axis=2) > CLEAR_PIXELS]
    before, after = (_unexplained(left, right, each) for each in (np.zeros_like(flow), flow))
    if len(clear) < CLEAR_SHARE * left.size or after > MATCHED * before:
        return 0.0, 0.0
    across, down = np.median(clear, axis=0) / left.shape[::-1]
    return float(across), float(down)


def _unexplained(before: np.ndarray, after: np.ndarray, flow: np.ndarray) -> float:
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    moved = cv2.remap(after, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
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
    """Which frames of one piece of footage are kept."""

    clips: list[list[int]]  # numbers of neighbouring frames, :data:`SHORTEST_CLIP` at least in each
    still: int  # frames dropped because nothing moved
    blurred: int  # frames dropped as blurred
    cuts: int  # places where the scene changed
    short: int  # frames dropped because too few neighbours were left
    parallax: float  # median over the steps, see :class:`Step`
    frames: int  # that the footage has


def select(frames: Iterable[np.ndarray], stride: int = 1) -> Selection:
    """Choose among every ``stride``-th of the frames of one piece of footage, as they come."""
    clips, parallax, last, usual = [[]], [], None, None
    number = -1
    still = blurred = cuts = 0
    for number, frame in enumerate(frames):
        if number % stride:
            continue
        grey = small_grey(frame)
        detail = sharpness(grey)
        before = detail if usual is None else usual
        usual = 0.9 * before + 0.1 * detail
        if detail < BLURRED * before:
            blurred += 1
            last = None
            clips.append([])
            continue
        if last is not None:
            step = measure_step(last, grey)
            if step.motion < STILL:
                still += 1
                continue
            if step.motion > FASTEST or step.unexplained > CUT:
                cuts += 1
                clips.append([])
            else:
                parallax.append(step.parallax)
        clips[-1].append(number)
        last = grey
    long = [clip for clip in clips if len(clip) >= SHORTEST_CLIP]
    short = sum(map(len, clips)) - sum(map(len, long))
    median = float(np.median(parallax)) if parallax else 0.0
    return Selection(long, still, blurred, cuts, short, median, number + 1)


def held_out(clips: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Cut clips into those to train on and, of the last tenth of the frames, those to validate."""
    total = sum(map(len, clips))
    left = max(3, round(VALIDATION * total))
    train, validation = [list(clip) for clip in clips], []
    while left > 0 and train:
        clip = train.pop()
        if len(clip) - left >= 3:
            train.append(clip[:-left])
            clip = clip[-left:]
        validation.insert(0, clip)
        left -= len(clip)
    if not train:  # one short clip: half and half
        clip = validation.pop()
        train.append(clip[: len(clip) // 2])
        validation.append(clip[len(clip) // 2 :])
    return train, validation
