from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from system.errors import DISK_REMEDIES, InputError
from system.files import (
    MOST_BYTES,
    check_sum,
    folder_written_whole,
    make_writable_folder,
    open_regular,
    read_bytes,
    read_json,
    read_opened,
    read_text,
    sha256,
    write_json,
    write_sums,
    written_whole,
)


def test_file_appears_whole(tmp_path):
    path = tmp_path / "result.json"
    with written_whole(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_writing_leaves_the_old_file_alone(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_whole(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folder_is_made_and_tried(tmp_path):
    make_writable_folder(tmp_path / "a" / "b", "give another")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file.*give another"):
        make_writable_folder(tmp_path / "file", "give another")


def test_a_full_disk_is_reported_with_the_name_of_the_file(tmp_path):
    path = tmp_path / "result.json"
    with pytest.raises(OSError, match="No space") as caught, written_whole(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_really_full_disk_leaves_nothing_behind(tmp_path):
    path = tmp_path / "result.json"
    with pytest.raises(OSError, match=r"result\.json") as caught, written_whole(path) as temporary:
        temporary.symlink_to("/dev/full")
        temporary.write_text("content")
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


class LibraryError(Exception):
    """What a library raises that was not written in Python."""


def test_a_full_disk_is_told_whatever_a_library_makes_of_it(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    said = f"I/O error: No space left on device (os error {errno.ENOSPC})"
    for whole in (written_whole, folder_written_whole):
        with pytest.raises(OSError, match="No space") as caught, whole(path):
            raise LibraryError(said)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
        with pytest.raises(LibraryError), whole(path):
            raise LibraryError("something else")

    def full(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space") as caught, written_whole(path):
        monkeypatch.setattr("tempfile.TemporaryFile", full)
        raise LibraryError("iostream error")
    assert caught.value.filename == str(path)
    with pytest.raises(OSError, match="No space"), folder_written_whole(path):
        pass  # the library says nothing at all
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_is_not_replaced_by_one(tmp_path):
    places = [tmp_path / "folder"]
    places[0].mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        places += [tmp_path / "pipe", Path(os.devnull)]
    for path in places:
        with pytest.raises(OSError, match=r"folder|regular file") as caught, written_whole(path):
            pytest.fail("there is nothing to write to")
        assert caught.value.errno in DISK_REMEDIES
    assert sorted(tmp_path.iterdir()) == sorted(places[:2])


@pytest.mark.parametrize("read", [read_bytes, read_text, read_json, sha256])
def test_what_is_no_regular_file_is_refused_without_reading_it(read, tmp_path):
    places = {tmp_path: "it is a folder"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
        places.update({tmp_path / "pipe": "no regular file", Path("/dev/zero"): "no regular file"})
    for path, problem in places.items():
        with pytest.raises(OSError, match=problem) as caught:
            read(path)
        assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "gone")


def test_a_file_that_is_too_large_is_refused_by_its_size(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(OSError, match=f"it has {MOST_BYTES + 1} bytes, and at most 100 are read"):
        read_bytes(path, most=100)
    with pytest.raises(OSError, match="at most"):
        read_json(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_what_becomes_a_pipe_between_looking_and_opening_is_not_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    os.mkfifo(path)
    monkeypatch.setattr("system.files.check_regular", lambda path, most=None: path)
    with pytest.raises(OSError, match="no regular file"):
        read_bytes(path)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"one line\n")
    with open_regular(path) as file, path.open("ab") as writer:
        size = os.fstat(file.fileno())
        writer.write(bytes(100))
        writer.flush()
        assert read_opened(file, path) == path.read_bytes()  # it had grown before
        file.seek(0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fstat", lambda _: size)
            with pytest.raises(OSError, match="grows while it is read"):
                read_opened(file, path)


def test_a_name_that_no_file_can_have_is_an_error_of_the_system(tmp_path):
    for name in ("a\0b", "a" * 5000):
        with pytest.raises(OSError, match="name") as caught:
            read_bytes(tmp_path / name)
        assert caught.value.errno in DISK_REMEDIES


def test_text_is_read_without_byte_order_mark_and_line_ends_of_windows(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntw\xc3\xb6\n")
    assert read_text(tmp_path / "a.txt") == "one\ntwö\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 10**5, "nested too deeply"),
        ('{"a":' * 10**5, "nested too deeply"),
        ("[" + "7" * 10**5 + "]", "digits"),
        ("[-" + "7" * 400 + "]", "digits"),
        (f"[{2**63}]", "19 digits"),
        (" " * 2**20 + "1", "at most"),
        ("{", "Expecting"),
    ],
)
def test_json_that_cannot_be_taken_is_a_value_error(text, problem, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises((ValueError, OSError), match=problem):
        read_json(tmp_path / "a.json")


def test_json_that_says_something_twice_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [{"b": 1, "c": 2, "b": 1}]}')
    with pytest.raises(ValueError, match="'b' is said twice"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_what_is_no_number_is_never_written(tmp_path, number):
    path = tmp_path / "a.json"
    write_json(path, {"metrics": {"a1": 1.0}})
    with pytest.raises(InputError, match=rf"metrics\.rmse\.1 is {float(number)}"):
        write_json(path, {"metrics": {"a1": 1.0, "rmse": (0.5, number)}})
    assert read_json(path) == {"metrics": {"a1": 1.0}}
    assert list(tmp_path.iterdir()) == [path]


def test_the_largest_whole_numbers_of_json_are_read(tmp_path):
    write_json(tmp_path / "a.json", [2**63 - 1, 1 - 2**63, 0])
    assert read_json(tmp_path / "a.json") == [2**63 - 1, 1 - 2**63, 0]


def test_json_comes_back_and_what_it_does_not_know_becomes_text(tmp_path):
    value = {"name": "träumt", "numbers": [1, -2, 0.5, None]}
    write_json(tmp_path / "a.json", {**value, "path": Path("b")})
    assert read_json(tmp_path / "a.json") == {**value, "path": "b"}
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["name"] == "träumt"


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "made"
    with folder_written_whole(folder) as new:
        (new / "content").write_text("first")
        assert not folder.exists()
    with pytest.raises(RuntimeError), folder_written_whole(folder, replace=True) as new:
        (new / "content").write_text("half")
        raise RuntimeError
    assert (folder / "content").read_text() == "first"
    with folder_written_whole(folder, replace=True) as new:
        (new / "content").write_text("second")
    assert (folder / "content").read_text() == "second"
    assert list(tmp_path.iterdir()) == [folder]


def test_hashes_are_those_of_the_content(tmp_path):
    content = bytes(range(256)) * 9000  # more than is read at once
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    assert sha256(tmp_path / "a", "md5") == hashlib.md5(content).hexdigest()


def test_checksums_tell_of_a_change_in_the_files_that_they_name(tmp_path):
    for name in ("a", "b c"):
        (tmp_path / name).write_text(name)
    check_sum(tmp_path / "a")  # no checksums yet
    write_sums(tmp_path)
    (tmp_path / "new").write_text("not known")
    for name in ("a", "b c", "new", "gone"):
        check_sum(tmp_path / name)
    (tmp_path / "b c").write_text("changed")
    with pytest.raises(InputError, match=r"b c: damaged, it differs from its checksum"):
        check_sum(tmp_path / "b c")
    (tmp_path / "SHA256SUMS").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="SHA256SUMS: damaged"):
        check_sum(tmp_path / "a")
