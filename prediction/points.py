"""Depth as points and surfaces in space: coloured point clouds (PLY) and meshes (GLB).

Camera coordinates: x to the right, y down, z forward, in the unit of the depth. GLB files, whose
standard has y up and the viewer looking along -z, are turned accordingly. Colours are those of the
picture (sRGB) in PLY; the standard of GLB wants them linear.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from datasets.camera import (
    ASSUMED_DEGREES,
    Camera,
    camera_of_angle,
    camera_of_pixels,
    read_camera_file,
)
from datasets.exif import camera_of_exif

KITTI_CALIBRATION = "calib_cam_to_cam.txt"
MOST_POINTS = 4_000_000  # of a cloud; larger pictures are thinned out
EDGE = 0.1  # a mesh is cut between pixels whose depths differ by more than this share
MOST_VERTICES = 400_000  # of a mesh; larger pictures are thinned out
FLOAT, UNSIGNED_INT, UNSIGNED_SHORT = 5126, 5125, 5123  # glTF component types
OPAQUE = 65535  # all of a colour in 16 bits
VERTEX_BUFFER, INDEX_BUFFER = 34962, 34963  # glTF buffer view targets


def camera_of_picture(
    size: tuple[int, int],
    file: Path | None = None,
    K: tuple[float, ...] | None = None,
    fov: float | None = None,
    picture: Path | None = None,
) -> Camera:
    """The camera that pictures of ``size`` (width, height) are taken to be from.

    What was given comes first, then what the picture's EXIF says; else an angle is assumed.

    Args:
        size: of the pictures.
        file: ``camera.json``, or KITTI's ``calib_cam_to_cam.txt`` (its left colour camera).
        K: fx, fy, cx, cy in pixels of ``size``.
        fov: horizontal angle of view, degrees.
        picture: file of the picture.

    Raises:
        InputError: what was given cannot be the camera of such pictures.
    """
    if file is not None:
        if file.name == KITTI_CALIBRATION:
            from datasets.kitti import read_calibration  # noqa: PLC0415 - and all of its splits

            return read_calibration(file.parent).camera("l", str(file)).resized(size)
        return read_camera_file(file).resized(size)
    if K is not None:
        return camera_of_pixels(size, *K, "--K")
    if fov is not None:
        return camera_of_angle(size, fov, "--fov")
    stated = None if picture is None else camera_of_exif(picture)
    if stated is not None:
        return stated.resized(size)
    return camera_of_angle(size, ASSUMED_DEGREES, f"assumed: {ASSUMED_DEGREES:g} degrees across")


def grid_step(shape: tuple[int, ...], most: int) -> int:
    """Every which row and column to take, so that at most ``most`` of ``shape``'s pixels stay."""
    height, width = shape[:2]
    step = max(1, int(np.ceil(np.sqrt(height * width / most))))
    while -(-height // step) * -(-width // step) > most:  # what is left over counts, too
        step += 1
    return step


def back_project(depth: np.ndarray, K: np.ndarray, step: int = 1) -> np.ndarray:
    """Points [H, W, 3] float32 of a depth map [H, W].

    Args:
        depth: along the camera's axis.
        K: intrinsics [3, 3], in pixels of the whole picture.
        step: the depth map's pixels are every ``step``-th row and column of that picture.
    """
    height, width = depth.shape
    points = np.empty((height, width, 3), np.float32)
    with np.errstate(invalid="ignore"):  # no point of a ray along an axis is infinitely far
        points[..., 0] = (np.arange(width) * step - K[0, 2]) / K[0, 0] * depth
        points[..., 1] = ((np.arange(height) * step - K[1, 2]) / K[1, 1])[:, None] * depth
    points[..., 2] = depth
    return points


def encode_ply(points: np.ndarray, colors: np.ndarray, comment: str = "") -> bytes:
    """A binary PLY of points [..., 3] with colours uint8 [..., 3]; points at infinity are left out.

    Of pictures, [H, W, 3], with more than :data:`MOST_POINTS` only every second, third, … row and
    column is taken.

    Args:
        points: camera coordinates.
        colors: RGB.
        comment: one line, such as the unit.
    """
    if points.ndim == 3:
        step = grid_step(points.shape, MOST_POINTS)
        points, colors = points[::step, ::step], colors[::step, ::step]
    points, colors = points.reshape(-1, 3), colors.reshape(-1, 3)
    known = np.isfinite(points).all(axis=1)
    fields = [(axis, "<f4") for axis in "xyz"] + [(c, "u1") for c in ("red", "green", "blue")]
    vertices = np.empty(int(known.sum()), fields)
    for index, (name, _) in enumerate(fields):
        vertices[name] = (points if index < 3 else colors)[known, index % 3]
    kinds = {"<f4": "float", "u1": "uchar"}
    properties = "".join(f"property {kinds[kind]} {name}\n" for name, kind in fields)
    note = f"comment {' '.join(comment.split())}\n" if comment else ""
    header = (
        f"ply\nformat binary_little_endian 1.0\n{note}"
        f"element vertex {len(vertices)}\n{properties}end_header\n"
    )
    return header.encode() + vertices.tobytes()


def surface(points: np.ndarray) -> np.ndarray:
    """Triangles [F, 3] between neighbouring pixels of points [H, W, 3]: indices into their rows.

    None spans pixels whose depths differ by more than the share ``EDGE`` of the nearer one. They
    face the camera.
    """
    height, width = points.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, :-1], index[1:, 1:]
    faces = np.concatenate(
        [np.stack(corners, axis=-1).reshape(-1, 3) for corners in ((a, c, b), (b, c, d))]
    )
    depths = points[..., 2].reshape(-1)[faces]
    near, far = depths.min(axis=1), depths.max(axis=1)
    return faces[np.isfinite(far) & (far <= (1 + EDGE) * near)].astype(np.uint32)


