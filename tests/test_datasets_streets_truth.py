"""Objects of generated streets: their pixels and numbers, and what is known of files on disk."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from datasets.splits import SplitLine
from datasets.streets.generate import RENDERER_VERSION, StreetSettings, list_drives, load_street
from datasets.streets.render import render_depth, render_view
from datasets.streets.sensors import kitti_camera, right_camera_pose
from datasets.streets.truth import read_settings, true_view
from datasets.streets.world import BOX, OBJECT_KINDS, Pose, make_street
from evaluation.objects import object_scores, summarise
from system.errors import InputError

CAMERA = kitti_camera(208, 64)
(FX, _, CX), (_, FY, CY) = CAMERA.K[:2]
SETTINGS = StreetSettings(
    seed=4, width=128, height=64, train_drives=1, val_drives=1, test_drives=2, frames=3
)


@pytest.fixture(scope="module")
def street():
    return make_street(np.random.SeedSequence(5), index=0, num_frames=4)


def boxes_of(*parts):
    """BOX [B] of (x, y, half, bottom, top, object, kind)."""
    boxes = np.zeros(len(parts), BOX)
    for box, (x, y, half, bottom, top, number, kind) in zip(boxes, parts):
        box["centre"], box["half"], box["bottom"], box["top"] = (x, y), half, bottom, top
        box["object"], box["kind"] = number, OBJECT_KINDS.index(kind)
    return boxes


def test_pixels_have_the_number_of_what_stands_there(street):
    """A pole left, a car of two parts ahead and its top, a wall of no object behind, ground."""
    boxes = boxes_of(
        (10, 2, (0.5, 0.5), 0, 8, 3, "pole"),
        (10, 0, (1, 1), 0, 0.6, 5, "car"),
        (10.2, 0, (0.8, 0.8), 0.6, 1.2, 5, "car"),
        (30, 0, (1, 40), 0, 20, 0, "car"),
    )
    placed = replace(street, static_boxes=boxes, moving_boxes=(np.empty(0, BOX),) * 4)
    view = render_view(placed, 0, Pose(0, 0, 0), CAMERA)
    assert view.kinds == {3: "pole", 5: "car"}
    assert view.depth.shape == view.objects.shape == (64, 208)
    columns = np.nonzero((view.objects == 3)[int(CY)])[0]
    assert abs(columns[0] - (CX - 2.5 / 9.5 * FX)) <= 1
    assert abs(columns[-1] - (CX - 1.5 / 9.5 * FX)) <= 1
    car = view.objects == 5
    rows = np.nonzero(car[:, int(CX)])[0]
    assert abs(rows[-1] - (CY + 1.65 / 9 * FY)) <= 1  # its foot
    assert abs(rows[0] - (CY + 0.45 / 11 * FY)) <= 1  # the far end of the upper part's top
    assert view.depth[car].min() == pytest.approx(9) and view.depth[car].max() <= 11
    assert (view.objects[view.depth > 11] == 0).all() and (view.objects[0] != 5).all()
    assert set(np.unique(view.objects)) == {0, 3, 5}


def test_every_object_is_whole_and_of_one_kind(street):
    boxes = street.boxes_at(0)
    parts = {"car": {3}, "tree": {4}, "pole": {1, 2}}
    kinds = street.object_kinds()
    assert set(kinds.values()) == set(OBJECT_KINDS)
    for number, kind in kinds.items():
        own = boxes[boxes["object"] == number]
        assert len(own) in parts[kind]
        assert (own["kind"] == OBJECT_KINDS.index(kind)).all()
        assert np.ptp(own["centre"], axis=0).max() < 3
    # Buildings and hedges are one box each, of no object.
    assert (boxes["object"] == 0).any()


def test_moving_cars_keep_numbers_of_their_own(street):
    fixed = set(street.static_boxes["object"])
    numbers = [boxes["object"].tolist() for boxes in street.moving_boxes]
    assert numbers[0] and not fixed & set(numbers[0])
    assert all(each == numbers[0] for each in numbers)
    assert {street.object_kinds()[number] for number in numbers[0]} == {"car"}
    # One leads the way, so that it is seen in every frame.
    camera = kitti_camera(424, 128)
    leader = numbers[0][0]
    for frame in (0, 3):
        view = render_view(street, frame, street.poses[frame], camera)
        assert (view.objects == leader).sum() > 50


def test_true_depth_itself_finds_all_objects():
    camera = kitti_camera(212, 64)
    scores = []
    for index in range(2):
        street = make_street(np.random.SeedSequence(index), index, 4)
        view = render_view(street, 2, street.poses[2], camera)
        scores += object_scores(view.depth, view.depth, view.objects, view.kinds)
    assert len(scores) >= 6
    assert all(score.found for score in scores)
    assert summarise(scores)["all"]["found"] == 1
    # Without the objects, in a street with ground and facades alone, few are.
    empty = replace(street, static_boxes=street.static_boxes[street.static_boxes["object"] == 0])
    bare = render_depth(
        replace(empty, moving_boxes=(np.empty(0, BOX),) * 4), 2, street.poses[2], camera
    )
    missed = object_scores(bare, view.depth, view.objects, view.kinds)
    assert summarise(missed)["all"]["found"] < 0.3


def write_settings(folder, **changes):
    content = {"renderer_version": RENDERER_VERSION, **asdict(SETTINGS), **changes}
    (folder / "streets.json").write_text(json.dumps(content))


def test_truth_of_a_split_line_is_what_its_camera_saw(tmp_path):
    write_settings(tmp_path)
    settings = read_settings(tmp_path)
    assert settings == SETTINGS
    drive = list_drives(settings)[-1]
    street = load_street(settings, drive)
    camera, pose = kitti_camera(128, 64), street.poses[2]
    for side, seen_from in (("l", pose), ("r", right_camera_pose(pose))):
        view = true_view(settings, SplitLine(drive.folder, 2, side))
        np.testing.assert_array_equal(view.depth, render_depth(street, 2, seen_from, camera))
    for line in (SplitLine(drive.folder, 3, "l"), SplitLine("2011_09_26/x_sync", 0, "l")):
        with pytest.raises(InputError, match="no such frame"):
            true_view(settings, line)


def test_folders_whose_objects_are_not_known_are_refused(tmp_path):
    with pytest.raises(InputError, match="no finished streets"):
        read_settings(tmp_path)
    write_settings(tmp_path, renderer_version=1)
    with pytest.raises(InputError, match="version 1 of the renderer"):
        read_settings(tmp_path)
    write_settings(tmp_path, wheels=4)
    with pytest.raises(InputError, match="does not hold the settings"):
        read_settings(tmp_path)
