"""What the page keeps on the disk: within its bounds, the newest, and never what is in use."""

import os
import time

import pytest

from web import kept
from web.kept import MOST_UPLOADS, Result, Results, Uploads, bytes_in


def add(results, size=1, shape=(1, 1)):
    with results.making() as (token, folder):
        (folder / "a").write_bytes(bytes(size))
        results.keep(token, Result(folder, shape, "m"))
    return token


def test_old_results_are_removed(tmp_path):
    results = Results(tmp_path, most=3)
    tokens = [add(results) for _ in range(5)]
    assert [results.find(token) is None for token in tokens] == [True, True, False, False, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(tokens[2:])


def test_results_are_weighed_and_the_oldest_go_first(tmp_path):
    results = Results(tmp_path, most=100, most_bytes=1000)
    tokens = [add(results, 300) for _ in range(4)]
    assert [results.find(token) is None for token in tokens] == [True, False, False, False]
    huge = add(results, 5000)
    assert [path.name for path in tmp_path.iterdir()] == [huge]
    assert results.find(huge).bytes == 5000


def test_a_result_that_grows_is_weighed_anew_and_stays_while_it_is_used(tmp_path):
    results = Results(tmp_path, most=100, most_bytes=1000)
    first, second = add(results, 300), add(results, 300)
    with results.using(first):
        (results.find(first).folder / "b").write_bytes(bytes(600))
        third = add(results, 500)
        assert results.find(second) is None
        assert results.find(first) and results.find(third)
    assert results.find(first).bytes == 900
    assert results.find(third) is None


def test_results_are_kept_for_an_hour(tmp_path, monkeypatch):
    results, now = Results(tmp_path), [time.monotonic()]
    old = add(results)
    monkeypatch.setattr(kept.time, "monotonic", lambda: now[0] + kept.KEPT_SECONDS + 1)
    results.tidy()
    assert results.find(old) is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("token", [None, "", "..", "guessed", 3, ["a"], {}])
def test_only_tokens_find_results(tmp_path, token):
    assert Results(tmp_path).find(token) is None


def test_what_fails_leaves_no_folder(tmp_path):
    with pytest.raises(KeyError), Results(tmp_path).making() as (_, folder):
        (folder / "a").write_bytes(b"a")
        raise KeyError
    assert not list(tmp_path.iterdir())


def upload(uploads, name, size, age=0.0):
    """An upload, some seconds ago."""
    coming = uploads.reserve(size)
    folder = uploads.folder / name
    folder.mkdir()
    (folder / "a.jpg").write_bytes(bytes(size))
    made = time.time() - age
    os.utime(folder, (made, made))
    uploads.release(coming, size)


def test_uploads_are_weighed_and_the_oldest_go_first(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "example").mkdir()
    (tmp_path / "example" / "a.jpg").write_bytes(bytes(5_000_000))
    uploads = Uploads(tmp_path, 1_000_000, frozenset({"results"}))
    uploads.spare()
    for number in range(30):
        upload(uploads, str(number), 100_000, 100 - number)
        assert bytes_in(tmp_path) <= 6_000_000
    names = {path.name for path in tmp_path.iterdir()}
    assert {"results", "example", "29", "28"} <= names
    assert "0" not in names


def test_what_is_on_its_way_is_weighed(tmp_path):
    uploads = Uploads(tmp_path, 1_000_000)
    coming = uploads.reserve(400_000)
    assert uploads.reserve(400_000) is None
    uploads.release(coming, 0)
    assert uploads.reserve(400_000)
    assert uploads.reserve(2_000_000) is None


def test_what_is_on_its_way_drives_nothing_out_that_waits_to_be_read(tmp_path):
    uploads = Uploads(tmp_path, 1_000_000)
    upload(uploads, "unread", 300_000, 50)
    upload(uploads, "read", 300_000, 10)
    with uploads.using(tmp_path / "read" / "a.jpg"):
        pass
    for _ in range(300):
        coming = uploads.reserve(450_000)  # of which nothing comes
        uploads.release(coming, 0)
    assert uploads.reserve(450_000)
    assert [path.name for path in tmp_path.iterdir()] == ["unread"]


def test_many_small_uploads_are_bounded_in_number(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "MOST_UPLOADS", 20)
    uploads = Uploads(tmp_path, 1_000_000)
    for number in range(100):
        upload(uploads, str(number), 1, 200 - number)
    assert len(list(tmp_path.iterdir())) <= 20
    assert MOST_UPLOADS == 4096


def test_uploads_in_use_stay(tmp_path):
    uploads = Uploads(tmp_path, 1_000_000)
    upload(uploads, "old", 400_000, 50)
    with uploads.using(tmp_path / "old" / "a.jpg"):
        for number in range(9):
            upload(uploads, str(number), 300_000, 10 - number)
        assert (tmp_path / "old" / "a.jpg").is_file()
    upload(uploads, "new", 400_000)
    assert not (tmp_path / "old").exists()


def test_uploads_are_kept_for_an_hour_and_leave_no_folders(tmp_path):
    uploads = Uploads(tmp_path, 10_000_000)
    upload(uploads, "old", 10, kept.KEPT_SECONDS + 5)
    upload(uploads, "new", 10)
    uploads.tidy()
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_forms_leave_is_removed_and_weighed_until_then(tmp_path):
    """A file under another name than ``files`` is written by Gradio, and forgotten."""
    uploads = Uploads(tmp_path, 1_000_000)
    slow = uploads.reserve(1000)
    for number in range(30):
        coming = uploads.reserve(100_000)
        if coming is not None:
            (tmp_path / f"tmp{number}").write_bytes(bytes(100_000))
            uploads.release(coming, 100_000)
        assert bytes_in(tmp_path) <= 1_000_000
    assert uploads.reserve(100_000) is None
    long_ago = time.time() - 60
    for path in list(tmp_path.iterdir())[1:]:
        os.utime(path, (long_ago, long_ago))
    uploads.tidy()
    assert len(list(tmp_path.iterdir())) == 1  # which may be of the slow one
    uploads.release(slow, 0)
    assert not list(tmp_path.iterdir())
