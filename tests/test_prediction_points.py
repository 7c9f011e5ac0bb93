"""Depth as points and surfaces: known geometry comes out, in files that others read."""

import json
import struct
import warnings

import numpy as np
import pytest

from datasets.streets.generate import StreetSettings, list_drives, load_street
from datasets.streets.render import render_depth
from datasets.streets.sensors import CAMERA_HEIGHT, camera_rays, cast_rays, kitti_camera
from datasets.streets.world import BOX
from prediction.points import (
    back_project,
    encode_glb,
    encode_ply,
    grid_step,
    linear,
    surface,
)

K = np.array([[100, 0, 40], [0, 100, 30], [0, 0, 1]], float)


def read_ply(content):
    header, _, body = content.partition(b"end_header\n")
    count = int(next(line for line in header.splitlines() if b"element vertex" in line).split()[-1])
    kind = [("point", "<f4", 3), ("color", "u1", 3)]
    assert len(body) == count * np.dtype(kind).itemsize
    return header.decode(), np.frombuffer(body, kind)


def read_glb(content):
    magic, version, length = struct.unpack("<4sII", content[:12])
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack("<I4s", content[12:20])
    assert kind == b"JSON"
    assert size % 4 == 0
    tree, rest = json.loads(content[20 : 20 + size]), content[20 + size :]
    if not rest:
        return tree, None, None, None
    length, kind = struct.unpack("<I4s", rest[:8])
    assert kind == b"BIN\0"
    arrays = []
    types = {5126: "<f4", 5125: "<u4", 5123: "<u2"}
    for accessor in tree["accessors"]:
        view = tree["bufferViews"][accessor["bufferView"]]
        start = 8 + view["byteOffset"]
        data = np.frombuffer(
            rest[start : start + view["byteLength"]], types[accessor["componentType"]]
        )
        arrays.append(data.reshape(accessor["count"], -1))
    return tree, *arrays


def test_a_point_projects_back_to_its_pixel():
    depth = np.random.default_rng(0).uniform(1, 9, (60, 80)).astype(np.float32)
    points = back_project(depth, K)
    pixels = points @ K.T
    u, v = np.meshgrid(np.arange(80), np.arange(60))
    np.testing.assert_allclose(pixels[..., 0] / pixels[..., 2], u, atol=1e-3)
    np.testing.assert_allclose(pixels[..., 1] / pixels[..., 2], v, atol=1e-3)
    np.testing.assert_array_equal(points[..., 2], depth)


def test_what_is_infinitely_far_is_no_point_and_no_warning():
    depth = np.full((3, 4), np.inf, np.float32)
    depth[1, :2] = 2
    camera = np.array([[10, 0, 2], [0, 10, 1], [0, 0, 1]], float)  # its axis meets a pixel
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        points = back_project(depth, camera)
        _, vertices = read_ply(encode_ply(points, np.zeros((3, 4, 3), np.uint8)))
    np.testing.assert_allclose(vertices["point"], [[-0.4, 0, 2], [-0.2, 0, 2]], atol=1e-7)


def test_the_road_of_a_street_is_a_plane():
    settings = StreetSettings(width=320, height=96, train_drives=1, val_drives=1, test_drives=1)
    drive = list_drives(settings)[0]
    street = load_street(settings, drive)
    camera = kitti_camera(settings.width, settings.height)
    depth = render_depth(street, 0, street.poses[0], camera)
    points = back_project(depth, camera.K)
    ground = cast_rays(np.empty(0, BOX), street.poses[0], CAMERA_HEIGHT, camera_rays(camera)).t
    road = points[np.isfinite(ground) & (depth == ground)]
    assert len(road) > 0.1 * depth.size
    plane, *_ = np.linalg.lstsq(np.c_[road[:, [0, 2]], np.ones(len(road))], road[:, 1], rcond=None)
    off = np.c_[road[:, [0, 2]], np.ones(len(road))] @ plane - road[:, 1]
    assert np.abs(off).max() < 0.05
    assert plane[2] == pytest.approx(CAMERA_HEIGHT, abs=0.05)


def test_ply_holds_points_and_colours_and_leaves_out_infinity():
    depth = np.array([[1, 2], [np.inf, 4]], np.float32)
    colors = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    header, vertices = read_ply(encode_ply(back_project(depth, K), colors, "metres\nx y z"))
    assert "comment metres x y z" in header
    np.testing.assert_array_equal(vertices["color"], colors.reshape(-1, 3)[[0, 1, 3]])
    np.testing.assert_allclose(vertices["point"][1], [2 * (1 - 40) / 100, 2 * -30 / 100, 2])


