"""What is said of data: the same for the same, another word for every change."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from datasets import facts
from datasets.facts import facts_of_files
from datasets.items import make_items
from datasets.rgbd import find_pairs, read_note
from datasets.rgbd_items import MixedItems, RgbdItems
from datasets.splits import load_split


@pytest.fixture
def data(tmp_path):
    """Two folders of two files."""
    for name in ("a/0", "a/1", "b/0", "b/1"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 9)
    return tmp_path / "data"


def of(folder):
    return facts_of_files(path for path in folder.rglob("*") if path.is_file())


def changed(before, now):
    return {key for key in {**before, **now} if before.get(key) != now.get(key)}


def test_a_copy_elsewhere_is_the_same(data, tmp_path, monkeypatch):
    before = of(data)
    assert before.keys() == {"files in a", "files in b"}
    copy = shutil.copytree(data, tmp_path / "elsewhere" / "copy")
    os.utime(copy / "a" / "0", (0, 0))
    assert of(copy) == before
    monkeypatch.chdir(copy)
    assert of(Path()) == before


@pytest.mark.parametrize("change", ["content", "size", "missing", "more", "name"])
def test_a_change_is_of_its_folder(data, change):
    before, path = of(data), data / "b" / "1"
    if change == "content":
        path.write_bytes(path.read_bytes()[::-1])
    elif change == "size":
        path.write_bytes(path.read_bytes()[:-1])
    elif change == "missing":
        path.unlink()
    elif change == "more":
        path.with_name("2").touch()
    else:
        path.rename(path.with_name("3"))
    assert changed(before, of(data)) == {"files in b"}


def test_of_much_data_some_contents_count_and_all_sizes(data, monkeypatch):
    monkeypatch.setattr(facts, "CONTENT_BYTES", 54)  # half of them: the first of each folder
    before = of(data)
    for name in ("a/1", "b/1"):
        (data / name).write_bytes((data / name).read_bytes()[::-1])
    assert of(data) == before
    (data / "a" / "0").write_bytes(b"x" * 27)
    (data / "b" / "1").write_bytes(b"x")
    assert changed(before, of(data)) == {"files in a", "files in b"}


def test_no_files_and_missing_ones_are_facts_too(data):
    assert facts_of_files([]) == {}
    assert facts_of_files([data / "none", data / "a" / "0"]).keys() == {"files in .", "files in a"}


def items(data, sources=(-1, 1), lines=5):
    return make_items(data, load_split(str(data / "splits"), "train")[:lines], sources, 32, 64)


def test_items_of_frames_tell_lists_cameras_and_files(streets, tmp_path):
    before = items(streets).facts()
    copy = shutil.copytree(streets, tmp_path / "copy")
    assert items(copy).facts() == before
    assert before["list of frames"].startswith("5 items (")
    assert {"list of frames"} <= changed(before, items(copy, lines=4).facts())
    (calibration,) = copy.glob("*/calib_cam_to_cam.txt")
    text = calibration.read_text()
    key = text.index("P_rect_02: ") + len("P_rect_02: ")
    digit = "2" if text[key] == "1" else "1"
    calibration.write_text(f"{text[:key]}{digit}{text[key + 1 :]}")
    assert changed(before, items(copy).facts()) == {"cameras"}


def test_items_of_pairs_tell_depth_and_files(tmp_path):
    for name in ("rgb", "depth"):
        (tmp_path / name).mkdir()
    for number in range(4):
        np.save(tmp_path / "depth" / f"{number}.npy", np.full((4, 4), 1 + number, np.float32))
        (tmp_path / "rgb" / f"{number}.png").write_bytes(b"")

    def made():
        one = RgbdItems(find_pairs(tmp_path), read_note(tmp_path), 32, 32)
        return one.facts(), MixedItems([one, one]).facts()

    (before, mixed) = made()
    np.save(tmp_path / "depth" / "2.npy", np.full((4, 4), 9, np.float32))  # as many bytes
    (now, mixed_now) = made()
    assert changed(before, now) == {"files in depth"}
    expected = {f"data set {n}: files in depth" for n in (1, 2)}
    assert changed(mixed, mixed_now) == expected
    (tmp_path / "depth.json").write_text('{"kind": "inverse_depth"}')
    assert changed(now, made()[0]) == {"depth"}
