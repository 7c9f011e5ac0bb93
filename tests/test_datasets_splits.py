from __future__ import annotations

import pytest

from datasets import splits
from datasets.splits import SplitLine, load_split, read_split_file, split_folder
from errors import InputError


def test_reads_published_line_formats_in_order(tmp_path):
    path = tmp_path / "test_files.txt"
    path.write_text("day/drive 0000000069 l\nday/drive 473 r\n")
    assert read_split_file(path) == [
        SplitLine("day/drive", 69, "l"),
        SplitLine("day/drive", 473, "r"),
    ]


def test_tolerates_what_editors_leave_behind(tmp_path):
    path = tmp_path / "test_files.txt"
    path.write_bytes(b"\xef\xbb\xbfday/drive 1 l\r\n\r\n")
    assert read_split_file(path) == [SplitLine("day/drive", 1, "l")]


@pytest.mark.parametrize(
    "line", ["day/drive 1", "day/drive one l", "day/drive -1 l", "day/drive 1 x", "a b 1 l"]
)
def test_bad_line_is_refused_by_file_and_number(tmp_path, line):
    path = tmp_path / "val_files.txt"
    path.write_text(f"day/drive 1 l\n{line}\n")
    with pytest.raises(InputError, match=r"val_files\.txt, line 2"):
        read_split_file(path)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00"])
def test_file_without_lines_is_refused(tmp_path, content):
    path = tmp_path / "train_files.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"train_files\.txt"):
        read_split_file(path)


def test_folder_of_the_user(tmp_path):
    (tmp_path / "train_files.txt").write_text("day/drive 1 l\n")
    assert split_folder(str(tmp_path)) == tmp_path
    assert load_split(str(tmp_path), "train") == [SplitLine("day/drive", 1, "l")]
    with pytest.raises(InputError, match=r"val_files\.txt: no such file"):
        load_split(str(tmp_path), "val")


def test_published_name_without_its_lists_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(splits, "_PUBLISHED_FOLDER", tmp_path)
    with pytest.raises(InputError, match=r"does not come with the project yet.*--split DIR"):
        load_split("eigen", "test")
    (tmp_path / "eigen").mkdir()
    (tmp_path / "eigen" / "test_files.txt").write_text("day/drive 1 l\n")
    assert load_split("eigen", "test") == [SplitLine("day/drive", 1, "l")]


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"eigen_zhou.*odom"):
        load_split("eigen_zou", "train")
