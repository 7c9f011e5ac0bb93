"""Ordinal labels: which point is nearer, wherever the list says that it lies."""

import numpy as np
import pytest

from evaluation.depth_set import OrdinalLabels, find_pictures, read_labels, wrong_labels
from system.errors import InputError

# Near is large: the lower row is nearer, and in each row the right one.
PREDICTION = np.array([[1.0, 2.0], [3.0, 4.0]])


def labels_of(tmp_path, *lines):
    path = tmp_path / "labels.csv"
    path.write_text("\n".join(lines))
    return read_labels(path)


def test_wrong_labels_are_counted():
    pixels = np.array([[[0, 0], [0, 1]], [[1, 1], [0, 0]]])
    points = (pixels + 0.5) / 2
    assert wrong_labels(PREDICTION, OrdinalLabels(points, np.array([-1, 1]))) == 0
    assert wrong_labels(PREDICTION, OrdinalLabels(points, np.array([1, 1]))) == 1


@pytest.mark.parametrize(
    ("label", "wrong"),
    [
        ("2,2,1,1,>,2,2", 0),  # the lower right pixel is nearer than the upper left one
        ("1,1,2,2,<,2,2", 0),
        ("2,2,1,1,<,2,2", 1),
        ("1,2,2,1,>,2,2", 1),  # rows come first: (1, 2) is the upper right one
        ("0,0,2,2,<,2,2", 0),  # counted from 0
    ],
)
def test_greater_says_that_the_first_point_is_nearer_and_counts_from_1(tmp_path, label, wrong):
    labels = labels_of(tmp_path, "a.png", label)["a.png"]
    assert wrong_labels(PREDICTION, labels) == wrong


def test_points_follow_the_size_of_the_picture(tmp_path):
    labels = labels_of(tmp_path, "a.png", "100,1,200,300,<,300,200")["a.png"]
    assert labels.pixels(200, 300).tolist() == [[[99, 0], [199, 299]]]
    assert labels.pixels(100, 600).tolist() == [[[49, 1], [99, 599]]]
    assert labels.pixels(20, 30).tolist() == [[[9, 0], [19, 29]]]


def test_pictures_keep_their_order_and_may_have_several_labels(tmp_path):
    label = "1,1,2,2,<,2,2"
    found = labels_of(tmp_path, "./b.thumb", label, "", "a.png", label, label)
    assert list(found) == ["./b.thumb", "a.png"]
    assert len(found["a.png"].closer) == 2


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["1,1,2,2,<,2,2"], "line 1: a label comes before any picture"),
        (["a.png", "1,1,2,2,=,2,2"], "line 2: the relation must be > or <, is '='"),
        (["a.png", "1,1,3,2,<,2,2"], "line 2: a point lies outside"),
        (["a.png", "1,nan,2,2,<,2,2"], "line 2: a point lies outside"),
        (["a.png", "1,x,2,2,<,2,2"], "line 2: .* must be numbers"),
        (["a.png", "1,1,2,2,<"], "line 2: expected a label"),
        (["a.png", "1,1,2,2,<,2,2", "b.png"], "ends before a label"),
        ([""], "ends before a label"),
    ],
)
def test_a_broken_list_is_refused_with_its_line(tmp_path, lines, said):
    with pytest.raises(InputError, match=rf"labels\.csv.*{said}"):
        labels_of(tmp_path, *lines)


def test_missing_pictures_are_listed(tmp_path):
    labels = labels_of(tmp_path, *(f"sub/{n}.png\n1,1,2,2,<,2,2" for n in "abc"))
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"2 pictures .*: sub/a\.png, sub/c\.png"):
        find_pictures(labels, tmp_path)
    (tmp_path / "sub").mkdir()
    for name in "ac":
        (tmp_path / "sub" / f"{name}.png").write_bytes(b"")
    files = find_pictures(labels, tmp_path)
    assert files["sub/b.png"] == tmp_path / "b.png"
    assert files["sub/a.png"] == tmp_path / "sub" / "a.png"
