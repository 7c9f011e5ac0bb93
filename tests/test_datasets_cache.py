"""The store of resized frames: what is in it is right, whatever happens while it is built."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from datasets import cache
from datasets.cache import (
    CHUNK,
    FRAMES_FILE,
    ROWS_FILE,
    build_store,
    open_store,
    plan_store,
    read_rows,
    with_cache,
)
from datasets.frames import FrameFiles
from datasets.items import make_items
from datasets.splits import load_split
from system.errors import InputError

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
