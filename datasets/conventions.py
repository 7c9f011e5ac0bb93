"""What names and lengths mean to the whole project, said once and without Paddle."""

from __future__ import annotations

from typing import Any

# Training takes the other camera of a stereo pair to be 0.1 model units away; KITTI's is 0.54 m.
NOMINAL_BASELINE = 0.1
KITTI_BASELINE_METRES = 0.54
STEREO_SCALE_FACTOR = KITTI_BASELINE_METRES / NOMINAL_BASELINE

STEREO = "s"  # the other camera of the stereo pair, among the sources of a target

SQUEEZED = 1.5  # times that a picture's shape may be changed before it is said

IMPROVED_SPLIT = "eigen_benchmark"  # measured on KITTI's improved depth, not on sweeps


def disp_to_depth(disp: Any, min_depth: float, max_depth: float) -> tuple[Any, Any]:
    """Turn the network's sigmoid into scaled disparity and depth (paper, section 4).

    Args:
        disp: sigmoid output in [0, 1], tensor or NumPy array of any shape.
        min_depth: depth at ``disp`` = 1, model units.
        max_depth: depth at ``disp`` = 0, model units.

    Returns:
        ``(scaled_disp, depth)``, with ``depth = 1 / scaled_disp`` in [min_depth, max_depth].
    """
    scaled_disp = scaled_disparity(disp, min_depth, max_depth)
    return scaled_disp, 1 / scaled_disp


def scaled_disparity(disp: Any, min_depth: float, max_depth: float) -> Any:
    """The first of what :func:`disp_to_depth` returns."""
    min_disp = 1 / max_depth
    max_disp = 1 / min_depth
    return min_disp + (max_disp - min_disp) * disp


def change_of_shape(picture: tuple[int, int], size: tuple[int, int]) -> str | None:
    """How things look in a picture that is squeezed into a size, in words; None if little changes.

    Args:
        picture: its (width, height).
        size: (width, height) that it is brought to.
    """
    change = (size[0] / size[1]) / (picture[0] / picture[1])
    if max(change, 1 / change) <= SQUEEZED:
        return None
    return f"{change:.1f} times too wide" if change > 1 else f"{1 / change:.1f} times too tall"
