"""Depth of a kept picture at the picture's size, a band of rows at a time: values and files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from datasets.camera import Camera
from datasets.depth_files import UNIT
from datasets.pictures import read_picture
from prediction.depth_map import FAMILIES, DepthMap
from prediction.pictures import FARTHEST, UNITS_PER_METRE, encode_depth
from prediction.points import MOST_POINTS, back_project, encode_glb, encode_ply, grid_step
from prediction.predictor import DepthPredictor
from prediction.visualise import colorize, disparity_range

# What can be downloaded, and how it is named after the picture.
FILES = {
    "colours": "{}_depth.png",
    "steps": "{}_depth_16bit.png",
    "numbers": "{}_depth.npy",
    "cloud": "{}.ply",
    "mesh": "{}.glb",
}
STEPS = "kitti"  # of 16 bits: to 256 m, by 4 mm
BAND = 1_000_000  # pixels that are worked on at once
MOST_LOOKED_AT = 4_000_000  # pixels that decide on the range of colours
PNG_EFFORT = 3  # of 9: a third of the time of Pillow's 6, for a tenth more bytes


class PictureDepth:
    """A network's output as depth of a large picture, whose parts are made when they are asked for.

    Beside the output at the picture's size, 4 bytes a pixel, it needs what a band needs. After
    :meth:`last_colors` there are no more parts to be had.

    Args:
        predictor: of the output.
        output: of its network, [h, w] float32.
        shape: of the picture, (height, width).
    """

    def __init__(
        self, predictor: DepthPredictor, output: np.ndarray, shape: tuple[int, int]
    ) -> None:
        self.predictor, self.shape = predictor, shape
        enlarge = FAMILIES[predictor.info.kind].enlarge
        self._output = enlarge(predictor.without_padding(output, shape), shape[::-1])
        looked_at = self.thinned(grid_step(shape, MOST_LOOKED_AT))
        self.unit, self.metric = looked_at.unit, looked_at.metric
        self._inverse_depth = looked_at.inverse_depth
        self.range = disparity_range(looked_at.disparity)

    def thinned(self, step: int) -> DepthMap:
        """Depth of every ``step``-th row and column."""
        part = np.ascontiguousarray(self._output[::step, ::step])
        return self.predictor.depth_map(part, part.shape)

    def bands(self) -> Iterator[tuple[slice, DepthMap]]:
        """All rows, some at a time, and their depth."""
        height, width = self.shape
        rows = max(1, BAND // width)
        for top in range(0, height, rows):
            part = self._output[top : top + rows]
            depth_map = self.predictor.depth_map(part, part.shape)
            yield slice(top, top + rows), replace(depth_map, inverse_depth=self._inverse_depth)

    def last_colors(self, colormap: str) -> np.ndarray:
        """uint8 RGB [H, W, 3], near is bright; gives back the memory of the output."""
        colors = np.empty((*self.shape, 3), np.uint8)
        for rows, depth_map in self.bands():
            colors[rows] = colorize(depth_map.disparity, *self.range, colormap)
        self._output = self._output[:0].copy()
        return colors

    def ends(self) -> tuple[float, float]:
        """Depth of the darkest and of the brightest colour."""
        ends = DepthMap(np.array([self.range], np.float32), self.unit, self._inverse_depth)
        far, near = ends.depth[0].tolist()
        return far, near


def values_at(
    predictor: DepthPredictor,
    output: np.ndarray,
    shape: tuple[int, int],
    pixels: list[tuple[int, int]],
) -> DepthMap:
    """Depth [1, N] at pixels (x, y) of a picture of ``shape``, without making all of it.

    Of a model that knows inverse depth up to a shift only, the disparity alone is meant.
    """
    enlarge = FAMILIES[predictor.info.kind].enlarge
    output = predictor.without_padding(output, shape)
    wide = enlarge(output, (shape[1], output.shape[0]))
    values = []
    for x, y in pixels:
        column = np.ascontiguousarray(wide[:, x : x + 1])
        values.append(enlarge(column, (1, shape[0]))[y, 0])
    part = np.array([values], np.float32)
    return predictor.depth_map(part, part.shape)


def write_files(
    folder: Path,
    name: str,
    picture: Path,
    predictor: DepthPredictor,
    output: np.ndarray,
    camera: Camera,
    colormap: str,
    kinds: Collection[str] = tuple(FILES),
) -> dict[str, Path]:
    """Write what can be had of a picture into a folder; returns the files by their kinds.

    Args:
        folder: to write into.
        name: that the files' names start with.
        picture: file of it.
        predictor, output: see :class:`PictureDepth`.
        camera: of the picture.
        colormap: one of :data:`options.COLORMAPS`.
        kinds: of :data:`FILES`.
    """
    paths = {kind: folder / FILES[kind].format(name) for kind in FILES if kind in kinds}
    # The large things one after the other: the picture, its depth, its colours.
    in_space = paths.keys() & {"cloud", "mesh"}
    step = grid_step(camera.image_size[::-1], MOST_POINTS)
    colors = read_picture(picture)[::step, ::step].copy() if in_space else None
    depth = PictureDepth(predictor, output, camera.image_size[::-1])
    if "numbers" in paths:
        _write_numbers(paths["numbers"], depth)
    if "steps" in paths:
        _write_steps(paths["steps"], depth)
    if colors is not None:
        points = back_project(depth.thinned(step).depth, camera.K, step)
        unit = "metres" if depth.metric else "relative"
        thinned = "" if step == 1 else f"; 1 of {step} rows and columns"
        note = f"{unit}; camera assumed to see {camera.source}{thinned}"
        if "cloud" in paths:
            paths["cloud"].write_bytes(encode_ply(points, colors, note))
        if "mesh" in paths:
            paths["mesh"].write_bytes(encode_glb(points, colors))
        del points, colors
    if "colours" in paths:
        shown = Image.fromarray(depth.last_colors(colormap))
        shown.save(paths["colours"], compress_level=PNG_EFFORT)
    return paths


def _write_numbers(path: Path, depth: PictureDepth) -> None:
    """Depth as float32 [H, W]."""
    with path.open("wb") as file:
        kind = {"descr": "<f4", "fortran_order": False, "shape": depth.shape}
        np.lib.format.write_array_header_1_0(file, kind)
        for _, depth_map in depth.bands():
            file.write(depth_map.depth.astype("<f4").tobytes())


def _write_steps(path: Path, depth: PictureDepth) -> None:
    """Whole numbers of 16 bits [H, W]: metres as KITTI has them, else inverse depth."""
    steps = np.empty(depth.shape, np.uint16)
    if depth.metric:
        said = f"depth in 1/{UNITS_PER_METRE[STEPS]} m"
        for rows, depth_map in depth.bands():
            steps[rows] = encode_depth(depth_map.depth, STEPS)[0]
    else:
        largest = max(float(depth_map.disparity.max()) for _, depth_map in depth.bands()) or 1.0
        said = f"relative inverse depth in {largest / FARTHEST:.9g}: near is large"
        for rows, depth_map in depth.bands():
            steps[rows] = np.rint(depth_map.disparity * (FARTHEST / largest))
    note = PngImagePlugin.PngInfo()
    note.add_text(UNIT, STEPS if depth.metric else depth.unit)  # as demo.py says it
    note.add_text("Description", said)
    Image.fromarray(steps).save(path, compress_level=PNG_EFFORT, pnginfo=note)
