"""Folders that are being written are left alone, those of killed processes are removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from system import folders
from system.files import folder_written_whole, written_whole
from system.folders import backup_of, replace_folder, where_now

ROOT = Path(__file__).resolve().parents[1]
WRITER = """
import sys, time
from pathlib import Path
from system.files import folder_written_whole
with folder_written_whole(Path(sys.argv[1]), replace=True) as new:
    (new / "half").write_text("")
    print("writing", flush=True)
    time.sleep(60)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(folder, text):
    with folder_written_whole(folder, replace=True) as new:
        (new / "content").write_text(text)


@pytest.mark.skipif(folders.fcntl is None, reason="this system has no locks for folders")
def test_what_a_living_process_writes_stays_and_a_killed_one_leaves_nothing(tmp_path):
    folder = tmp_path / "made"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, folder], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    try:
        for writer in writers:
            writer.stdout.readline()
        assert len(names(tmp_path)) == 2
        write(folder, "first")
        assert len(names(tmp_path)) == 3
        writers[0].send_signal(signal.SIGKILL)
        writers[0].wait()
        write(folder, "second")
        assert len(names(tmp_path)) == 2
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdout.close()
    write(folder, "third")
    assert names(tmp_path) == ["made"]
    assert (folder / "content").read_text() == "third"


def test_only_what_is_named_as_ours_is_removed(tmp_path):
    foreign = [".made.old-thesis.new", ".made.0123456.new", ".other.01234567.new", "made.new"]
    for name in foreign:
        (tmp_path / name).mkdir()
    write(tmp_path / "made", "first")
    assert names(tmp_path) == sorted([*foreign, "made"])


def test_without_locks_only_what_nobody_touched_for_long_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "fcntl", None)
    left = tmp_path / ".made.01234567.new"
    left.mkdir()
    (left / "half").touch()
    write(tmp_path / "made", "first")
    assert left.exists()
    os.utime(left, (1, 1))
    write(tmp_path / "made", "second")
    assert left.exists()
    os.utime(left / "half", (1, 1))
    write(tmp_path / "made", "third")
    assert names(tmp_path) == ["made"]


def test_writers_of_one_process_do_not_meet(tmp_path):
    folder, file = tmp_path / "a", tmp_path / "b"
    with folder_written_whole(folder, replace=True) as first, written_whole(file) as first_file:
        (first / "content").write_text("1")
        first_file.write_text("1")
        write(folder, "2")
        with written_whole(file) as second_file:
            second_file.write_text("2")
        assert file.read_text() == (folder / "content").read_text() == "2"
    assert file.read_text() == (folder / "content").read_text() == "1"
    assert names(tmp_path) == ["a", "b"]


def test_the_folder_around_is_made_only_when_asked_for(tmp_path):
    folder = tmp_path / "gone" / "made"
    with pytest.raises(FileNotFoundError), folder_written_whole(folder, parents=False):
        pass
    assert names(tmp_path) == []


def make_folder(path, text):
    path.mkdir()
    (path / "content").write_text(text)
    return path


@pytest.mark.parametrize("meddle", ["recovers", "makes another"])
def test_a_replacement_gets_over_what_others_do_between_its_renames(meddle, tmp_path, monkeypatch):
    folder, new = make_folder(tmp_path / "last", "old"), make_folder(tmp_path / "new", "new")
    rename, met = type(folder).rename, []

    def slow_rename(path, target):
        if path == new and not met:
            met.append(path)
            if meddle == "recovers":  # a reader that has waited long enough
                folders.recover_folder(folder)
                assert (folder / "content").read_text() == "old"
            else:  # results are written into it
                make_folder(folder, "junk")
        return rename(path, target)

    monkeypatch.setattr(type(folder), "rename", slow_rename)
    replace_folder(new, folder)
    assert (folder / "content").read_text() == "new"
    assert names(tmp_path) == ["last"]


def test_a_replacement_that_cannot_be_leaves_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "SWAP_SECONDS", 0.05)
    folder, new = make_folder(tmp_path / "last", "old"), make_folder(tmp_path / "new", "new")
    rename = type(folder).rename

    def refuse(path, target):
        if path == new:
            raise PermissionError(13, "no")
        return rename(path, target)

    monkeypatch.setattr(type(folder), "rename", refuse)
    start = time.monotonic()
    with pytest.raises(PermissionError):
        replace_folder(new, folder)
    assert time.monotonic() - start > 0.04
    assert (folder / "content").read_text() == "old"


def test_the_one_before_is_kept_under_another_name_when_asked_for(tmp_path):
    folder, new = make_folder(tmp_path / "last", "old"), make_folder(tmp_path / "new", "new")
    replace_folder(new, folder, tmp_path / "before")
    assert (tmp_path / "before" / "content").read_text() == "old"
    assert (folder / "content").read_text() == "new"
    assert names(tmp_path) == ["before", "last"]


def test_where_a_folder_is_now(tmp_path):
    folder = tmp_path / "last"
    assert where_now(folder) is None
    make_folder(backup_of(folder), "old")
    assert where_now(folder) == backup_of(folder)
    make_folder(folder, "new")
    assert where_now(folder) == folder
