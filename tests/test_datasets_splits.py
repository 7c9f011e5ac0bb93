"""Splits: lists are read as published, and the compact form of these is exact and reversible."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets import splits
from datasets.splits import (
    FOLDER,
    MOST_LINES,
    PUBLISHED_NAMES,
    TRAIN_FILE,
    VAL_FILE,
    SplitLine,
    decode,
    load_split,
    published_files,
    published_lines,
    read_split_file,
    split_folder,
)
from system.errors import EXIT_BAD_INPUT, InputError

SUMS = json.loads((Path(__file__).parent / "data" / "split_sums.json").read_text())


def encode(files: Mapping[str, Iterable[str]]) -> str:
    """The compact form of text files, which :func:`decode` turns back.

    Raises:
        ValueError: the lists are not of the kind that the form can hold.
    """
    content: dict[str, Any] = {}
    tests = {file: list(lines) for file, lines in files.items() if file.startswith("test")}
    if TRAIN_FILE in files:
        val = {_sortable(line) for line in files[VAL_FILE]}
        every = sorted(val.union(map(_sortable, files[TRAIN_FILE])))
        drives: dict[str, list[int]] = {}
        for folder, frame, side in every:
            if side == "l":
                drives.setdefault(folder, []).append(frame)
        is_val = np.packbits([item in val for item in every])
        content["drives"] = {folder: _ranges(frames) for folder, frames in drives.items()}
        content["validation"] = base64.b64encode(zlib.compress(is_val.tobytes(), 9)).decode()
    for file, lines in tests.items():
        if lines[0].startswith("image "):
            content["anonymous"] = len(lines)
            continue
        digits = min(len(line.split()[1]) for line in lines)
        content["frame_digits"] = digits
        drives = {}
        for folder, frame, _ in map(_sortable, lines):
            drives.setdefault(folder, []).append(frame)
        content.setdefault("tests", {})[file] = {f: _ranges(n) for f, n in drives.items()}
    text = json.dumps(content, indent=1) + "\n"
    decoded = decode(text)
    for file, lines in files.items():
        same = list if file in tests else sorted
        if same(decoded[file]) != same(lines):
            raise ValueError(f"{file}: cannot be held in the compact form")
    return text


def _sortable(line: str) -> tuple[str, int, str]:
    folder, frame, side = line.split()
    return folder, int(frame), side


def _ranges(frames: Iterable[int]) -> str:
    """Numbers in their order as text, runs of following ones as ``first-last``."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][1] + 1:
            runs[-1][1] = frame
        else:
            runs.append([frame, frame])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def test_reads_published_line_formats_in_order(tmp_path):
    path = tmp_path / "test_files.txt"
    path.write_text("day/drive 0000000069 l\nday/drive 473 r\n")
    assert read_split_file(path) == [
        SplitLine("day/drive", 69, "l"),
        SplitLine("day/drive", 473, "r"),
    ]


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("day\\drive 1 l", "day/drive"),
        ("my day\\the  drive 1 l", "my day/the  drive"),
        ("  my day/drive\t1\tl  ", "my day/drive"),
        ("./day//drive/ 1 l", "day/drive"),
        ("年/驾驶 一 1 l", "年/驾驶 一"),
    ],
)
def test_folders_have_spaces_and_either_slash_and_one_spelling(line, folder, tmp_path):
    path = tmp_path / "train_files.txt"
    path.write_text(line, encoding="utf-8")
    assert read_split_file(path) == [SplitLine(folder, 1, "l")]


