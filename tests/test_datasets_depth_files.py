"""Depth files: every form is read in metres, and what is damaged is named."""

import importlib.util
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.depth_files import (
    METRES as IN_METRES,
)
from datasets.depth_files import (
    MILLIMETRES,
    DepthNote,
    depth_channel,
    depth_size,
    read_depth,
)
from system.errors import InputError

METRES = np.array([[1.5, 0, 3.25], [2, 4, 0]], np.float32)
OPENCV_HAS_EXR = cv2.haveImageWriter("a.exr")
needs_exr = pytest.mark.skipif(
    not OPENCV_HAS_EXR and importlib.util.find_spec("OpenEXR") is None,
    reason="this OpenCV is built without EXR, and the package OpenEXR is not installed",
)


def write_exr(path, channels):
    """Write channels [H, W] by name; OpenCV writes Y alone."""
    if OPENCV_HAS_EXR:
        assert cv2.imwrite(str(path), channels["Y"])
        return
    OpenEXR = pytest.importorskip("OpenEXR")
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(path))


def write_depth(path, depth=METRES):
    if path.suffix == ".npy":
        np.save(path, depth)
    elif path.suffix == ".png":
        Image.fromarray(np.rint(depth * 1000).astype(np.uint16)).save(path)
    elif path.suffix == ".exr":
        write_exr(path, {"Y": depth.astype(np.float32)})
    else:
        index = np.flatnonzero(depth)
        np.savez(path, index=index, depth=depth.ravel()[index], shape=depth.shape)
    return path


@pytest.mark.parametrize(
    "suffix",
    [
        ".npy",
        ".png",
        ".npz",
        pytest.param(".exr", marks=needs_exr),
    ],
)
def test_every_form_gives_metres_and_0_for_unknown(tmp_path, suffix):
    path = write_depth(tmp_path / f"a{suffix}")
    got = read_depth(path, MILLIMETRES)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, METRES, rtol=1e-5)


def test_inverse_depth_and_what_is_not_a_number_are_understood(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0.5, np.nan, -1, np.inf, 0]], np.float32))
    got = read_depth(tmp_path / "a.npy", DepthNote("inverse_depth"))
    assert got.tolist() == [[2, 0, 0, 0, 0]]


def test_a_dense_npz_is_read(tmp_path):
    np.savez(tmp_path / "a.npz", depth=METRES)
    np.testing.assert_array_equal(read_depth(tmp_path / "a.npz", DepthNote()), METRES)


def test_whole_numbers_need_a_unit_and_16_bits(tmp_path):
    path = write_depth(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"unknown unit.*metres_per_step"):
        read_depth(path, DepthNote())
    Image.new("L", (3, 2), 9).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="8 bits"):
        read_depth(tmp_path / "b.png", MILLIMETRES)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.png", "a.exr"])
def test_damaged_depth_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(InputError, match=name):
        read_depth(tmp_path / name, MILLIMETRES)
    assert os.environ["OPENCV_IO_ENABLE_OPENEXR"] == "1"


@needs_exr
@pytest.mark.skipif(OPENCV_HAS_EXR, reason="of the package OpenEXR")
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_depth_is_found_among_the_channels_of_an_exr(tmp_path, dtype):
    other = np.full(METRES.shape, 9, dtype)
    channels = {"View.Depth.Z": METRES.astype(dtype), **dict.fromkeys("RGB", other)}
    write_exr(tmp_path / "a.exr", channels)
    np.testing.assert_allclose(read_depth(tmp_path / "a.exr", DepthNote()), METRES, rtol=1e-3)


@needs_exr
def test_a_truncated_exr_is_named(tmp_path):
    depth = np.random.default_rng(0).random((64, 64), np.float32)
    path = write_depth(tmp_path / "a.exr", depth)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=r"a\.exr: cannot be read as EXR"):
        read_depth(path, DepthNote())


def test_the_channel_of_depth_is_told_by_its_name():
    one, other = np.zeros((2, 2)), np.ones((2, 2))
    assert depth_channel({"whatever": one}, Path("a.exr")) is one
    assert depth_channel({"R": other, "G": other, "layer.Z": one}, Path("a.exr")) is one
    with pytest.raises(InputError, match=r"a\.exr: holds the channels a, b"):
        depth_channel({"a": one, "b": other}, Path("a.exr"))


@pytest.mark.skipif(OPENCV_HAS_EXR, reason="this OpenCV has EXR")
def test_without_a_reader_of_exr_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    (tmp_path / "a.exr").write_bytes(b"")
    with pytest.raises(InputError, match="pip install OpenEXR"):
        read_depth(tmp_path / "a.exr", DepthNote())


@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_other_precisions_are_read(tmp_path, suffix):
    path = write_depth(tmp_path / f"a{suffix}", METRES.astype(np.float64) / 3)
    got = read_depth(path, MILLIMETRES, np.float64)
    expected = METRES.astype(np.float64) / 3
    if suffix == ".png":
        expected = np.rint(1000 * expected) / 1000
    np.testing.assert_array_equal(got, expected)
    assert depth_size(path, MILLIMETRES) == (3, 2)


def test_whole_numbers_may_be_metres(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, 7]]))
    assert read_depth(tmp_path / "a.npy", IN_METRES).tolist() == [[0, 7]]


@pytest.mark.parametrize("shape", [(0, 4), (-2, -2), (1 << 20, 1 << 20)])
def test_impossible_shapes_of_sparse_depth_are_refused(tmp_path, shape):
    np.savez(tmp_path / "a.npz", index=[0], depth=[1.0], shape=shape)
    with pytest.raises(InputError, match=r"a\.npz: cannot be read as depth"):
        read_depth(tmp_path / "a.npz", IN_METRES)


def test_a_truncated_png_is_refused(tmp_path):
    path = write_depth(tmp_path / "a.png", np.random.default_rng(0).random((40, 50)))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"a\.png: cannot be read as depth"):
        read_depth(path, MILLIMETRES)


def test_a_png_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path):
    path = write_depth(tmp_path / "a.png")
    content = path.read_bytes()
    path.write_bytes(content[:16] + 2 * (60_000).to_bytes(4, "big") + content[24:])
    with pytest.raises(InputError, match=r"a\.png: .*60000x60000 pixels"):
        read_depth(path, MILLIMETRES)


@pytest.mark.parametrize("keep", [0, 5, 60, 100])
def test_damaged_arrays_are_refused(tmp_path, keep):
    path = write_depth(tmp_path / "a.npy")
    path.write_bytes(path.read_bytes()[:keep].replace(b"(", b"[") + b"x")
    for read in (read_depth, depth_size):
        with pytest.raises(InputError, match=r"a\.npy: cannot be read as depth"):
            read(path, MILLIMETRES)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="of POSIX systems")
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.png", "a.exr"])
def test_pipes_are_refused(tmp_path, name):
    os.mkfifo(tmp_path / name)
    for read in (read_depth, depth_size):
        with pytest.raises(InputError, match="no regular file"):
            read(tmp_path / name, MILLIMETRES)
