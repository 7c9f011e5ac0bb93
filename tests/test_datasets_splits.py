from __future__ import annotations

import pytest

from datasets import splits
from datasets.splits import (
    SplitLine,
    load_split,
    published_lines,
    read_split_file,
    split_folder,
)
from errors import EXIT_BAD_INPUT, InputError


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


def test_published_name_knows_its_lists():
    lines = load_split("eigen", "test")
    assert len(lines) == 697
    assert lines[0] == SplitLine("2011_09_26/2011_09_26_drive_0002_sync", 69, "l")
    assert (len(load_split("eigen_zhou", "train")), len(load_split("eigen_zhou", "val"))) == (
        39810,
        4424,
    )


def test_part_that_a_published_split_lacks_names_those_that_have_it():
    with pytest.raises(InputError, match=r"'eigen_zhou': has no test list; these have: eigen,"):
        load_split("eigen_zhou", "test")
    with pytest.raises(InputError, match="'benchmark': its test images belong to no drive"):
        load_split("benchmark", "test")


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(InputError, match=r"eigen_zhou.*odom"):
        load_split("eigen_zou", "train")


def test_prints_a_list_as_published(capsys):
    splits.main(["eigen", "test"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2011_09_26/2011_09_26_drive_0002_sync 0000000069 l"
    assert lines == published_lines("eigen", "test")


def test_writes_files_that_a_folder_of_the_user_needs(tmp_path):
    splits.main(["odom", "--write", str(tmp_path / "odom")])
    names = ["test_files_09.txt", "test_files_10.txt", "train_files.txt", "val_files.txt"]
    assert sorted(path.name for path in (tmp_path / "odom").iterdir()) == names
    assert load_split(str(tmp_path / "odom"), "val") == load_split("odom", "val")


def test_command_needs_a_part_or_a_folder(capsys):
    with pytest.raises(SystemExit) as end:
        splits.main(["eigen"])
    assert end.value.code == EXIT_BAD_INPUT
    assert "--write DIR" in capsys.readouterr().err
