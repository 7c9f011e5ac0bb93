"""The store of resized frames: what is in it is right, whatever happens while it is built."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import cache
from datasets.cache import (
    CHUNK,
    FRAMES_FILE,
    ROWS_FILE,
    build_store,
    open_store,
    plan_store,
    read_rows,
    store_folder,
    with_cache,
)
from datasets.frames import FrameFiles
from datasets.items import make_items
from datasets.splits import load_split
from system.errors import InputError
from tests.damage import damaged

ROOT = Path(__file__).resolve().parents[1]
FILES = FrameFiles(height=24, width=80)


@pytest.fixture
def data(streets, tmp_path):
    """A copy of the streets to damage."""
    return shutil.copytree(streets, tmp_path / "data")


@pytest.fixture
def paths(data):
    return sorted(data.glob("*/*/image_0*/data/*.jpg"))


def build(data, paths, folder, files=FILES):
    return build_store(folder, data, files, paths, num_threads=2)


def assert_holds(store, paths, files=FILES):
    for path in paths:
        frame, size = files.load(path)
        np.testing.assert_array_equal(store.read(path, size), frame)


def test_a_store_gives_what_the_files_give(data, paths, tmp_path):
    store = build(data, paths[:7], tmp_path / "store")
    assert_holds(store, paths[:7])
    with pytest.raises(InputError, match="is not in the cache"):
        store.read(paths[7], (1, 1))
    with pytest.raises(InputError, match="but its drive's camera has 1x1"):
        store.read(paths[0], (1, 1))


@pytest.mark.parametrize("given", ["absolute", "relative"])
def test_a_split_may_name_folders_that_are_elsewhere(data, tmp_path, given, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    lines = load_split(str(data / "splits"), "train")[:3]
    moved = shutil.copytree(data / lines[0].folder, elsewhere / lines[0].folder)
    shutil.copy(data / lines[0].folder / ".." / "calib_cam_to_cam.txt", moved.parent)
    lines = [*lines, *(replace(line, folder=str(moved)) for line in lines)]
    path = data if given == "absolute" else data.relative_to(tmp_path)
    items = make_items(path, lines, (-1, "s"), 24, 80)
    cached = with_cache(items, tmp_path / "cache", 1)
    for index in range(len(items)):
        for key, value in items.item(0, index).items():
            np.testing.assert_array_equal(cached.item(0, index)[key], value)


def test_what_is_there_is_not_made_again(data, paths, tmp_path, monkeypatch):
    build(data, paths[:7], tmp_path / "store")
    made = []
    load = FrameFiles.load
    monkeypatch.setattr(FrameFiles, "load", lambda f, path: made.append(path) or load(f, path))
    assert_holds(build(data, paths[:9], tmp_path / "store"), [])
    assert sorted(made) == paths[7:9]


def test_a_changed_file_is_made_again(data, paths, tmp_path):
    build(data, paths[:5], tmp_path / "store")
    shutil.copy(paths[8], paths[2])
    plan = plan_store(tmp_path / "store", data, FILES, paths[:5])
    assert plan.missing == [paths[2]]
    assert_holds(build(data, paths[:5], tmp_path / "store"), paths[:5])


def test_a_file_of_the_same_size_and_time_with_other_content_is_made_again(data, paths, tmp_path):
    folder, pictures = tmp_path / "store", [path.with_suffix(".bmp") for path in paths[:3]]
    for path, picture in zip(paths, pictures):  # all of one length
        Image.open(path).save(picture)
    build(data, pictures, folder)
    facts = pictures[1].stat()
    pictures[1].write_bytes(pictures[2].read_bytes())
    os.utime(pictures[1], ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert pictures[1].stat().st_size == facts.st_size
    assert_holds(build(data, pictures, folder), pictures)


def test_a_file_of_the_same_content_is_not_made_again(data, paths, tmp_path, monkeypatch):
    folder = tmp_path / "store"
    build(data, paths[:4], folder)
    length = (folder / FRAMES_FILE).stat().st_size
    copy = shutil.copytree(data, tmp_path / "copy" / data.name, copy_function=shutil.copyfile)
    copies = [copy / path.relative_to(data) for path in paths[:4]]
    with monkeypatch.context() as patch:
        patch.setattr(FrameFiles, "load", None)
        stores = [build(root, of, folder) for root, of in ((copy, copies), (data, paths[:4]))]
    assert_holds(stores[0], copies)
    assert_holds(stores[1], paths[:4])
    assert (folder / FRAMES_FILE).stat().st_size == length


def test_two_data_sets_of_one_name_do_not_get_each_others_frames(data, paths, tmp_path):
    other = shutil.copytree(data, tmp_path / "other" / data.name)
    others = [other / path.relative_to(data) for path in paths[:3]]
    for path in others:
        shutil.copy(paths[8], path)
    folder, lengths = store_folder(tmp_path, data, FILES), []
    assert store_folder(tmp_path, other, FILES) == folder
    for _ in range(2):
        assert_holds(build(data, paths[:3], folder), paths[:3])
        assert_holds(build(other, others, folder), others)
        lengths.append((folder / FRAMES_FILE).stat().st_size)
    assert lengths[0] == lengths[1]


def test_other_rules_of_reading_have_another_store(data, tmp_path, monkeypatch):
    before = store_folder(tmp_path, data, FILES)
    monkeypatch.setattr(cache, "READING_VERSION", cache.READING_VERSION + 1)
    assert store_folder(tmp_path, data, FILES) != before


def test_a_flipped_bit_of_a_frame_is_named(data, paths, tmp_path):
    folder = tmp_path / "store"
    build(data, paths[:3], folder)
    content = bytearray((folder / FRAMES_FILE).read_bytes())
    content[len(content) // 2] ^= 1  # of the second one
    (folder / FRAMES_FILE).write_bytes(content)
    store = build(data, paths[:3], folder)
    assert_holds(store, (paths[0], paths[2]))
    with pytest.raises(InputError, match=rf"{FRAMES_FILE}: damaged.*remove the folder"):
        store.read(paths[1], FILES.load(paths[1])[1])


def test_damaged_and_reordered_lines_give_right_frames_or_are_refused(data, paths, tmp_path):
    folder, rng = tmp_path / "store", np.random.default_rng(0)
    build(data, paths[:3], folder)
    rows = folder / ROWS_FILE
    whole, frames = rows.read_bytes(), (folder / FRAMES_FILE).read_bytes()
    lines, refused = whole.splitlines(keepends=True), 0
    orders = [b"".join(lines[i] for i in order) for order in ((2, 0, 1), (1, 2), (0, 0, 2, 1))]
    cases = [*orders, *(damaged(whole, rng) for _ in range(100))]
    for number, content in enumerate(cases):
        rows.write_bytes(content)
        (folder / FRAMES_FILE).write_bytes(frames)
        try:
            assert_holds(build(data, paths[:3], folder), paths[:3])
        except InputError as error:
            assert f"{rows}: damaged" in str(error)
            assert number >= len(orders)
            refused += 1
    assert refused > 50


def test_frames_that_were_lost_are_not_taken_for_black_ones(data, paths, tmp_path):
    folder = tmp_path / "store"
    build(data, paths[:3], folder)
    os.truncate(folder / FRAMES_FILE, 100)
    with pytest.raises(InputError, match="shorter than"):
        build(data, paths[:4], folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
def test_a_pipe_among_the_frames_is_named(data, paths, tmp_path):
    paths[1].unlink()
    os.mkfifo(paths[1])
    with pytest.raises(InputError, match=f"{paths[1].name}: cannot be read as a picture"):
        build(data, paths[:3], tmp_path / "store")


def test_names_of_any_signs_and_other_places(data, paths, tmp_path):
    odd = [data / ("a\tb c" if os.name == "posix" else "a%09b c"), tmp_path / "elsewhere.jpg"]
    for path in odd:
        shutil.copy(paths[0], path)
    assert_holds(build(data, odd, tmp_path / "store"), odd)
    assert_holds(build(data, odd, tmp_path / "store"), odd)


def test_a_line_or_frame_cut_short_is_made_again(data, paths, tmp_path):
    folder = tmp_path / "store"
    build(data, paths[:5], folder)
    rows = folder / ROWS_FILE
    rows.write_bytes(rows.read_bytes()[:-4])
    with (folder / FRAMES_FILE).open("ab") as frames:
        frames.write(b"half a frame")
    assert len(read_rows(folder)) == 4
    assert_holds(build(data, paths[:6], folder), paths[:6])


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
def test_a_killed_building_goes_on(data, paths, tmp_path):
    folder, many = tmp_path / "store", paths * 4
    program = (
        "import sys; from pathlib import Path; from datasets import cache\n"
        "from datasets.frames import FrameFiles\n"
        "cache.CHUNK = 2\n"
        "paths = [Path(p) for p in sys.argv[3:]]\n"
        "files = FrameFiles(24, 80, 'lanczos')\n"
        "cache.build_store(Path(sys.argv[1]), Path(sys.argv[2]), files, paths, 1)\n"
    )
    words = [sys.executable, "-c", program, str(folder), str(data), *map(str, many)]
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (folder / ROWS_FILE).exists() or (folder / ROWS_FILE).stat().st_size < 100:
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    files = FrameFiles(24, 80, "lanczos")
    assert_holds(build(data, paths, folder, files), paths, files)


def build_in_process(data, paths, folder):
    build(data, paths, folder)


def test_two_processes_share_the_work(data, paths, tmp_path):
    context = multiprocessing.get_context("spawn")
    folder = tmp_path / "store"
    workers = [
        context.Process(target=build_in_process, args=(data, paths, folder)) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert (folder / ROWS_FILE).read_bytes().count(b"\n") == len(paths)
    assert_holds(open_store(folder, data, FILES), paths)


def test_damage_is_named(data, paths, tmp_path):
    folder = tmp_path / "store"
    build(data, paths[:3], folder)
    os.truncate(folder / FRAMES_FILE, 100)
    with pytest.raises(InputError, match="shorter than"):
        open_store(folder, data, FILES)
    (folder / ROWS_FILE).write_text("a\tb\n")
    with pytest.raises(InputError, match=f"{ROWS_FILE}: damaged"):
        plan_store(folder, data, FILES, paths)


def test_a_bad_image_is_named_and_the_chunks_before_it_stay(data, paths, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CHUNK", 2)
    paths[5].write_bytes(b"no image")
    with pytest.raises(InputError, match=f"{paths[5].name}: cannot be read as a picture"):
        build(data, paths, tmp_path / "store")
    assert len(read_rows(tmp_path / "store")) == 4
    assert CHUNK > 2


def test_a_disk_without_room_is_told_before_anything_is_written(data, paths, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match=r"3 of 3 frames to add.*take another disk"):
        build(data, paths[:3], tmp_path / "store")
    assert not (tmp_path / "store" / FRAMES_FILE).exists()


def test_items_are_the_same_from_a_store(data, tmp_path):
    lines = load_split(str(data / "splits"), "train")
    plain = make_items(data, lines, (-1, 1, "s"), height=64, width=96)
    cached = with_cache(plain, tmp_path / "cache", num_threads=1)
    assert cached.cached
    assert not plain.cached
    for epoch in range(3):
        for index in range(len(lines)):
            got, wanted = cached.item(epoch, index), plain.item(epoch, index)
            assert got.keys() == wanted.keys()
            for key, value in wanted.items():
                np.testing.assert_array_equal(got[key], value)


def test_the_command_says_what_it_takes_and_builds(data, tmp_path, capsys):
    words = ["--data_path", data, "--split", data / "splits", "--use_stereo", "--height", 64]
    words = [str(word) for word in (*words, "--width", 96, "--cache_dir", tmp_path / "cache")]
    cache.main([*words, "--plan"])
    out = capsys.readouterr().out
    assert " frames to add" in out
    assert "hours with 4 threads" in out
    assert not (tmp_path / "cache").exists()
    cache.main(words)
    cache.main([*words, "--plan"])
    assert "0 of " in capsys.readouterr().out.splitlines()[-1]
    with pytest.raises(InputError, match="--data_path"):
        cache.main([*words, "--data_path", str(tmp_path / "gone")])
