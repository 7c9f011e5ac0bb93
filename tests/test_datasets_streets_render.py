"""Pictures of generated streets against what is known of them without the renderer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from datasets.streets.casting import Rays, rows_from, rows_to
from datasets.streets.ground import EDGES, LINE_COLOR
from datasets.streets.render import SUPERSAMPLING, render_image
from datasets.streets.sensors import CAMERA_HEIGHT, camera_rays, kitti_camera
from datasets.streets.surfaces import GLASS_COLOR, HAZE_COLOR, HAZE_RANGE
from datasets.streets.texture import COLUMNS, ROWS, SIZES, lines, make_noise_texture, places
from datasets.streets.world import BOX, BUILDING, CAR, METAL, CentreLine, Pose, make_street

CAMERA = kitti_camera(208, 64)
(FX, _, CX), (_, FY, CY) = CAMERA.K[:2]
POSE = Pose(0.3, 0.0, 0.0)


@pytest.fixture(scope="module")
def drawn():
    return make_street(np.random.SeedSequence(5), index=0, num_frames=3)


def plain(drawn, *boxes):
    """A straight street with these boxes, without texture and exposed as it is."""
    grey = np.full_like(drawn.appearance.texture.atlas, 0.5)
    texture = replace(drawn.appearance.texture, atlas=grey, turned=grey)
    look = replace(drawn.appearance, texture=texture, exposure=1.0, sun_azimuth=0.0)
    straight = CentreLine(np.zeros(1), np.ones(1), np.zeros(1))
    static = np.concatenate(boxes) if boxes else np.empty(0, BOX)
    return replace(
        drawn,
        centre_line=straight,
        appearance=look,
        static_boxes=static,
        moving_boxes=(np.empty(0, BOX),) * 3,
    )


def wall(distance, material=METAL, **values):
    """A box, its front ``distance`` metres ahead, 4 m wide and 2 m deep."""
    box = np.zeros(1, BOX)
    box["centre"], box["half"] = (POSE.x + distance + 1, 0), (1, 2)
    box["top"], box["material"], box["contrast"] = 6, material, 1
    box["color"], box["accent"], box["pattern"] = (0.2, 0.4, 0.6), (0.4, 0.4, 0.4), (4, 3)
    for name, value in values.items():
        box[name] = value
    return box


def hazed(color, depth, light=1.0):
    """The grey levels of a colour at a depth."""
    veil = 1 - np.exp(-np.asarray(depth) / HAZE_RANGE)[..., None]
    return 255 * (np.asarray(color) * light * (1 - veil) + veil * HAZE_COLOR)


def pixel(x, y, distance):
    """Row and column that see a point y metres to the left and x above the ground."""
    return round(CY + (CAMERA_HEIGHT - x) * FY / distance), round(CX - y * FX / distance)


FRONT_LIGHT = 0.85 - 0.25  # of a wall that faces the camera, with the sun ahead


def test_a_wall_has_its_colour_its_light_and_its_haze(drawn):
    image = render_image(plain(drawn, wall(12.0)), 0, POSE, CAMERA)
    expected = hazed((0.3, 0.4, 0.5), 12.0, FRONT_LIGHT)  # halfway from colour to accent
    rows = slice(pixel(3.2, 0, 12)[0], pixel(0.3, 0, 12)[0])
    columns = slice(pixel(0, 1.8, 12)[1], pixel(0, -1.8, 12)[1])
    assert np.abs(image[rows, columns] - expected).max() <= 0.51


def test_the_ground_is_that_of_every_ray_and_has_its_lines(drawn):
    """Each ray is looked at alone, with no texture: kinds of ground, and paint where it is sure."""
    street = plain(drawn)
    image = render_image(street, 0, POSE, CAMERA)
    rays = camera_rays(CAMERA, SUPERSAMPLING)
    below = rays.slopes < -0.02
    depth = -CAMERA_HEIGHT / rays.slopes[below].astype(float)
    across = np.abs(depth[:, None] * rays.directions[:, 1] + POSE.y)
    kind = np.searchsorted(EDGES, across)
    colors = hazed(street.appearance.ground_colors[kind], np.repeat(depth[:, None], 416, 1))
    shape = (len(depth) // 2, 2, 208, 2, 3)
    if len(depth) % 2:
        colors, across, depth = colors[1:], across[1:], depth[1:]
        shape = (len(depth) // 2, 2, 208, 2, 3)
    expected = colors.reshape(shape).mean(axis=(1, 3))
    seen = image[-len(expected) :]
    middles = across.reshape(shape[:-1])
    bare = ((middles > 6.3) | ((middles < 3.4) & (middles > 1.2))).all(axis=(1, 3))
    assert bare.mean() > 0.5
    assert np.abs(seen - expected)[bare].max() <= 0.6
    # Grass and road are among them, and whole dashes are painted.
    assert (
        len(np.unique(np.searchsorted(EDGES, middles[bare.nonzero()[0], 0, bare.nonzero()[1], 0])))
        > 1
    )
    near = 7.0 - POSE.x
    row, column = pixel(0, 0, near)
    paint = hazed(LINE_COLOR, near)
    assert np.abs(image[row, column - 1 : column + 2] - paint).min(axis=0).max() < 8


def test_windows_are_where_the_facade_has_them(drawn):
    """Every 4 m along and 3 m up: a pane of glass in a frame, symmetric about 0.55 of a storey."""
    image = render_image(plain(drawn, wall(12.0, BUILDING)), 0, POSE, CAMERA).astype(float)
    bare = hazed((0.3, 0.4, 0.5), 12.0, FRONT_LIGHT)
    frame = hazed(0.4 * np.array((0.3, 0.4, 0.5)) + 0.42, 12.0, FRONT_LIGHT)
    # The only window of the ground floor: its middle is at y = 0, 1.65 m up.
    at = {
        name: image[pixel(*place, 12)]
        for name, place in {
            "wall below": (0.45, 0.5),
            "wall beside": (1.65, 1.5),
            "frame": (1.65, 1.08),
        }.items()
    }
    assert np.abs(at["wall below"] - bare).max() <= 0.51
    assert np.abs(at["wall beside"] - bare).max() <= 0.51
    assert np.abs(at["frame"] - frame).max() <= 0.51
    pane = image[pixel(1.65, 0.5, 12)] / 255
    least = 0.15 * (0.4 * np.array((0.3, 0.4, 0.5)) + 0.42) + GLASS_COLOR
    veil = 1 - np.exp(-12 / HAZE_RANGE)
    shine = (pane - veil * HAZE_COLOR) / ((1 - veil) * FRONT_LIGHT) - least
    assert shine.min() > -0.01 and shine.max() < 0.31  # as bright as this pane is, in all colours
    assert np.ptp(shine) < 0.01


def test_a_car_has_its_lights_and_its_underside(drawn):
    back = np.pi  # of a box is the side that faces the camera when it heads this way
    for yaw, color in ((0.0, (0.65, 0.10, 0.08)), (back, (0.85, 0.85, 0.80))):
        car = wall(6.0, CAR, yaw=yaw, top=1.0)
        image = render_image(plain(drawn, car), 0, POSE, CAMERA).astype(float)
        light = hazed(color, 6.0, FRONT_LIGHT)
        for side in (-1, 1):
            assert np.abs(image[pixel(0.68, side * 1.75, 6)] - light).max() <= 0.51
        assert (
            np.abs(image[pixel(0.68, 0, 6)] - hazed((0.3, 0.4, 0.5), 6.0, FRONT_LIGHT)).max() < 0.6
        )
        assert np.abs(image[pixel(0.12, 0, 6)] - hazed((0.09,) * 3, 6.0, FRONT_LIGHT)).max() <= 0.51


def test_rows_are_those_that_a_search_finds():
    rng = np.random.default_rng(0)
    falling = np.sort(rng.uniform(-1, 1, 40))[::-1].astype(np.float32)
    for slopes in (falling, np.tan(np.linspace(0.03, -0.43, 64)).astype(np.float32)):
        rays = Rays(np.ones((1, 2), np.float32), slopes)
        asked = np.concatenate([rng.uniform(-1.5, 1.5, 500), slopes, [9, -9, np.inf, -np.inf]])
        asked = asked.astype(np.float32)
        np.testing.assert_array_equal(rows_from(rays, asked), np.searchsorted(-slopes, -asked))
        np.testing.assert_array_equal(
            rows_to(rays, asked), np.searchsorted(-slopes, -asked, "right")
        )


def test_lines_go_on_where_places_come_round():
    rng = np.random.default_rng(0)
    level = rng.integers(0, 8, 500)
    start, step = rng.uniform(-900, 900, 500), rng.uniform(0, 0.6, 500) * SIZES[level]
    y, dy = lines(start, step, np.full(500, -1.0), level)
    for s in (-1.0, 0.3, 2.0):
        place = y + s * dy
        assert (place >= ROWS[level] - 0.01).all()
        assert (place <= ROWS[level] + 3 * SIZES[level]).all()
        once = places((start + s * step).astype(np.float32), level, ROWS)
        turns = (place - once) / SIZES[level]
        np.testing.assert_allclose(turns, np.round(turns), atol=1e-2)


def test_the_texture_is_interpolated_between_its_own_texels():
    """At the finest level, from the averages that the atlas holds there."""
    texture = make_noise_texture(np.random.default_rng(0))
    texels = texture.atlas[ROWS[0] : ROWS[0] + 256, COLUMNS[0] : COLUMNS[0] + 256].astype(float)
    np.testing.assert_array_equal(texture.turned[ROWS[0] :, COLUMNS[0] :][:256, :256], texels.T)
    u, v = np.random.default_rng(1).uniform(-600, 600, (2, 500)).astype(np.float32)
    column, row = np.floor(u).astype(int), np.floor(v).astype(int)
    right, down = u - column, v - row
    rows = [
        texels[(row + i) % 256, column % 256] * (1 - right)
        + texels[(row + i) % 256, (column + 1) % 256] * right
        for i in (0, 1)
    ]
    half = np.ones(500, np.float32) / 2
    found = texture.sample(u, v, half, half)
    # OpenCV 4 takes weights in steps of 1/32.
    np.testing.assert_allclose(found, rows[0] * (1 - down) + rows[1] * down, atol=0.03)
