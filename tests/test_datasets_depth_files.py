"""Depth files: every form is read in metres, and what is damaged is named."""

import importlib.util
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets import depth_files
from datasets.depth_files import (
    METRES as IN_METRES,
)
from datasets.depth_files import (
    MILLIMETRES,
    DepthNote,
    depth_channel,
    depth_size,
    in_metres,
    known_depth,
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


COLOURED = np.stack([METRES, 2 * METRES, 3 * METRES], axis=2)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".jpg", ".webp", ".npy", ".npz"])
def test_8_bits_are_a_picture_of_depth_in_every_container(tmp_path, suffix):
    path, pixels = tmp_path / f"a{suffix}", (50 * METRES).astype(np.uint8)
    if suffix == ".npy":
        np.save(path, pixels)
    elif suffix == ".npz":
        np.savez(path, index=[1], depth=np.array([7], np.uint8), shape=(2, 3))
    else:
        Image.fromarray(pixels).save(path)
    with pytest.raises(InputError, match=r"a\..*: has 8 bits"):
        read_depth(path, MILLIMETRES)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".gif"])
def test_palettes_are_no_depth(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray((50 * METRES).astype(np.uint8)).convert("P").save(path)
    with pytest.raises(InputError, match="has 8 bits"):
        read_depth(path, MILLIMETRES)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.npy", "a.npz"])
def test_colours_are_no_depth_but_equal_channels_are_one(tmp_path, name):
    def write(values):
        values = np.rint(1000 * values).astype(np.uint16)
        if name == "a.npy":
            np.save(tmp_path / name, values)
        elif name == "a.npz":
            np.savez(tmp_path / name, values)
        else:
            cv2.imwrite(str(tmp_path / name), values)

    write(COLOURED)
    with pytest.raises(InputError, match=r"a\..*: has shape \[2, 3, 3\], whose 3 channels differ"):
        read_depth(tmp_path / name, MILLIMETRES)
    write(np.repeat(METRES[..., None], 3, axis=2))
    np.testing.assert_array_equal(read_depth(tmp_path / name, MILLIMETRES), METRES)


def test_unknown_pixels_are_no_difference_between_channels(tmp_path):
    depth = np.where(METRES > 0, METRES, np.nan)[..., None]
    for channels in (1, 3):
        np.save(tmp_path / "a.npy", np.repeat(depth, channels, axis=2))
        np.testing.assert_array_equal(read_depth(tmp_path / "a.npy", DepthNote()), METRES)


def test_colours_of_an_exr_are_no_depth():
    red, path = {"R": METRES}, Path("a.exr")
    for others in ({"G": 2 * METRES, "B": METRES}, {"G": METRES, "B": 2 * METRES}):
        with pytest.raises(InputError, match=r"a\.exr: holds the colours R, G, B"):
            depth_channel({**red, **others}, path)
    assert depth_channel({**red, "G": METRES, "B": METRES}, path) is METRES
    with pytest.raises(InputError, match="RY, BY"):
        depth_channel({"Y": METRES, "RY": 0 * METRES, "BY": 0 * METRES}, path)


@pytest.mark.parametrize("suffix", [".tif", ".tiff"])
def test_a_tiff_in_floats_is_in_metres_and_one_of_16_bits_in_steps(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(METRES).save(path)
    np.testing.assert_array_equal(read_depth(path, MILLIMETRES), METRES)
    assert depth_size(path, MILLIMETRES) == (3, 2)
    Image.fromarray((1000 * METRES).astype(np.uint16)).save(path)
    np.testing.assert_array_equal(read_depth(path, MILLIMETRES), METRES)
    with pytest.raises(InputError, match="unknown unit"):
        read_depth(path, DepthNote())


def test_of_a_tiff_with_pages_nobody_knows_which_is_depth(tmp_path):
    pages = [Image.fromarray(METRES), Image.fromarray(2 * METRES)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match="2 pages"):
        read_depth(tmp_path / "a.tif", IN_METRES)


@pytest.mark.parametrize("kind", ["depth", "inverse_depth"])
def test_a_stated_step_counts_for_floats_too(tmp_path, kind):
    stored = METRES if kind == "depth" else np.divide(1, METRES, where=METRES > 0, out=0 * METRES)
    for values in (1000 * stored, np.rint(1000 * stored).astype(np.int32)):
        np.save(tmp_path / "a.npy", values)
        got = read_depth(tmp_path / "a.npy", DepthNote(kind, 0.001))
        np.testing.assert_allclose(got, METRES, rtol=2e-3)


@pytest.mark.parametrize("name", ["dense", "sparse"])
def test_whole_numbers_need_a_unit_in_every_form_of_npz(tmp_path, name):
    steps = (1000 * METRES).astype(np.int64)
    index = np.flatnonzero(steps)
    sparse = {"index": index, "depth": steps.ravel()[index], "shape": METRES.shape}
    np.savez(tmp_path / "a.npz", **({"depth": steps} if name == "dense" else sparse))
    with pytest.raises(InputError, match=r"a\.npz: holds whole numbers of an unknown unit"):
        read_depth(tmp_path / "a.npz", DepthNote())
    np.testing.assert_array_equal(read_depth(tmp_path / "a.npz", MILLIMETRES), METRES)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"index": [0, -1]}, "index lies outside"),
        ({"index": [0, 6]}, "index lies outside"),
        ({"index": [0.0, 1.0]}, "whole numbers"),
        ({"index": [True, False]}, "whole numbers"),
        ({"index": [0, 1, 2]}, r"index has shape \[3\], depth \[2\]"),
        ({"index": [4, 4]}, "two numbers"),
        ({"depth": [1.5]}, r"index has shape \[2\], depth \[1\]"),
        ({"depth": [1j, 2]}, "complex128"),
        ({"depth": [True, True]}, "bool"),
        ({"depth": ["1", "2"]}, "must hold one number a pixel"),
        ({"shape": (2.5, 3)}, "two whole numbers"),
        ({"shape": (2, 3, 1)}, "two whole numbers"),
    ],
)
def test_sparse_depth_that_contradicts_itself_is_refused(tmp_path, changes, said):
    fields = {"index": [0, 5], "depth": [1.5, 2.5], "shape": (2, 3), **changes}
    np.savez(tmp_path / "a.npz", **fields)
    with pytest.raises(InputError, match=rf"a\.npz: .*{said}"):
        read_depth(tmp_path / "a.npz", IN_METRES)


