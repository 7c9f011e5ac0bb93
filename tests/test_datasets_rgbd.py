"""Pictures with depth: every form is read in metres, and what is wrong with a data set is named."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.exr import depth_channel
from datasets.rgbd import DepthNote, Pair, find_pairs, read_depth, read_note, suspicions
from errors import InputError

METRES = np.array([[1.5, 0, 3.25], [2, 4, 0]], np.float32)
MILLIMETRES = DepthNote("depth", 0.001)
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


def write_pair(folder, name, depth=METRES, suffix=".npy"):
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", depth.shape[::-1]).save(folder / "rgb" / f"{name}.png")
    path = folder / "depth" / f"{name}{suffix}"
    if suffix == ".npy":
        np.save(path, depth)
    elif suffix == ".png":
        Image.fromarray(np.rint(depth * 1000).astype(np.uint16)).save(path)
    elif suffix == ".exr":
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
    path = write_pair(tmp_path, "a", suffix=suffix)
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


def test_pairs_are_found_by_name(tmp_path):
    for folder, names in (("images", ("b_rgb.jpg", "a.png")), ("depth", ("a_depth.png", "b.npy"))):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_bytes(b"")
    pairs = find_pairs(tmp_path)
    assert [(p.picture.name, p.depth.name) for p in pairs] == [
        ("a.png", "a_depth.png"),
        ("b_rgb.jpg", "b.npy"),
    ]


def test_files_without_a_partner_are_listed(tmp_path):
    for name in "abc":
        write_pair(tmp_path, name)
    (tmp_path / "rgb" / "a.png").unlink()
    (tmp_path / "depth" / "c.npy").unlink()
    with pytest.raises(InputError, match=r"2 files have no partner.*c\.png.*a\.npy"):
        find_pairs(tmp_path)


def test_folders_that_hold_no_pairs_are_refused(tmp_path):
    with pytest.raises(InputError, match="none of the folders rgb"):
        find_pairs(tmp_path)
    for name in ("rgb", "depth"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match="holds no pairs"):
        find_pairs(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="more than one of"):
        find_pairs(tmp_path)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"kind": "height"}', '{"metres_per_step": -1}', '{"x": 1}']
)
def test_a_wrong_note_is_refused(tmp_path, text):
    (tmp_path / "depth.json").write_text(text)
    with pytest.raises(InputError, match=r"depth\.json: "):
        read_note(tmp_path)


def test_notes_are_read(tmp_path):
    assert read_note(tmp_path) == DepthNote()
    (tmp_path / "depth.json").write_text(json.dumps({"kind": "inverse_depth"}))
    assert read_note(tmp_path) == DepthNote("inverse_depth")


def test_whole_numbers_need_a_unit_and_16_bits(tmp_path):
    path = write_pair(tmp_path, "a", suffix=".png")
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
    path = write_pair(tmp_path, "a", depth, suffix=".exr")
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


def scene(near_at_the_bottom=True):
    """A floor: rows from far to near."""
    rows = np.linspace(8, 1, 24)[:, None] if near_at_the_bottom else np.linspace(1, 8, 24)[:, None]
    return (rows * np.ones((1, 32))).astype(np.float32)


def data_set(tmp_path, depth):
    return [Pair(tmp_path / "x", write_pair(tmp_path, str(n), depth)) for n in range(4)]


def test_a_sound_data_set_raises_no_suspicion(tmp_path):
    assert suspicions(data_set(tmp_path, scene()), DepthNote()) == []


@pytest.mark.parametrize(
    ("depth", "said"),
    [
        (1000 * scene(), "looks like millimetres"),
        (scene() / 1000, "scaled twice"),
        (scene(near_at_the_bottom=False), "near and far look swapped"),
        (np.where(scene() > 4, 0, scene()), "of the pixels are unknown"),
        (0 * scene(), "no depth is known anywhere"),
    ],
)
def test_what_is_wrong_with_a_data_set_is_named(tmp_path, depth, said):
    words = suspicions(data_set(tmp_path, depth.astype(np.float32)), DepthNote())
    assert any(said in each for each in words)
