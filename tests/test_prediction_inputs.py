"""Pictures as people have them: every kind of file is a picture or a clear message."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from datasets.pictures import LONGEST_SIDE, PICTURES, read_picture
from prediction.depth_map import limit_side
from prediction.inputs import find_inputs
from system.errors import InputError


def save(path, mode="RGB", color=None, size=(8, 6), **how):
    Image.new(mode, size, color).save(path, **how)
    return path


def declared(path, width, height):
    """A PNG that says it is of some size and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def test_pictures_folders_and_patterns_are_found_in_order(tmp_path):
    for name in ("b.png", "a.jpg", "c.txt", "d.PNG", "a_side.jpeg", "b_disp.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    names = [path.name for path in find_inputs([tmp_path], None)]
    assert names == ["a.jpg", "b.png", "d.PNG"]
    assert [path.name for path in find_inputs([tmp_path], "png")] == ["b.png", "d.PNG"]
    assert [path.name for path in find_inputs([tmp_path / "[bd].*"], None)] == ["b.png", "d.PNG"]
    some = [tmp_path / "c.txt", tmp_path / "a.jpg", tmp_path / "*.jpg"]
    assert [path.name for path in find_inputs(some, None)] == ["c.txt", "a.jpg"]


def test_a_pattern_without_a_picture_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\*\.jpg: has no picture"):
        find_inputs([tmp_path / "*.jpg"], None)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(folder, *paths, **how):
    inputs = find_inputs([folder / path for path in paths], how.get("extension"))
    return [path.relative_to(folder).as_posix() for path in inputs]


def test_folders_give_videos_too_in_the_order_of_numbers(tmp_path, caplog):
    touch(tmp_path, "img10.JPG", "img2.jpg", "Ride.MOV", "a.heic", "b.avif", "c.jfif")
    touch(tmp_path, "._img2.jpg", "x.dng", "notes.txt", "Ride_disp.mp4", "inner/z.jpg")
    expected = ["a.heic", "b.avif", "c.jfif", "img2.jpg", "img10.JPG", "Ride.MOV"]
    assert found(tmp_path, "") == expected
    for words in (
        "1 hidden, or made by the system: ._img2.jpg",
        "1 of a kind that is not read (convert them to JPEG or PNG): x.dng",
        "1 neither picture nor video: notes.txt",
        "1 named like what predicting writes: Ride_disp.mp4",
        f"1 folders in it (all: '{tmp_path / '**' / '*'}'): inner",
    ):
        assert words in caplog.text
    assert [path.name for path in find_inputs([tmp_path], None, PICTURES)] == expected[:-1]


def test_patterns_match_in_every_part_and_in_any_case_of_the_ending(tmp_path, caplog):
    touch(tmp_path, "1/a.jpg", "2/b.JPG", "10/c.Mp4", "10/deep/d.png", "10/__MACOSX/._c.jpg")
    assert found(tmp_path, "*/*.jpg") == ["1/a.jpg", "2/b.JPG"]
    assert found(tmp_path, "1*/*.[mj]p*") == ["1/a.jpg", "10/c.Mp4"]
    assert found(tmp_path, "*/c.mp4") == ["10/c.Mp4"]
    everything = ["1/a.jpg", "2/b.JPG", "10/c.Mp4", "10/deep/d.png"]
    assert found(tmp_path, "*") == everything[:3]  # as a shell would: folders, and what is in them
    for pattern in ("**/*", "**"):
        caplog.clear()
        assert found(tmp_path, pattern) == everything
        assert "2 hidden, or made by the system: __MACOSX, ._c.jpg" in caplog.text
    assert found(tmp_path, "**/*", extension="PNG") == ["10/deep/d.png"]


def test_names_with_brackets_are_names_where_they_are_there(tmp_path):
    touch(tmp_path, "trip [1]/a[2].jpg", "trip [1]/b.jpg", "trip 1/c.jpg")
    assert found(tmp_path, "trip [1]") == ["trip [1]/a[2].jpg", "trip [1]/b.jpg"]
    assert found(tmp_path, "trip [1]/a[2].jpg") == ["trip [1]/a[2].jpg"]
    assert found(tmp_path, "trip [1]/*.jpg") == ["trip [1]/a[2].jpg", "trip [1]/b.jpg"]
    assert found(tmp_path, "trip [12]/*.jpg", "trip ?/*.jpg") == ["trip 1/c.jpg"]


def test_a_folder_of_nothing_to_read_says_what_is_there(tmp_path):
    touch(tmp_path, "._a.jpg", "b.CR2", "inner/c.jpg")
    with pytest.raises(InputError, match=r"no picture or video in it \(left out: 1 hidden.*b\.CR2"):
        find_inputs([tmp_path], None)


@pytest.mark.parametrize("name", ["a b.png", "街道.png", "🙂.png"])
def test_any_name_is_read(tmp_path, name):
    assert read_picture(save(tmp_path / name)).shape == (6, 8, 3)


def test_16_bit_pictures_keep_their_upper_bits(tmp_path):
    values = np.array([[0, 257, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png")[0].tolist() == [[0] * 3, [1] * 3, [255] * 3]


def test_transparent_parts_are_white(tmp_path):
    save(tmp_path / "a.png", "RGBA", (200, 0, 0, 0))
    assert (read_picture(tmp_path / "a.png") == 255).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "p.png", transparency=1)
    assert (read_picture(tmp_path / "p.png") == 255).all()
    palette.save(tmp_path / "q.png")
    assert read_picture(tmp_path / "q.png")[0, 0].tolist() == [10, 20, 30]


def test_grey_and_cmyk_become_rgb(tmp_path):
    assert (read_picture(save(tmp_path / "g.png", "L", 77)) == 77).all()
    assert read_picture(save(tmp_path / "c.jpg", "CMYK", (0, 255, 255, 0))).shape == (6, 8, 3)


def test_the_first_frame_of_an_animation_is_taken(tmp_path):
    frames = [Image.new("RGB", (5, 4), color) for color in ((255, 0, 0), (0, 255, 0))]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_picture(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("width", "height", "said"),
    [
        (20_000, 20_000, r"400000000 pixels\) exceeds"),
        (12_000, 9_000, "has 12000x9000 pixels"),
        (LONGEST_SIDE + 1, 1, f"has {LONGEST_SIDE + 1}x1 pixels"),
    ],
)
def test_too_large_a_picture_is_refused_before_it_is_decoded(tmp_path, width, height, said):
    with pytest.raises(InputError, match=rf"a\.png: .*{said}"):
        read_picture(declared(tmp_path / "a.png", width, height))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"<!DOCTYPE html><html></html>",
        b"\xff\xd8",
    ],
)
def test_what_is_no_picture_is_named(tmp_path, content):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png: cannot be read as a picture"):
        read_picture(path)


def test_a_long_side_is_limited_and_the_shape_kept():
    picture = np.zeros((100, 300, 3), np.uint8)
    assert limit_side(picture, None) is picture
    assert limit_side(picture, 300) is picture
    assert limit_side(picture, 150).shape == (50, 150, 3)
