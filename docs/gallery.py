"""Make the pictures of gallery.md: python docs/gallery.py WEIGHTS_FOLDER, after make quickstart."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from datasets.pictures import read_picture  # noqa: E402
from options import COLORMAPS  # noqa: E402
from prediction.points import back_project, camera_of_picture  # noqa: E402
from prediction.predictor import DepthPredictor  # noqa: E402
from prediction.visualise import colorize_disparity, side_by_side, stack_labelled  # noqa: E402

PICTURE = DOCS.parent / "assets" / "test_image.jpg"
FIELD_OF_VIEW = 81.5  # of the street's camera
FARTHEST, ACROSS = 30.0, 20.0  # metres seen from above
PIXELS_PER_METRE = 16


def from_above(points: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Points [H, W, 3] seen from above, the camera at the bottom, uint8 RGB."""
    x, _, z = points.reshape(-1, 3).T
    column = np.rint((x + ACROSS / 2) * PIXELS_PER_METRE).astype(int)
    row = np.rint((FARTHEST - z) * PIXELS_PER_METRE).astype(int)
    height, width = int(FARTHEST * PIXELS_PER_METRE), int(ACROSS * PIXELS_PER_METRE)
    seen = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    canvas = np.full((height, width, 3), 255, np.uint8)
    canvas[row[seen], column[seen]] = colors.reshape(-1, 3)[seen]
    return canvas


def main(weights: str) -> None:
    """Write the pictures."""
    picture = read_picture(PICTURE)
    depth_map = DepthPredictor.from_folder(weights)(picture)
    save(side_by_side(picture, depth_map), "gallery-side.png")
    maps = {name: colorize_disparity(depth_map.disparity, name)[::2, ::2] for name in COLORMAPS}
    save(stack_labelled(maps), "gallery-colours.png")
    camera = camera_of_picture(picture.shape[1::-1], fov=FIELD_OF_VIEW)
    save(from_above(back_project(depth_map.depth, camera.K), picture), "gallery-above.png")


def save(picture: np.ndarray, name: str) -> None:
    """Write a picture with 256 colours, which keeps it small."""
    Image.fromarray(picture).quantize(256).save(DOCS / name, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
