"""Pictures and exact depth of generated streets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from datasets.camera import Camera
from datasets.streets.casting import (
    add_flats,
    cast_rays,
    count_up,
    meet_flats,
    meet_walls,
    number_rays,
    numbered_depths,
    visible_boxes,
)
from datasets.streets.ground import see_ground, shade_ground
from datasets.streets.sensors import CAMERA_HEIGHT, camera_rays
from datasets.streets.surfaces import (
    COARSE_SHARE,
    FINE_SHARE,
    MIDDLE,
    Paint,
    Scene,
    Texturing,
    details_of,
    paint_flats,
    paint_sky,
    paint_walls,
    sky_gain,
    texture_flats,
    texture_sky,
    texture_walls,
)
from datasets.streets.texture import look_up
from datasets.streets.world import CentreLine, Pose, Street

SUPERSAMPLING = 2  # rays per pixel along each axis; colours are added up in twos
STRIP = 2048  # columns of rays that are shaded together; cv2.remap takes less than 2^15
LEAST_GAIN = 0.15


@dataclass(frozen=True)
class View:
    """What is seen at the pixel centres of a picture.

    Attributes:
        depth: metres, infinite for the sky, float32 [H, W].
        objects: number of the car, pole or tree, 0 for everything else, int32 [H, W].
        kinds: kind of every object of the drive by its number, seen or not.
    """

    depth: np.ndarray
    objects: np.ndarray
    kinds: Mapping[int, str]


def render_depth(street: Street, frame: int, pose: Pose, camera: Camera) -> np.ndarray:
    """Exact depth at the pixel centres in metres, infinite for the sky: float32 [H, W]."""
    return render_view(street, frame, pose, camera).depth


def render_view(street: Street, frame: int, pose: Pose, camera: Camera) -> View:
    """Exact depth and the objects at the pixel centres of a picture by ``render_image``."""
    boxes = visible_boxes(street.boxes_at(frame), pose)
    hits = cast_rays(boxes, pose, CAMERA_HEIGHT, camera_rays(camera))
    # Walls, then tops and bottoms, then what is no box: SKY and GROUND, -2 and -1, find the end.
    numbers = np.concatenate([np.tile(boxes["object"], 2), np.zeros(2, np.int32)])
    return View(hits.t, numbers[hits.surface], street.object_kinds())


def render_image(street: Street, frame: int, pose: Pose, camera: Camera) -> np.ndarray:
    """The street at ``frame`` as a camera at ``pose`` sees it: RGB, uint8 [H, W, 3]."""
    boxes = visible_boxes(street.boxes_at(frame), pose)
    rays = camera_rays(camera, SUPERSAMPLING)
    scene = Scene(street.appearance, boxes, pose, camera, rays)
    seen = _see(scene)
    width, exposure = len(rays.directions), 255 * street.appearance.exposure
    picture = np.empty((*camera.image_size, 3), np.uint8)
    for start in range(0, width, STRIP):
        columns = slice(start, min(start + STRIP, width))
        planes = _shade(scene, seen, columns)
        _add_ground(scene, street.centre_line, seen, columns, planes)
        pixels = cv2.convertScaleAbs(cv2.merge([*planes]), alpha=exposure)
        picture[start // SUPERSAMPLING : columns.stop // SUPERSAMPLING] = pixels
    return cv2.transpose(picture)


class _Seen(NamedTuple):
    """What the rays of a picture see.

    The number of what each ray sees, as :func:`number_rays` gives it, details of walls after the
    walls, and tops and bottoms of boxes after these; and what is known of it by its number, N.
    """

    numbers: np.ndarray  # int32 [W, H]
    texturing: Texturing  # [N]
    paint: Paint  # [3, N], black for the ground, which is added later


def _see(scene: Scene) -> _Seen:
    """Cast the rays of a picture, and look up what does not change along what a column sees."""
    rays = scene.rays
    met = meet_walls(scene.boxes, scene.pose, CAMERA_HEIGHT, rays)
    walls = met.seen()
    details = details_of(scene, walls)
    wall = np.append(np.arange(len(walls.box)), details.wall)
    order = np.argsort(wall, kind="stable")  # details right after their wall
    first, last = np.append(walls.first, details.first), np.append(walls.last, details.last)
    numbers = number_rays(rays, walls.column.take(wall), first, last, order)
    t = numbered_depths(rays, walls.enter.take(wall))
    flats = meet_flats(scene.boxes, met, CAMERA_HEIGHT, rays, numbers, t)
    add_flats(numbers, flats, len(t))
    black = np.zeros((3, 1), np.float32)
    texturing = [
        Texturing(*[black[0]] * 7),
        texture_sky(scene),
        Texturing(*(values.take(wall) for values in texture_walls(scene, walls))),
        texture_flats(scene, flats),
    ]
    paint = [
        Paint(black, black, black),
        paint_sky(scene),
        paint_walls(scene, walls, details),
        paint_flats(scene, flats),
    ]
    return _Seen(
        numbers,
        Texturing(*(np.concatenate(each, dtype=np.float32) for each in zip(*texturing))),
        Paint(*(np.hstack(each, dtype=np.float32) for each in zip(*paint))),
    )


class _Runs(NamedTuple):
    """Rays one below the other that see the same, [R] each; one run after the other."""

    number: np.ndarray
    first: np.ndarray  # flat index of its first ray in maps [W, H]
    last: np.ndarray  # one after its last ray


def _runs_of(numbers: np.ndarray) -> _Runs:
    """The runs in a map of numbers, [W, H]."""
    starts = np.ones(numbers.shape, bool)
    np.not_equal(numbers[:, 1:], numbers[:, :-1], out=starts[:, 1:])
    first = np.flatnonzero(starts)
    return _Runs(numbers.reshape(-1).take(first), first, np.append(first[1:], numbers.size))


class _Samples(NamedTuple):
    """Rays by twos, one below the other, [N]: all of a strip, then some that are worked out apart.

    Two rays mostly see the same. Where a run begins with the lower one, the lower one is apart.
    """

    number: np.ndarray  # what is seen, by runs of samples, [R]
    counts: np.ndarray  # the samples of each run, [R]
    rays: np.ndarray  # 2, or 1 where the lower one is apart, float32
    fine: np.ndarray  # the sum of the texture's values over the rays
    slope: np.ndarray  # of the middle of the rays
    pairs: np.ndarray  # the samples to which those apart belong

    def spread(self, table: np.ndarray) -> np.ndarray:
        """What is known by number, for every sample, [N]."""
        return np.repeat(table.take(self.number), self.counts)


def _sample(scene: Scene, seen: _Seen, columns: slice) -> _Samples:
    """Look the texture up for every ray, and put rays together."""
    numbers, slopes = seen.numbers[columns], scene.rays.slopes
    runs = _runs_of(numbers)
    counts = runs.last - runs.first
    x, y, dy = (
        np.repeat(table.take(runs.number), counts).reshape(numbers.shape)
        for table in seen.texturing[:3]
    )
    dy *= slopes
    y += dy
    fine = look_up(scene.appearance.texture.atlas, x, y).reshape(-1, 2)

    split = np.flatnonzero(runs.first % 2)
    place = runs.first.take(split)
    pairs = place // 2
    padding = -len(split) % (len(slopes) // 2)  # to whole columns
    apart, lower, slope = (
        np.pad(values, (0, padding))
        for values in (
            runs.number.take(split),
            fine[:, 1].take(pairs),
            slopes.take(place % len(slopes)),
        )
    )
    total = np.append(fine[:, 0] + fine[:, 1], lower)
    total[pairs] = fine[:, 0].take(pairs)
    rays = np.ones(len(total), np.float32)
    rays[: len(fine)] = 2
    rays[pairs] = 1
    number = np.append(runs.number, apart)
    counts = np.append((runs.last + 1) // 2 - (runs.first + 1) // 2, np.ones(len(apart), int))
    middles = np.tile((slopes[::2] + slopes[1::2]) / 2, len(numbers))
    return _Samples(number, counts, rays, total, np.append(middles, slope), pairs)


def _shade(scene: Scene, seen: _Seen, columns: slice) -> np.ndarray:
    """The colours of pixels but for what the ground adds, in [0, 1], float32 [3, W / 2, H / 2]."""
    samples = _sample(scene, seen, columns)
    look = seen.texturing
    x, y, dy = map(samples.spread, (look.coarse_x, look.coarse_y, look.coarse_dy))
    dy *= samples.slope
    y += dy
    shape = -1, len(scene.rays.slopes) // 2
    hue = look_up(scene.appearance.texture.turned, x.reshape(shape), y.reshape(shape)).ravel()
    gain = hue * np.float32(COARSE_SHARE)
    gain -= np.float32(MIDDLE)
    gain *= samples.rays
    gain += np.float32(FINE_SHARE) * samples.fine
    gain *= samples.spread(look.contrast)
    gain += samples.rays
    np.maximum(gain, np.float32(LEAST_GAIN) * samples.rays, out=gain)
    sky = np.flatnonzero((samples.number > 0) & (samples.number <= len(seen.numbers)))
    begin = np.cumsum(samples.counts) - samples.counts
    sky = count_up(begin.take(sky), samples.counts.take(sky))
    gain[sky] = sky_gain(*(values.take(sky) for values in (y, samples.fine, samples.rays)))
    hue *= gain

    width = (columns.stop - columns.start) // SUPERSAMPLING
    count, extra = width * SUPERSAMPLING * shape[1], len(samples.pairs)
    planes = np.empty((3, width, shape[1]), np.float32)
    for plane, *tables in zip(planes, *seen.paint):
        color, accent, constant = map(samples.spread, tables)
        color *= gain
        accent *= hue
        constant *= samples.rays
        color += accent
        color += constant
        own = color[:count]
        own[samples.pairs] += color[count : count + extra]
        left, right = own.reshape(width, SUPERSAMPLING, -1).swapaxes(0, 1)
        np.add(left, right, out=plane)
    planes *= np.float32(1 / SUPERSAMPLING**2)
    return planes


def _add_ground(
    scene: Scene, centre_line: CentreLine, seen: _Seen, columns: slice, planes: np.ndarray
) -> None:
    """Add to the colours of pixels what they see of the ground."""
    is_ground = seen.numbers[columns] == 0
    rows = is_ground.any(axis=0)
    if rows.any():
        first = int(rows.argmax()) // 2 * 2
        ground = see_ground(scene, centre_line, columns, slice(first, None))
        planes[:, :, first // 2 :] += shade_ground(scene, ground, is_ground[:, first:])
