"""Training items: which frames they hold, and a camera and a stereo pose that fit them."""

from __future__ import annotations

import logging
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from datasets.items import NO_JITTER, draw_augmentation, make_items, stereo_pose
from datasets.kitti import frame_path, read_calibration
from datasets.splits import SplitLine, load_split
from system.errors import InputError

DRIVE = "2000_01_01/2000_01_01_drive_0001_sync"
COUNT = 4000  # of draws
ALL_SOURCES = (-1, 1, "s")
FULL_SIZE, TRAINING_SIZE = (96, 48), (64, 32)
CALIBRATION = {
    "S_rect_02": "96 48",
    "P_rect_02": "70 0 40 4.2 0 72 21 0.2 0 0 1 0.003",
    "S_rect_03": "96 48",
    "P_rect_03": "75 0 50 -36 0 77 26 2 0 0 1 0.003",
    "R_rect_00": "1 0 0 0 1 0 0 0 1",
}


def color_of(frame, side):
    """The colour of the left and the right half of a picture, which no other picture has."""
    left = (40 * frame, 200 if side == "l" else 20, 10)
    return left, (*left[:2], 240)


def write_calibration(day, entries):
    text = "".join(f"{key}: {value}\n" for key, value in entries.items())
    (day / "calib_cam_to_cam.txt").write_text(text)


