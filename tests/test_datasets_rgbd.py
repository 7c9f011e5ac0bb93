"""Pictures with depth: pairs by name, and what is wrong with the depth of a data set is named."""

import json

import numpy as np
import pytest
from PIL import Image

from datasets.depth_files import DepthNote, read_depth
from datasets.rgbd import Pair, find_pairs, read_note, suspicions
from system.errors import InputError

METRES = np.array([[1.5, 0, 3.25], [2, 4, 0]], np.float32)


def write_pair(folder, name, depth=METRES):
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", depth.shape[::-1]).save(folder / "rgb" / f"{name}.png")
    path = folder / "depth" / f"{name}.npy"
    np.save(path, depth)
    return path


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
    "text",
    [
        "{",
        "[]",
        '{"kind": "height"}',
        '{"kind": ["depth"]}',
        '{"x": 1}',
        '{"metres_per_float": 1}',
        '{"metres_per_step": 1, "metres_per_step": 2}',
        *(
            f'{{"metres_per_step": {step}}}'
            for step in ("-1", "0", "NaN", "true", '"1"', "1e-320", "1" + 400 * "0")
        ),
    ],
)
def test_a_wrong_note_is_refused(tmp_path, text):
    (tmp_path / "depth.json").write_text(text)
    with pytest.raises(InputError, match=r"depth\.json: "):
        read_note(tmp_path)


def test_notes_are_read(tmp_path):
    assert read_note(tmp_path) == DepthNote()
    (tmp_path / "depth.json").write_text(json.dumps({"kind": "inverse_depth"}))
    assert read_note(tmp_path) == DepthNote("inverse_depth")


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


def test_what_the_warning_asks_for_helps(tmp_path):
    """Millimetres in floats: the step that the warning asks for is taken, and silences it."""
    pairs = data_set(tmp_path, 1000 * scene())
    assert "set metres_per_step in depth.json" in suspicions(pairs, DepthNote())[0]
    (tmp_path / "depth.json").write_text('{"metres_per_step": 0.001}')
    note = read_note(tmp_path)
    assert suspicions(pairs, note) == []
    np.testing.assert_allclose(read_depth(pairs[0].depth, note), scene(), rtol=1e-6)


def test_files_of_different_units_are_noticed(tmp_path):
    pairs = data_set(tmp_path, scene())
    np.save(pairs[1].depth, scene() / 1000)
    assert any("different units" in words for words in suspicions(pairs, DepthNote()))


def test_tiffs_are_pairs_too(tmp_path):
    path = write_pair(tmp_path, "a")
    path.unlink()
    Image.fromarray(METRES).save(path.with_suffix(".tiff"))
    (pair,) = find_pairs(tmp_path)
    np.testing.assert_array_equal(read_depth(pair.depth, DepthNote()), METRES)
