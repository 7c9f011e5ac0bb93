"""Lists of other projects become ours, line by line, or are refused by line number."""

from __future__ import annotations

import pytest

from datasets import splits
from datasets.split_formats import convert
from datasets.splits import load_split, published_lines
from system.errors import InputError

DRIVE = "2011_09_26_drive_0002_sync"
IMAGE = f"2011_09_26/{DRIVE}/image_02/data/0000000069.png"
RIGHT = IMAGE.replace("image_02", "image_03")
DEPTH = f"{DRIVE}/proj_depth/groundtruth/image_02/0000000069.png"
OURS = f"2011_09_26/{DRIVE} 0000000069 l"


@pytest.mark.parametrize(
    ("line", "expected", "form"),
    [
        (OURS, OURS, "this form already"),
        (f"2011_09_26/{DRIVE} 473 r", f"2011_09_26/{DRIVE} 473 r", "this form already"),
        (f"{DRIVE}_02 0000000069", OURS, "SfMLearner"),
        (f"{DRIVE}_03 0000000005", f"2011_09_26/{DRIVE} 0000000005 r", "SfMLearner"),
        (f"{IMAGE} {RIGHT}", OURS, "Monodepth"),
        (f"{IMAGE} {RIGHT}".replace("png", "jpg"), OURS, "Monodepth"),
        (f"{RIGHT} {IMAGE}", OURS.replace(" l", " r"), "Monodepth"),
        (IMAGE, OURS, "paths of images"),
        (f"{IMAGE} {DEPTH} 721.5377", OURS, "BTS"),
        (f"{IMAGE} None 721.5377", OURS, "BTS"),
        (f"/data/kitti/{IMAGE}", OURS, "paths of images"),
        (IMAGE.replace("/", "\\"), OURS, "paths of images"),
        (f"{IMAGE} {RIGHT}".replace("/", "\\"), OURS, "Monodepth"),
        (OURS.replace("/", "\\"), OURS, "this form already"),
        (f"{IMAGE[:-3]}JPG", OURS, "paths of images"),
    ],
)
def test_each_form_becomes_ours(line, expected, form):
    converted = convert(["", line, " "], "list.txt")
    assert converted.lines == [expected]
    assert form in converted.form
    assert converted.without_depth == ("None" in line)


@pytest.mark.parametrize(
    "line",
    [
        "2011_09_26_drive_0002_sync 12",
        f"{DRIVE}_02 x",
        f"{DRIVE}_00 12",
        "aachen/aachen_000000_leftImg8bit.png aachen/aachen_000000_rightImg8bit.png",
        IMAGE.replace("image_02", "image_00"),
        f"{IMAGE} {RIGHT.replace('69', '70')}",
        f"{IMAGE} {IMAGE}",
        f"{IMAGE} {DEPTH.replace('69', '70')} 721.5377",
        f"{IMAGE} {DEPTH.replace('image_02', 'image_03')} 721.5377",
        f"{IMAGE} {DEPTH} far",
        f"{OURS} {OURS}",
        f"2011_09_26/{DRIVE} 12 x",
    ],
)
def test_a_line_of_no_form_is_refused_by_its_number(line):
    with pytest.raises(InputError, match=r"^list\.txt, line 3: "):
        convert([OURS, "", line], "list.txt")
    with pytest.raises(InputError, match=r"^list\.txt, line 1: "):
        convert([line], "list.txt")


def test_all_refused_lines_are_counted():
    with pytest.raises(
        InputError, match=r"line 2: .* is of no known form; 5 more: line 3, 4, 5, …"
    ):
        convert([OURS, *["no"] * 6], "list.txt")
    with pytest.raises(InputError, match="empty"):
        convert([" "], "list.txt")


def test_a_list_has_one_form():
    with pytest.raises(InputError, match=r"line 2: .*not of the form of the lines before"):
        convert([OURS, IMAGE], "list.txt")


def bts_line(line, depth=True):
    folder, frame, _ = line.split()
    drive = folder.split("/")[1]
    truth = f"{drive}/proj_depth/groundtruth/image_02/{frame}.png" if depth else "None"
    return f"{folder}/image_02/data/{frame}.png {truth} 721.5377"


def test_the_list_of_eigen_returns_from_the_form_of_bts(tmp_path, capsys):
    ours = published_lines("eigen", "test")
    theirs = [bts_line(line, depth=index >= 45) for index, line in enumerate(ours)]
    (tmp_path / "eigen_test.txt").write_text("\r\n".join(theirs))
    target = tmp_path / "mine" / "test_files.txt"
    splits.main(["--from", str(tmp_path / "eigen_test.txt"), "--to", str(target)])
    assert load_split(str(target.parent), "test") == load_split("eigen", "test")
    said = capsys.readouterr().err
    assert "697 lines, BTS's" in said
    assert "45 without depth" in said
    splits.main(["--from", str(tmp_path / "eigen_test.txt")])
    assert capsys.readouterr().out.splitlines() == list(ours)


def test_what_cannot_be_converted_leaves_the_target_as_it_was(tmp_path):
    source, target = tmp_path / "list.txt", tmp_path / "train_files.txt"
    target.write_text("before\n")
    source.write_text(f"{OURS}\nnonsense\n")
    with pytest.raises(InputError, match="line 2"):
        splits.main(["--from", str(source), "--to", str(target)])
    assert target.read_text() == "before\n"
    assert sorted(tmp_path.iterdir()) == [source, target]
    with pytest.raises(InputError, match=r"folder; name the list, as .*train_files\.txt"):
        source.write_text(OURS)
        splits.main(["--from", str(source), "--to", str(tmp_path)])
    with pytest.raises(InputError, match="no such file"):
        splits.main(["--from", str(tmp_path / "gone.txt")])


@pytest.mark.parametrize("words", [["eigen", "--from", "x"], ["--to", "x"], []])
def test_command_line_is_either_a_name_or_a_file(words, capsys):
    with pytest.raises(SystemExit):
        splits.main(words)
    assert "--from FILE" in capsys.readouterr().err
