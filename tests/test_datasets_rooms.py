"""Generated rooms: exact depth, the same for the same seed, in the layout of pairs."""

import numpy as np
import pytest
from PIL import Image

from datasets.depth_files import read_depth
from datasets.rgbd import find_pairs, read_note, suspicions
from datasets.rooms import Room, View, draw_room, main, render
from system.errors import InputError


def empty_room(*boxes):
    corners = [((0, 0, 0), (4, 6, 3)), *boxes]
    low, high = (np.array(each, float) for each in zip(*corners))
    count = len(corners)
    return Room(low, high, np.full((count, 3, 3), 0.5), np.ones((count, 3, 4)))


def looking_along_y(place):
    rotation = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)  # x right, -z down, y forward
    return View(np.array(place, float), rotation, focal=1.0)


def test_depth_of_walls_is_exact():
    _, depth = render(empty_room(), looking_along_y((2, 1, 1.5)), 64, 48)
    assert depth[24, 32] == pytest.approx(5)  # the wall ahead
    bottom = (47 - 23.5) / 64  # tangent of the lowest row's ray
    assert depth[47, 32] == pytest.approx(min(5, 1.5 / bottom), rel=1e-6)
    assert np.isfinite(depth).all()


def test_boxes_hide_what_is_behind_them():
    room = empty_room(((1.5, 3, 0), (2.5, 3.5, 2)))
    _, depth = render(room, looking_along_y((2, 1, 1.5)), 65, 49)
    assert depth[24, 32] == pytest.approx(2)
    assert depth[24, 2] == pytest.approx(2 / (30 / 65), rel=0.02)  # the wall on the left


def test_every_drawn_room_is_seen_from_inside():
    for seed in range(30):
        picture, depth = render(*draw_room(np.random.default_rng(seed)), 32, 24)
        assert (depth.min() > 0.1) & (depth.max() < 12)
        assert picture.std() > 2


def test_pairs_are_written_and_read_back(tmp_path):
    words = ["--train", "3", "--val", "1", "--test", "2", "--width", "48", "--height", "32"]
    main([str(tmp_path / "rooms"), *words])
    main([str(tmp_path / "again"), *words])
    main([str(tmp_path / "other"), *words, "--seed", "1"])
    folder = tmp_path / "rooms" / "train"
    pairs = find_pairs(folder)
    assert len(pairs) == 3
    depth = read_depth(pairs[0].depth, read_note(folder))
    expected = render(*draw_room(np.random.default_rng((0, 0, 0))), 48, 32)[1]
    np.testing.assert_allclose(depth, expected, atol=6e-4)
    assert Image.open(pairs[0].picture).size == (48, 32)
    assert not [words for words in suspicions(pairs, read_note(folder)) if "unknown" not in words]
    for one, two, same in (("rooms", "again", True), ("rooms", "other", False)):
        files = (tmp_path / name / "test" / "depth" / "000001.png" for name in (one, two))
        contents = [file.read_bytes() for file in files]
        assert (contents[0] == contents[1]) is same
    with pytest.raises(InputError, match="is there already"):
        main([str(tmp_path / "rooms"), *words])