@pytest.mark.parametrize(
    "values",
    [
        np.float32(1),
        METRES[0],
        METRES[None],
        np.zeros((0, 3)),
        METRES > 1,
        METRES * 1j,
        METRES.astype(str),
        METRES.astype(object),
        np.zeros((2, 3), [("depth", "f4")]),
    ],
)
def test_what_is_no_map_of_numbers_is_refused(tmp_path, values):
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    np.savez(tmp_path / "a.npz", values)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            read_depth(tmp_path / name, IN_METRES)


def test_archives_and_arrays_under_each_others_name_are_refused(tmp_path):
    np.save(tmp_path / "array.npy", METRES)
    np.savez(tmp_path / "archive.npz", METRES)
    (tmp_path / "array.npy").rename(tmp_path / "a.npz")
    (tmp_path / "archive.npz").rename(tmp_path / "a.npy")
    for name in ("a.npy", "a.npz"):
        for read in (read_depth, depth_size):
            with pytest.raises(InputError, match=f"{name}: cannot be read as depth"):
                read(tmp_path / name, IN_METRES)


def test_an_archive_says_which_array_is_depth(tmp_path):
    np.savez(tmp_path / "a.npz", one=METRES, other=METRES)
    with pytest.raises(InputError, match="2 arrays, and none is named depth"):
        read_depth(tmp_path / "a.npz", IN_METRES)
    np.savez(tmp_path / "a.npz")
    with pytest.raises(InputError, match="0 arrays"):
        read_depth(tmp_path / "a.npz", IN_METRES)


def test_what_programs_write_for_infinity_is_unknown():
    values = [0, -1, np.nan, np.inf, -np.inf, 1e10, np.finfo(np.float32).max, 1e300, 7.5]
    for dtype in (np.float16, np.float32, np.float64):
        with np.errstate(over="ignore"):
            depth = np.array([values]).astype(dtype)
        expected = [[0] * 8 + [7.5]]
        assert known_depth(depth).tolist() == expected
        assert in_metres(depth, DepthNote(), Path("a")).tolist() == expected
    # 1 / 1e-40 is beyond float32.
    tiny = np.array([[1e-40, 0.5]], np.float32)
    assert in_metres(tiny, DepthNote("inverse_depth"), Path("a")).tolist() == [[0, 2]]


def test_depth_of_too_many_pixels_is_refused_before_it_is_read(tmp_path):
    shape = (1 << 20, 1 << 10)
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + shape[0] * shape[1] - 4096)
    with pytest.raises(InputError, match="cannot be read as depth"):
        read_depth(path, MILLIMETRES)
    window = depth_files.EXR_WINDOW + np.array([0, 0, 9_999, 9_999], "<i4").tobytes()
    path = tmp_path / "a.exr"
    path.write_bytes(b"\x76\x2f\x31\x01\x02\0\0\0" + window)
    with pytest.raises(InputError, match="more than 40000000 pixels"):
        read_depth(path, MILLIMETRES)


def test_the_pixels_of_every_form_of_depth_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(depth_files, "MOST_PIXELS", 100)
    metres = np.ones((11, 10), np.float32)
    np.save(tmp_path / "a.npy", metres)
    np.savez_compressed(tmp_path / "a.npz", depth=metres)
    np.savez(tmp_path / "sparse.npz", index=[0], depth=[1.0], shape=[11, 10])
    cv2.imwrite(str(tmp_path / "a.png"), metres.astype(np.uint16))
    for name in ("a.npy", "a.npz", "sparse.npz", "a.png"):
        with pytest.raises(InputError, match=r"110 pixels|11x10|10x11"):
            read_depth(tmp_path / name, MILLIMETRES)
    monkeypatch.setattr(depth_files, "MOST_PIXELS", 110)
    for name in ("a.npy", "a.npz", "sparse.npz", "a.png"):
        assert read_depth(tmp_path / name, MILLIMETRES).shape == (11, 10)
    monkeypatch.setattr(depth_files, "MOST_UNPACKED", 100)
    with pytest.raises(InputError, match="unpacked, it is too large"):
        read_depth(tmp_path / "a.npz", MILLIMETRES)