@pytest.fixture
def pictures(tmp_path):
    """A drive of five stereo pairs, each of one colour per half."""
    for frame in range(5):
        for side in "lr":
            path = frame_path(tmp_path, DRIVE, frame, side, "png")
            path.parent.mkdir(parents=True, exist_ok=True)
            left, right = color_of(frame, side)
            image = Image.new("RGB", FULL_SIZE, left)
            image.paste(right, (FULL_SIZE[0] // 2, 0, *FULL_SIZE))
            image.save(path)
    write_calibration(tmp_path / "2000_01_01", CALIBRATION)
    return tmp_path


@pytest.fixture
def own_streets(streets, tmp_path):
    """A copy of the streets to damage."""
    return shutil.copytree(streets, tmp_path / "streets")


def lines(*frames_and_sides):
    return [SplitLine(DRIVE, frame, side) for frame, side in frames_and_sides]


def items_of(data, split, sources=ALL_SOURCES, **more):
    width, height = TRAINING_SIZE
    return make_items(data, split, sources, height, width, **more)


def refusal(call, *args, **more):
    with pytest.raises(InputError) as error:
        call(*args, **more)
    return str(error.value)


def epoch_with(flip, seed=0, index=0):
    return next(e for e in range(100) if draw_augmentation(seed, e, index).flip == flip)


def halves(image):
    """Colours in the middle of the left and the right half of [3, H, W]."""
    _, height, width = image.shape
    row = image[:, height // 2]
    return tuple(row[:, width // 4].tolist()), tuple(row[:, 3 * width // 4].tolist())


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("side", ["l", "r"])
def test_an_item_holds_its_neighbours_and_the_other_camera(side, flip, pictures):
    other = {"l": "r", "r": "l"}[side]
    item = items_of(pictures, lines((2, side))).item(epoch_with(flip), 0)
    expected = [color_of(frame, s) for frame, s in ((2, side), (1, side), (3, side), (2, other))]
    if flip:
        expected = [colors[::-1] for colors in expected]
    assert [halves(image) for image in (item["target"], *item["sources"])] == expected


def test_sources_come_in_the_order_asked_for(pictures):
    items = items_of(pictures, lines((2, "l"), (3, "r")), sources=("s", 1, -2))
    cameras = {"l": "image_02", "r": "image_03"}
    for index, frame, side, other in ((0, 2, "l", "r"), (1, 3, "r", "l")):
        expected = [(frame, side), (frame, other), (frame + 1, side), (frame - 2, side)]
        assert items.paths(index) == [
            pictures / DRIVE / cameras[s] / "data" / f"{f:010d}.png" for f, s in expected
        ]


def test_an_item_is_plain_named_arrays(pictures):
    items = items_of(pictures, lines((1, "l"), (2, "r")))
    item = items.item(epoch_with(flip=True, index=1), 1)
    width, height = TRAINING_SIZE
    assert {key: (value.shape, value.dtype.name) for key, value in item.items()} == {
        "target": ((3, height, width), "uint8"),
        "sources": ((3, 3, height, width), "uint8"),
        "K": ((3, 3), "float32"),
        "T_stereo": ((4, 4), "float32"),
        "color_jitter": ((8,), "float32"),
        "index": ((), "int64"),
    }
    assert item["index"] == 1
    assert items.name(1) == f"{DRIVE} 2 r"
    assert len(items) == 2


def test_images_are_resized_with_lanczos(streets):
    items = items_of(streets, lines((2, "l")), sources=(), augment=False, resize="lanczos")
    image = Image.open(items.paths(0)[0])
    assert image.size != TRAINING_SIZE
    expected = np.asarray(image.resize(TRAINING_SIZE, Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(items.item(0, 0)["target"], expected.transpose(2, 0, 1))


def test_without_augmentation_nothing_is_drawn(streets):
    items = items_of(streets, lines((2, "l")), augment=False)
    first = items.item(epoch_with(flip=False), 0)
    again = items.item(epoch_with(flip=True), 0)
    np.testing.assert_array_equal(first["color_jitter"], NO_JITTER)
    for key, value in first.items():
        np.testing.assert_array_equal(again[key], value)


def test_the_augmentation_is_the_items_own(streets):
    items = items_of(streets, lines((2, "l"), (3, "r")), seed=5)
    drawn = []
    for epoch in range(6):
        for index in range(2):
            draw = draw_augmentation(5, epoch, index)
            item = items.item(epoch, index)
            np.testing.assert_array_equal(item["color_jitter"], draw.color_jitter)
            assert (item["T_stereo"][0, 3] > 0) == (draw.flip == (index == 0))
            drawn.append(draw.flip)
    assert {True, False} == set(drawn)


@pytest.mark.parametrize("published", [False, True])
def test_a_flip_mirrors_images_and_a_calibrated_principal_point(published, streets):
    kind = "published" if published else "calibration"
    items = items_of(streets, lines((2, "l")), intrinsics_kind=kind)
    straight = items.item(epoch_with(flip=False), 0)
    flipped = items.item(epoch_with(flip=True), 0)
    for key in ("target", "sources"):
        np.testing.assert_array_equal(flipped[key], straight[key][..., ::-1])
        assert not np.array_equal(flipped[key], straight[key])
    expected = straight["K"].copy()
    if not published:
        expected[0, 2] = TRAINING_SIZE[0] - 1 - expected[0, 2]
        assert abs(expected[0, 2] - straight["K"][0, 2]) > 0.1
    np.testing.assert_allclose(flipped["K"], expected, rtol=1e-6)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("side", ["l", "r"])
def test_the_camera_sees_a_point_where_the_resized_image_shows_it(side, flip, pictures):
    full = read_calibration(pictures / "2000_01_01").projection[side][:, :3]
    items = items_of(pictures, lines((2, "l"), (2, "r")))
    index = "lr".index(side)
    K = items.item(epoch_with(flip, index=index), index)["K"]
    points = np.random.default_rng(0).uniform((-2, -1, 4), (2, 1, 20), (10, 3))
    u, v, depth = full @ points.T
    # Resizing keeps the borders of the image, half a pixel outside the centres of its pixels.
    (full_width, full_height), (width, height) = FULL_SIZE, TRAINING_SIZE
    x = (u / depth + 0.5) * width / full_width - 0.5
    y = (v / depth + 0.5) * height / full_height - 0.5
    if flip:
        x, points = width - 1 - x, points * [-1, 1, 1]
    u, v, depth = K @ points.T
    np.testing.assert_allclose([u / depth, v / depth], [x, y], atol=1e-4)


@pytest.mark.parametrize(
    ("side", "flip", "x"),
    [("l", False, -0.1), ("l", True, 0.1), ("r", False, 0.1), ("r", True, -0.1)],
)
def test_stereo_pose(side, flip, x):
    expected = np.eye(4)
    expected[0, 3] = x
    np.testing.assert_allclose(stereo_pose(side, flip), expected)


def best_shift(target, source):
    """Pixels to the right by which ``source`` shows the street that ``target`` does."""
    target, source = (image[:, 20:].astype(float) for image in (target, source))
    reach = 10
    middle = target[..., reach:-reach]
    width = middle.shape[-1]
    errors = {
        shift: np.abs(source[..., reach + shift : reach + shift + width] - middle).mean()
        for shift in range(-reach, reach + 1)
    }
    return min(errors, key=errors.get)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("side", ["l", "r"])
def test_the_stereo_pose_moves_points_as_the_images_do(side, flip, streets):
    items = make_items(streets, lines((2, side)), ("s",), height=64, width=160)
    item = items.item(epoch_with(flip), 0)
    shift = best_shift(item["target"], item["sources"][0])
    assert abs(shift) >= 2
    assert np.sign(shift) == np.sign(item["T_stereo"][0, 3])


def test_a_days_missing_calibration_is_said_once(pictures, caplog):
    day = pictures / "2000_01_01"
    (day / "calib_cam_to_cam.txt").unlink()
    with caplog.at_level(logging.WARNING):
        items = items_of(pictures, lines((2, "l"), (2, "r"), (3, "l")))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(day) in caplog.text
    assert "published intrinsics" in caplog.text
    K = [[0.58 * 64, 0, 32], [0, 1.92 * 32, 16], [0, 0, 1]]
    for flip in (False, True):
        np.testing.assert_allclose(items.item(epoch_with(flip), 0)["K"], K, rtol=1e-6)


def test_published_intrinsics_can_be_asked_for(pictures, caplog):
    with caplog.at_level(logging.WARNING):
        items = items_of(pictures, lines((2, "l")), intrinsics_kind="published")
    assert not caplog.records
    np.testing.assert_allclose(items.item(0, 0)["K"][:2, 2], [32, 16])


def test_metres_follow_the_calibrated_stereo_pair(pictures):
    # The cameras of the file are 0.06 + 0.48 m apart; then bring them to 0.06 + 0.06 m.
    assert items_of(pictures, lines((2, "l"))).baseline_metres == pytest.approx(0.54)
    near = CALIBRATION["P_rect_03"].replace("-36", "-4.5")
    write_calibration(pictures / "2000_01_01", {**CALIBRATION, "P_rect_03": near})
    assert items_of(pictures, lines((2, "l"))).baseline_metres == pytest.approx(0.12)
    assert items_of(pictures, lines((2, "l")), sources=(-1, 1)).baseline_metres == 0.54


@pytest.mark.parametrize(
    ("frame", "side", "missing"),
    [(1, "l", (0, "l")), (1, "r", (2, "r")), (1, "l", (1, "r")), (1, "l", (1, "l"))],
)
def test_a_missing_frame_is_named(frame, side, missing, pictures):
    path = frame_path(pictures, DRIVE, *missing, "png")
    path.unlink()
    message = refusal(items_of, pictures, lines((frame, side), (3, side)))
    assert message.startswith(f"{path}: no such image")


def test_missing_frames_are_counted(pictures):
    message = refusal(items_of, pictures, lines((0, "l"), (4, "l"), (4, "r")))
    first, *others = (
        frame_path(pictures, DRIVE, frame, side, "png")
        for frame, side in ((-1, "l"), (5, "l"), (5, "r"))
    )
    assert message.startswith(f"{first} and 2 more ({others[0]}, {others[1]}): no such image")


def test_a_missing_camera_is_named(pictures):
    shutil.rmtree(pictures / DRIVE / "image_03")
    path = frame_path(pictures, DRIVE, 2, "r", "png")
    assert str(path) in refusal(items_of, pictures, lines((2, "l")))
    (pictures / "2000_01_01" / "calib_cam_to_cam.txt").unlink()
    message = refusal(items_of, pictures, lines((2, "l"), (2, "r")))
    assert str(path.parent) in message


def test_frames_that_no_item_needs_may_be_missing(pictures):
    for frame in (0, 4):
        frame_path(pictures, DRIVE, frame, "l", "png").unlink()
    frame_path(pictures, DRIVE, 3, "r", "png").unlink()
    items = items_of(pictures, lines((2, "l")))
    assert items.item(0, 0)["sources"].shape[0] == 3


@pytest.mark.parametrize("key", ["P_rect_02", "P_rect_03", "S_rect_02"])
def test_a_missing_calibration_key_is_named(key, pictures):
    day = pictures / "2000_01_01"
    write_calibration(day, {name: text for name, text in CALIBRATION.items() if name != key})
    message = refusal(items_of, pictures, lines((2, "l")))
    assert str(day / "calib_cam_to_cam.txt") in message
    assert key in message


@pytest.mark.parametrize("which", [0, 1, 3])
def test_a_truncated_jpeg_is_named(which, own_streets):
    items = items_of(own_streets, lines((1, "l"), (3, "l")))
    path = items.paths(0)[which]
    path.write_bytes(path.read_bytes()[:-400])
    assert refusal(items.item, 0, 0).startswith(f"{path}: ")
    items.item(0, 1)  # another item does not suffer


@pytest.mark.parametrize("which", [0, 2, 3])
def test_an_image_of_another_size_is_named(which, pictures):
    items = items_of(pictures, lines((2, "r")))
    path = items.paths(0)[which]
    Image.new("RGB", (90, 48)).save(path)
    message = refusal(items.item, 0, 0)
    assert message.startswith(f"{path}: ")
    assert "90x48" in message
    assert "96x48" in message


def test_a_drive_without_calibration_has_the_size_of_its_first_image(pictures):
    (pictures / "2000_01_01" / "calib_cam_to_cam.txt").unlink()
    path = frame_path(pictures, DRIVE, 3, "l", "png")
    Image.new("RGB", (90, 48)).save(path)
    items = items_of(pictures, lines((1, "l"), (3, "l")), sources=())
    items.item(0, 0)
    assert "90x48, but its drive's camera has 96x48" in refusal(items.item, 0, 1)


def test_png_is_found_by_itself_and_jpg_comes_first(own_streets):
    split = load_split(str(own_streets / "splits"), "val")
    expected = items_of(own_streets, split).item(0, 3)
    for path in own_streets.rglob("*.jpg"):
        Image.open(path).save(path.with_suffix(".png"))  # the very same pixels
    assert set(items_of(own_streets, split).extensions.values()) == {"jpg"}
    assert set(items_of(own_streets, split, png=True).extensions.values()) == {"png"}
    for path in own_streets.rglob("*.jpg"):
        path.unlink()
    items = items_of(own_streets, split)
    assert set(items.extensions.values()) == {"png"}
    for key, value in items.item(0, 3).items():
        np.testing.assert_array_equal(value, expected[key])


def test_drives_of_png_and_of_jpg_train_together(pictures):
    jpg = DRIVE.replace("0001", "0002")
    for side, extension in (("l", "JPG"), ("r", "jpeg")):
        for frame in range(5):
            path = frame_path(pictures, jpg, frame, side, extension)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.open(frame_path(pictures, DRIVE, frame, side, "png")).save(path, "jpeg")
    items = items_of(pictures, [*lines((2, "l")), SplitLine(jpg, 2, "l"), SplitLine(jpg, 3, "r")])
    endings = [[path.suffix for path in items.paths(index)] for index in range(3)]
    assert endings == [
        [".png"] * 4,
        [".JPG", ".JPG", ".JPG", ".jpeg"],
        [".jpeg", ".jpeg", ".jpeg", ".JPG"],
    ]
    assert all(items.item(0, index)["sources"].shape[0] == 3 for index in range(3))


@pytest.fixture
def resized(pictures):
    """The pictures, made smaller: 96x48 becomes 62x31."""
    for path in pictures.rglob("*.png"):
        Image.open(path).resize((62, 31)).save(path)
    return pictures


def test_a_resized_copy_trains_with_the_calibration_of_the_original(pictures, caplog):
    expected = items_of(pictures, lines((2, "l"), (3, "r")))
    expected = [expected.item(0, index)["K"] for index in range(2)]
    for path in pictures.rglob("*.png"):
        Image.open(path).resize((62, 31)).save(path)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):  # as training and validation do
            items = items_of(pictures, lines((2, "l"), (3, "r")))
    for index in range(2):
        np.testing.assert_array_equal(items.item(0, index)["K"], expected[index])
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "62x31 whose calibration is of 96x48" in caplog.text


def test_a_frame_of_another_size_in_a_resized_copy_is_refused(resized):
    items = items_of(resized, lines((1, "l"), (3, "l")))
    path = frame_path(resized, DRIVE, 2, "l", "png")
    Image.new("RGB", FULL_SIZE).save(path)
    message = refusal(items.item, 0, 0)
    assert message.startswith(f"{path}: is 96x48, but its drive's camera has 62x31")


def test_cropped_frames_are_refused_before_training(pictures):
    for path in pictures.rglob("*.png"):
        Image.open(path).crop((0, 0, 96, 45)).save(path)
    message = refusal(items_of, pictures, lines((2, "l")))
    assert "96x45" in message
    assert "96x48: another shape" in message
    items_of(pictures, lines((2, "l")), intrinsics_kind="published").item(0, 0)


@pytest.fixture(scope="module")
def draws():
    return [draw_augmentation(seed=3, epoch=5, index=index) for index in range(COUNT)]


def numbers(draw):
    return (draw.flip, *draw.color_jitter.tolist())


def share(values):
    return np.mean(list(values))


# Four standard deviations of a fair coin's share of heads.
FAIR = pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(COUNT))


def test_a_draw_depends_on_seed_epoch_and_index_alone(draws):
    np.random.seed(1)
    for index in reversed(range(0, COUNT, 97)):
        draw_augmentation(4, 5, index)
        assert numbers(draw_augmentation(3, 5, index)) == numbers(draws[index])
    state = np.random.get_state()[1]
    draw_augmentation(3, 5, 0)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_seed_epoch_and_index_each_give_other_draws():
    def series(*keys):
        return tuple(numbers(draw_augmentation(*key)) for key in keys)

    count = range(30)
    all_series = {
        series(*((0, 0, i) for i in count)),
        series(*((1, 0, i) for i in count)),
        series(*((0, 1, i) for i in count)),
        series(*((0, i, 0) for i in count)),
        series(*((i, 0, 0) for i in count)),
    }
    assert len(all_series) == 5


def test_half_of_the_items_are_flipped_and_half_jittered(draws):
    assert share(draw.flip for draw in draws) == FAIR
    jittered = [not np.array_equal(draw.color_jitter, NO_JITTER) for draw in draws]
    assert share(jittered) == FAIR
    # One does not go with the other.
    assert share(draw.flip == jitter for draw, jitter in zip(draws, jittered)) == FAIR


def test_an_item_is_flipped_in_half_of_the_epochs():
    assert share(draw_augmentation(0, epoch, 7).flip for epoch in range(COUNT)) == FAIR


def test_factors_fill_their_published_ranges(draws):
    values = np.array([draw.color_jitter for draw in draws])
    assert values.dtype == np.float32
    values = values[(values != NO_JITTER).any(axis=1), :4]
    low, high = np.array([0.8, 0.8, 0.8, -0.1]), np.array([1.2, 1.2, 1.2, 0.1])
    assert (values >= low - 1e-6).all()
    assert (values <= high + 1e-6).all()
    # The largest and smallest of so many lie near the ends, and the mean in the middle.
    assert (values.min(axis=0) < low + 0.01 * (high - low)).all()
    assert (values.max(axis=0) > high - 0.01 * (high - low)).all()
    np.testing.assert_allclose(values.mean(axis=0), [1, 1, 1, 0], atol=0.02)
    correlation = np.corrcoef(values.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.1


def test_every_order_of_the_adjustments_is_as_likely(draws):
    jittered = [d.color_jitter for d in draws if not np.array_equal(d.color_jitter, NO_JITTER)]
    orders = Counter(tuple(jitter[4:].astype(int).tolist()) for jitter in jittered)
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len(orders) == 24
    expected = len(jittered) / 24
    assert max(abs(count - expected) for count in orders.values()) < 5 * np.sqrt(expected)


def test_without_jitter_the_parameters_are_neutral(draws):
    assert NO_JITTER.tolist() == [1, 1, 1, 0, 0, 1, 2, 3]
    assert any(np.array_equal(draw.color_jitter, NO_JITTER) for draw in draws)
    assert all(draw.color_jitter.shape == (8,) for draw in draws)
