from __future__ import annotations

import errno
from pathlib import Path

import pytest

from errors import InputError
from files import make_writable_folder, written_whole


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