def linear(colors: np.ndarray) -> np.ndarray:
    """sRGB colours, uint8, as shares of light (IEC 61966-2-1) in uint16.

    16 bits, since 8 would leave two of the 20 darkest values.
    """
    srgb = np.arange(256) / 255
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.rint(light * OPAQUE).astype(np.uint16)[colors]


def encode_glb(points: np.ndarray, colors: np.ndarray) -> bytes:
    """A binary glTF 2.0 mesh of points [H, W, 3] with colours uint8 [H, W, 3], cut at depth edges.

    Of large pictures only every second, third, … row and column is taken.
    """
    step = grid_step(points.shape, MOST_VERTICES)
    points, colors = points[::step, ::step], colors[::step, ::step]
    faces = surface(points)
    used, faces = np.unique(faces, return_inverse=True)
    faces = faces.astype(np.uint32).reshape(-1, 3)
    vertices = points.reshape(-1, 3)[used] * np.array([1, -1, -1], np.float32)
    rgba = np.full((len(used), 4), OPAQUE, np.uint16)
    rgba[:, :3] = linear(colors.reshape(-1, 3)[used])

    if not len(faces):  # a mesh may not be empty
        return _glb({"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": []}]}, b"")
    chunks = [
        vertices.astype("<f4").tobytes(),
        rgba.astype("<u2").tobytes(),
        faces.astype("<u4").tobytes(),
    ]
    starts = [0, len(chunks[0]), len(chunks[0]) + len(chunks[1])]
    targets = (VERTEX_BUFFER, VERTEX_BUFFER, INDEX_BUFFER)
    low, high = vertices.min(axis=0).tolist(), vertices.max(axis=0).tolist()
    position = {"componentType": FLOAT, "count": len(vertices), "type": "VEC3"}
    color = {"componentType": UNSIGNED_SHORT, "normalized": True, "count": len(vertices)}
    indices = {"componentType": UNSIGNED_INT, "count": faces.size, "type": "SCALAR"}
    triangles = {"attributes": {"POSITION": 0, "COLOR_0": 1}, "indices": 2, "material": 0}
    tree = {
        "asset": {"version": "2.0"},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [triangles]}],
        "materials": [{"doubleSided": True, "extensions": {"KHR_materials_unlit": {}}}],
        "buffers": [{"byteLength": sum(map(len, chunks))}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": len(chunk), "target": target}
            for start, chunk, target in zip(starts, chunks, targets)
        ],
        "accessors": [
            {"bufferView": 0, **position, "min": low, "max": high},
            {"bufferView": 1, **color, "type": "VEC4"},
            {"bufferView": 2, **indices},
        ],
    }
    return _glb(tree, b"".join(chunks))


def _glb(tree: dict, binary: bytes) -> bytes:
    """A GLB container of a glTF tree and its buffer."""
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if binary:
        binary += bytes(-len(binary) % 4)
        chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