def test_a_surface_is_cut_at_edges_and_infinity():
    depth = np.ones((5, 8), np.float32)
    whole = surface(back_project(depth, K))
    assert len(whole) == 2 * 4 * 7
    depth[:, 4:] = 3
    cut = surface(back_project(depth, K))
    assert len(cut) == 2 * 4 * 6
    columns = cut % 8
    assert not ((columns.min(axis=1) < 4) & (columns.max(axis=1) >= 4)).any()
    depth[0, 0] = np.inf
    assert len(surface(back_project(depth, K))) == len(cut) - 1


def test_triangles_face_the_camera():
    points = back_project(np.full((4, 4), 2, np.float32), K).reshape(-1, 3)
    a, b, c = (points[corner] for corner in surface(points.reshape(4, 4, 3)).T)
    assert (np.cross(b - a, c - a)[:, 2] < 0).all()


def test_glb_holds_a_mesh_with_colours():
    depth = np.random.default_rng(0).uniform(2, 2.05, (6, 9)).astype(np.float32)
    colors = np.random.default_rng(1).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    points = back_project(depth, K)
    tree, vertices, rgba, faces = read_glb(encode_glb(points, colors))
    np.testing.assert_allclose(vertices, points.reshape(-1, 3) * [1, -1, -1])
    assert tree["accessors"][1]["normalized"] is True
    light = rgba / 65535
    np.testing.assert_array_equal(light[:, 3], 1)
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    np.testing.assert_array_equal(np.rint(255 * srgb[:, :3]), colors.reshape(-1, 3))
    assert faces.size == 3 * 2 * 5 * 8
    assert faces.max() == 6 * 9 - 1
    np.testing.assert_allclose(tree["accessors"][0]["max"], vertices.max(axis=0))


def test_colours_of_a_mesh_are_linear_and_none_is_lost():
    """sRGB 188 is half the light of 255; a table of IEC 61966-2-1 says the others."""
    known = {0: 0, 1: 0.000304, 10: 0.003035, 11: 0.003347, 64: 0.051269, 128: 0.215861}
    known.update({188: 0.502886, 255: 1})
    got = linear(np.arange(256, dtype=np.uint8)) / 65535
    np.testing.assert_allclose(got[list(known)], list(known.values()), atol=1e-5)
    assert (np.diff(got) > 0).all()


def test_a_depth_without_a_surface_is_an_empty_scene():
    points = back_project(np.full((4, 4), np.inf, np.float32), K)
    tree, *arrays = read_glb(encode_glb(points, np.zeros((4, 4, 3), np.uint8)))
    assert tree["scenes"] == [{"nodes": []}]
    assert arrays == [None] * 3


def test_large_clouds_are_thinned_out(monkeypatch):
    monkeypatch.setattr("prediction.points.MOST_POINTS", 1000)
    depth = np.random.default_rng(0).uniform(1, 9, (60, 80)).astype(np.float32)
    points = back_project(depth, K)
    colors = np.arange(4800 * 3).reshape(60, 80, 3).astype(np.uint8)
    _, vertices = read_ply(encode_ply(points, colors))
    np.testing.assert_array_equal(vertices["point"], points[::3, ::3].reshape(-1, 3))
    np.testing.assert_array_equal(vertices["color"], colors[::3, ::3].reshape(-1, 3))
    np.testing.assert_array_equal(back_project(depth[::3, ::3], K, 3), points[::3, ::3])
    _, vertices = read_ply(encode_ply(points.reshape(-1, 3), colors.reshape(-1, 3)))
    assert len(vertices) == 4800  # a list of points is nobody's picture


@pytest.mark.parametrize("shape", [(1, 1), (1, 5001), (5001, 1), (40, 25), (41, 25), (999, 1001)])
def test_as_many_pixels_stay_as_are_allowed(shape):
    step = grid_step(shape, 1000)
    assert len(range(0, shape[0], step)) * len(range(0, shape[1], step)) <= 1000
    assert (step == 1) == (shape[0] * shape[1] <= 1000)


def test_large_pictures_are_thinned_out():
    points = back_project(np.full((900, 1600), 2, np.float32), K)
    _, vertices, *_ = read_glb(encode_glb(points, np.zeros((900, 1600, 3), np.uint8)))
    assert 200_000 < len(vertices) <= 400_000