def test_a_home_is_known_wherever_the_shell_left_it(tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    (tmp_path / "my split").mkdir()
    assert split_folder("~/my split") == tmp_path / "my split"


def test_tolerates_what_editors_leave_behind(tmp_path):
    path = tmp_path / "test_files.txt"
    path.write_bytes(b"\xef\xbb\xbfday/drive 1 l\r\n\r\n")
    assert read_split_file(path) == [SplitLine("day/drive", 1, "l")]


@pytest.mark.parametrize(
    "line",
    ["day/drive 1", "day/drive one l", "day/drive -1 l", "day/drive 1 x"],
)
def test_bad_line_is_refused_by_file_and_number(tmp_path, line):
    path = tmp_path / "val_files.txt"
    path.write_text(f"day/drive 1 l\n{line}\n")
    with pytest.raises(InputError, match=r"val_files\.txt, line 2"):
        read_split_file(path)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"drive {'7' * 5000} l", "whole frame number"),
        ("drive 12345678901 l", "whole frame number"),
        ("drive \u0663 l", "whole frame number"),
        ("dri\0ve 5 l", "no folder can be named"),
        ("dri\x1b[2Jve 5 l", "no folder can be named"),
        (f"{'a/' * 3000} 5 l", "no folder can be named"),
    ],
)
def test_names_and_numbers_that_no_frame_has_are_refused(tmp_path, line, problem):
    path = tmp_path / "train_files.txt"
    path.write_text(f"drive 4 l\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=problem) as refused:
        read_split_file(path)
    assert f"{path}, line 2: " in str(refused.value)
    assert len(str(refused.value)) < 500


def test_a_list_of_very_many_lines_is_refused(tmp_path):
    (tmp_path / "train_files.txt").write_text("\n" * (MOST_LINES + 1))
    with pytest.raises(InputError, match=f"more than {MOST_LINES} lines"):
        read_split_file(tmp_path / "train_files.txt")


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


def test_every_file_has_the_sum_of_the_published_one():
    files = {f"{n}/{file}": lines for n in PUBLISHED_NAMES for file, lines in files_of(n)}
    sums = {k: hashlib.sha256("\n".join(sorted(v)).encode()).hexdigest() for k, v in files.items()}
    assert sums == SUMS


def files_of(name: str) -> list[tuple[str, tuple[str, ...]]]:
    return list(published_files(name).items())


def test_equals_the_published_text(shared):
    texts = sorted((shared / "splits").glob("*/*.txt"))
    assert len(texts) == len(SUMS)
    for path in texts:
        lines = published_files(path.parent.name)[path.name]
        published = path.read_text().splitlines()
        if not path.name.startswith("test"):
            published = sorted(published)
            lines = sorted(lines)
        assert list(lines) == published, path


def test_takes_less_than_150_kb():
    assert sum(path.stat().st_size for path in FOLDER.glob("*.json")) < 150_000


def test_random_lists_return_from_the_compact_form():
    rng = np.random.default_rng(0)
    every = [f"day/{d} {f} {s}" for d in "abc" for f in range(int(d, 16) * 3) for s in "lr"]
    shuffled = rng.permutation(every).tolist()
    tests = [f"day/z {frame:04d} l" for frame in rng.permutation(50)[:20]]
    files = {"train_files.txt": shuffled[20:], "val_files.txt": shuffled[:20]}
    decoded = decode(encode({**files, "test_files.txt": tests}))
    assert list(decoded["test_files.txt"]) == tests
    assert {file: sorted(decoded[file]) for file in files} == {
        file: sorted(lines) for file, lines in files.items()
    }


def test_lists_that_the_form_cannot_hold_are_refused():
    files = {"train_files.txt": ["day/a 1 l"], "val_files.txt": ["day/a 2 r"]}
    with pytest.raises(ValueError, match=r"_files\.txt: cannot be held"):
        encode(files)
    with pytest.raises(ValueError, match=r"test_files\.txt"):
        encode({"test_files.txt": ["day/a 1 r"]})


def test_sides_may_be_the_numbers_of_kittis_cameras(tmp_path):
    path = tmp_path / "test_files.txt"
    path.write_text("day/drive 0 2\nday/drive 7 3\nday/drive 8 l\n")
    assert read_split_file(path) == [
        SplitLine("day/drive", 0, "l"),
        SplitLine("day/drive", 7, "r"),
        SplitLine("day/drive", 8, "l"),
    ]
    path.write_text("day/drive 0 4\n")
    with pytest.raises(InputError, match="side l or r"):
        read_split_file(path)


def test_a_split_of_ones_own_may_lie_among_the_published(tmp_path, monkeypatch):
    """There, the published code's users have theirs; one where we stand comes first."""
    monkeypatch.setattr(splits, "FOLDER", tmp_path / "splits")
    monkeypatch.chdir(tmp_path)
    for folder, frame in ((tmp_path / "splits" / "mine", 1), (tmp_path / "mine", 2)):
        folder.mkdir(parents=True)
        (folder / "train_files.txt").write_text(f"day/drive {frame} l\n")
    assert load_split("mine", "train")[0].frame == 2
    (tmp_path / "mine").rename(tmp_path / "away")
    assert load_split("mine", "train")[0].frame == 1
