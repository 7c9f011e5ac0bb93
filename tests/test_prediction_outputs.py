"""Every input has files of its own, whatever the inputs are called."""

import itertools
import unicodedata
from pathlib import Path

import pytest

from prediction.outputs import ENDS, Place, free_place, places_of


def files(places):
    """All files of all places, as file systems see them that know neither case nor composition."""
    every = (place.path(end) for place in places for end in ENDS)
    return [unicodedata.normalize("NFC", str(path)).casefold() for path in every]


def stems(inputs, output=None):
    found = places_of([Path(each) for each in inputs], output and Path(output))
    return [
        (place.folder / place.stem).relative_to(output or found[0].folder).as_posix()
        for place in found
    ]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["a.jpg", "b.jpg"], ["a", "b"]),
        (["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        (["A.png", "a.jpg"], ["A.png", "a.jpg"]),
        (["b.jpg", "b.JPG"], ["b.jpg", "b.JPG-2"]),
        (["drive.mp4", "drive.jpg", "c.png"], ["drive.mp4", "drive.jpg", "c"]),
        (["a.jpg", "a.png", "a.jpg.png"], ["a.jpg-2", "a.png", "a.jpg"]),
        (["a.jpg", "./a.jpg", "x/../a.jpg"], ["a"]),
        (["x.jpg", "x_disp.png"], ["x.jpg", "x_disp"]),
        (["\u00e9.png", "e\u0301.jpg"], ["\u00e9.png", "e\u0301.jpg"]),
        (["a.b.jpg", "a.c.jpg"], ["a.b", "a.c"]),
    ],
)
def test_names_beside_the_inputs(tmp_path, monkeypatch, inputs, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    assert stems(inputs) == expected
    assert len(set(files(places_of(list(map(Path, inputs)), None)))) == len(expected) * len(
        set(ENDS)
    )


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (["in/a.jpg", "in/b.jpg"], ["a", "b"]),
        (["in/a.jpg", "more/b.jpg"], ["a", "b"]),
        (["in/a.jpg", "more/a.jpg", "more/b.jpg"], ["in/a", "more/a", "more/b"]),
        (["in/a.jpg", "in/more/A.jpg"], ["a", "more/A"]),
        (["x/frames/0.png", "y/frames/0.png"], ["x/frames/0", "y/frames/0"]),
        (["in/a.jpg", "in/a.png"], ["a.jpg", "a.png"]),
        (["X/0.png", "x/0.jpg"], ["0.png", "0.jpg"]),
    ],
)
def test_names_in_one_folder(tmp_path, monkeypatch, inputs, expected):
    monkeypatch.chdir(tmp_path)
    assert stems(inputs, "out") == expected
    places = places_of(list(map(Path, inputs)), Path("out"))
    assert len(set(files(places))) == len(expected) * len(set(ENDS))


def test_no_two_places_share_a_file_in_any_mixture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["a.jpg", "A.jpg", "a.png", "a.jpg.png", "a_disp.jpg", "d/A.jpg-2.png"]
    for inputs in itertools.permutations(names, 3):
        for output in (None, Path("out")):
            places = places_of([Path(name) for name in inputs], output)
            every = files(places)
            assert len(every) - len(set(every)) == len(places)  # each has disp.json twice
            assert not set(every) & {str(Path(name)).casefold() for name in inputs}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b'{"source": "other.jpg"}'])
def test_what_does_not_say_that_it_is_of_this_input_is_kept(tmp_path, content):
    place = Place(tmp_path / "a.jpg", tmp_path, "a")
    place.path("disp.json").write_bytes(content)
    assert free_place(place, ["disp.json"]).stem == "a.jpg"
    place.path("disp.json").write_text('{"source": "a.jpg"}')
    assert free_place(place, ["disp.json"]) == place
    place.path("disp.json").write_text('{"model": "of an older version"}')
    assert free_place(place, ["disp.json"]) == place


def test_a_name_is_found_however_many_are_taken(tmp_path):
    place = Place(tmp_path / "a.jpg", tmp_path, "a")
    found = []
    for _ in range(4):
        found.append(free_place(place, ["depth.png"]))
        found[-1].path("depth.png").touch()
    assert len(set(found)) == 4
