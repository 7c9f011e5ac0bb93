"""Folders as people have them: what counts, in which order, and what is left out and why."""

import itertools
import random
from pathlib import Path

import pytest

from datasets.folders import (
    HIDDEN,
    NO_FILE,
    NOT_READ,
    OTHERS,
    OUTPUTS,
    in_words,
    is_hidden,
    list_folder,
    moments,
    natural_key,
    order_doubt,
)
from datasets.pictures import PICTURES
from datasets.rgbd import find_pairs


def paths(*names):
    return [Path(name) for name in sorted(names, key=natural_key)]


@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "2.png", "10.png", "100.png"],
        ["frame_0.jpg", "frame_9.JPG", "Frame_10.jpg", "frame_11.jpg"],
        ["frame (1).jpg", "frame (2).jpg", "frame (12).jpg"],
        ["a.jpg", "a1.jpg", "a1b2.jpg", "a1b10.jpg", "b.jpg"],
        ["008.png", "009.png", "0010.png", "11.png"],
        ["2023-9-5.jpg", "2023-10-1.jpg"],
        ["\uff11.png", "\uff12.png", "\uff11\uff10.png"],  # full-width digits
        ["1305031102.175304.png", "1305031102.211214.png", "1305031103.011215.png"],
        ["".join("7" * 200) + "1.png", "".join("7" * 200) + "2.png"],
    ],
)
def test_numbers_in_names_count_as_numbers(names):
    shuffled = names[:]
    random.Random(0).shuffle(shuffled)
    assert sorted(shuffled, key=natural_key) == names


@pytest.mark.parametrize(
    "names",
    [
        [f"{n}.png" for n in range(12)],
        [f"cam0_{n}_x.png" for n in range(12)],
        ["a.png", "b.png", "c.png"],  # no numbers at all: the alphabet
        ["frame_0001_a3f9.png", "frame_0002_77.png", "frame_0010_b.png"],
        ["IMG_20230101_235959.jpg", "IMG_20230102_000000.jpg"],
        ["0.1.png", "0.2.png", "1.0.png"],
        ["2023.9.5.png", "2023.10.1.png"],
        ["9999.png"],
        [f"{n}.png" for n in range(1, 10000, 2)],
        [],
    ],
)
def test_a_clear_order_is_not_doubted(names):
    assert order_doubt(paths(*names)) is None


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["left_1.png", "left_2.png", "right_1.png", "right_2.png"], "left_2.png and right_1.png"),
        (["1_l.png", "1_r.png", "2_l.png", "2_r.png"], "1_l.png and 1_r.png have the same number"),
        (["1.png", "1.jpg", "2.png"], "1.jpg and 1.png have the same number"),
        (["1.png", "01.png", "2.png"], "the same number"),
        (["1.png", "1 (1).png", "2.png"], "or a copy"),
        (["1.png", "1 copy.png", "2.png"], "1.png and 1 copy.png have the same number"),
        (["1.png", "2.png", "cover.png"], "2.png and cover.png"),
        (["a_51.png", "a_52.png", "b_1.png", "b_2.png"], "a_52.png and b_1.png have other text"),
        (["Jan_30.png", "Jan_31.png", "Feb_1.png"], "Feb_1.png and Jan_30.png"),
        (["a.png", "a.jpg", "b.png"], "a.jpg and a.png have the same name"),
        (["0.5.png", "0.25.png", "0.75.png"], "fractions or signs"),
        (["-2.png", "-1.png"], "fractions or signs"),
        (["008.png", "009.png", "00a.png", "00b.png", "010.png"], "00a.png and 00b.png"),
        (["3f9a.png", "77e0.png", "a1b2.png"], "77e0.png and a1b2.png"),
        (["-1.png", "0.png", "1.png"], "-1.png"),
        (["IMG_9998.jpg", "IMG_9999.jpg", "IMG_0001.jpg"], "count from 1 again"),
    ],
)
def test_an_order_that_nobody_can_tell_is_doubted_by_name(names, said):
    assert said in order_doubt(paths(*names))


def test_files_of_systems_do_not_count_and_what_is_left_out_has_its_reason(tmp_path):
    for name in ("2.JPG", "10.jpeg", "1.jfif", "a.heic", "b.AVIF", "c.jpe"):
        (tmp_path / name).touch()
    left_out = {
        HIDDEN: ["._1.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir"],
        OUTPUTS: [
            "1_disp.jpeg",
            "1_disp.npy",
            "1_depth.png",
            "ride_disp.mp4",
            "1_mesh.glb",
            "a.jpg-2_disp.png",
        ],
        NOT_READ: ["raw.DNG", "x.jxl", "y.ppm"],
        OTHERS: ["notes.txt", "1.jpg~", "movie.mp4", "no_ending"],
    }
    for name in itertools.chain(*left_out.values()):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "camera.json").touch()
    listing = list_folder(tmp_path, PICTURES, own={"camera.json"})
    names = [path.name for path in listing.files]
    assert names == ["1.jfif", "2.JPG", "10.jpeg", "a.heic", "b.AVIF", "c.jpe"]
    assert [path.name for path in listing.folders] == ["folder.png"]
    found = {why: {path.name for path in listing.left_out[why]} for why in listing.left_out}
    assert found == {why: set(names) for why, names in left_out.items()}
    words = in_words(listing.left_out)
    assert "3 of a kind that is not read (convert them to JPEG or PNG): raw.DNG" in words


def test_a_link_that_leads_nowhere_is_left_out(tmp_path):
    try:
        (tmp_path / "a.png").symlink_to(tmp_path / "gone.png")
    except OSError:
        pytest.skip("this system makes no links")
    listing = list_folder(tmp_path, PICTURES)
    assert listing.files == []
    assert list(listing.left_out) == [NO_FILE]


def test_only_what_is_below_a_folder_can_be_hidden():
    assert is_hidden(Path("a/__MACOSX/x.jpg"))
    assert is_hidden(Path("@eaDir/x.jpg/SYNOPHOTO_THUMB_M.jpg"))
    assert not is_hidden(Path("../a/x.jpg"))
    assert not is_hidden(Path("a.b/x..jpg"))


def test_pairs_of_pictures_and_depth_are_not_of_hidden_files(tmp_path):
    for name in ("rgb/a.jpg", "rgb/._a.jpg", "depth/a.png", "depth/__MACOSX/._b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [pair.picture.name for pair in find_pairs(tmp_path)] == ["a.jpg"]


def test_moments_are_the_numbers_that_change():
    left = moments(["cam0_2024_001", "cam0_2024_002", "cam0_2024_010"])
    assert left == moments(["2024-1_R", "2024-2_R", "2024-10_R"])
    assert left != moments(["cam1_2024_001", "cam1_2024_003", "cam1_2024_010"])
    assert moments(["a", "b"]) == moments(["A", "B"]) != moments(["a", "c"])
    assert moments([]) == []
