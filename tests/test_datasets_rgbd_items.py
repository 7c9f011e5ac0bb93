"""Items of pictures with depth: drawn from (seed, epoch, index) alone, true to their pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from datasets.items import draw_augmentation
from datasets.loader import Loader
from datasets.rgbd import HELD_OUT, DepthNote, find_pairs, find_part
from datasets.rgbd_items import MixedItems, RgbdItems, draw_window, resize_depth
from system.errors import InputError


def write_pairs(folder, count, size=(96, 64), name="", shift=0.0):
    """Pairs whose picture shows their depth: 1 m is a grey level of 10."""
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    u, v = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    for number in range(count):
        depth = (1 + number + shift + u / size[0] + v / size[1]).astype(np.float32)
        grey = np.repeat(np.rint(10 * depth).astype(np.uint8)[..., None], 3, axis=2)
        Image.fromarray(grey).save(folder / "rgb" / f"{name}{number:03d}.png")
        np.save(folder / "depth" / f"{name}{number:03d}.npy", depth)
    return folder


def items_of(folder, part="train", height=64, width=64, **more):
    found = find_part(folder, part, seed=0)
    return RgbdItems(found.pairs, found.note, height, width, **more)


def assert_same(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        np.testing.assert_array_equal(value, b[key])


@pytest.fixture
def folder(tmp_path):
    return write_pairs(tmp_path / "data", 20)


def test_picture_and_depth_of_an_item_stay_together(folder):
    items = items_of(folder, zoom=1.5)
    for epoch in range(4):
        item = items.item(epoch, 3)
        assert (item["image"].shape, item["depth"].shape) == ((3, 64, 64), (64, 64))
        assert (item["image"].dtype, item["depth"].dtype) == (np.uint8, np.float32)
        assert np.abs(item["image"][0] - 10 * item["depth"]).max() <= 1.5


def test_every_second_item_is_mirrored_and_jittered_as_frames_are(folder):
    items = items_of(folder, seed=5)
    for index in range(len(items)):
        item, draw = items.item(2, index), draw_augmentation(5, 2, index)
        mirrored = item["depth"][0, 0] > item["depth"][0, -1]  # depth grows to the right
        assert mirrored == draw.flip
        np.testing.assert_array_equal(item["color_jitter"], draw.color_jitter)


def test_an_item_follows_from_seed_epoch_and_index(folder):
    first, again = items_of(folder, zoom=1.5), items_of(folder, zoom=1.5)
    assert_same(first.item(1, 4), again.item(1, 4))
    for other in (again.item(2, 4), items_of(folder, zoom=1.5, seed=1).item(1, 4)):
        assert (other["depth"].shape != first.item(1, 4)["depth"].shape) or (
            other["depth"] != first.item(1, 4)["depth"]
        ).any()


def test_validation_sees_the_middle_as_it_is(folder):
    item = items_of(folder, "val", augment=False).item(0, 0)
    assert_same(item, items_of(folder, "val", augment=False).item(7, 0))
    stored = np.load(items_of(folder, "val").pairs[0].depth)
    np.testing.assert_array_equal(item["depth"], stored[:, 16:80])


@pytest.mark.parametrize("size", [(640, 480), (100, 300), (64, 64), (50, 40)])
@pytest.mark.parametrize("wanted", [(64, 64), (128, 96)])
def test_a_window_lies_in_the_picture_and_keeps_the_aspect_ratio(size, wanted):
    for rng in (None, *(np.random.default_rng(seed) for seed in range(20))):
        window = draw_window(size, wanted, 1.5, rng)
        assert 0 <= window.left <= size[0] - window.width
        assert 0 <= window.top <= size[1] - window.height
        ratio = window.width / wanted[0] / (window.height / wanted[1])
        assert ratio == pytest.approx(1, abs=1.1 / min(window.width, window.height))


def test_unknown_depth_stays_unknown_and_is_not_mixed_in(tmp_path):
    folder = write_pairs(tmp_path, 2, size=(300, 200))
    for path in (folder / "depth").iterdir():
        depth = np.load(path)
        depth[::2] = 0
        np.save(path, depth)
    depth = items_of(folder, augment=False).item(0, 0)["depth"]
    known = depth > 0
    assert 0.3 < known.mean() < 0.7
    assert depth[known].min() >= 1


@pytest.mark.parametrize("factor", [2, 3, 4, 5, 1.5, 2.5, 0.5])
def test_picture_and_depth_are_on_one_grid(factor, tmp_path):
    """Ramps are where their depth is: exactly where the factor is whole."""
    size, level = 24, 4 if factor < 1 else 2  # grey levels between two pixels
    large = round(size * factor)
    ramp = np.repeat(level * np.arange(large, dtype=np.uint8)[None], large, axis=0)
    for kind in ("rgb", "depth"):
        (tmp_path / kind).mkdir()
    for name, grey in (("across", ramp), ("down", np.ascontiguousarray(ramp.T))):
        Image.fromarray(grey).save(tmp_path / "rgb" / f"{name}.png")
        np.save(tmp_path / "depth" / f"{name}.npy", 100 + grey.astype(np.float32))
    for pair in find_pairs(tmp_path):
        item = RgbdItems([pair], DepthNote(), size, size, augment=False).item(0, 0)
        shift = (item["depth"] - 100 - item["image"][0])[2:-2, 2:-2] / level / factor
        assert abs(shift.mean()) < 0.02
        assert np.abs(shift).max() <= (0 if factor in (2, 3, 4, 5) else 0.5)


@pytest.mark.parametrize(("large", "small"), [(64, 32), (96, 32), (128, 32), (45, 30), (20, 32)])
def test_depth_of_a_plane_is_that_of_the_pixel_centres(large, small):
    centres = (np.arange(small) + 0.5) * large / small - 0.5
    plane = 1000 + np.add.outer(2 * np.arange(large), np.arange(large)).astype(np.float32)
    off = resize_depth(plane, (small, small)) - (1000 + np.add.outer(2 * centres, centres))
    assert abs(off.mean()) < 1e-3
    assert np.abs(off).max() <= 3 * 0.5
    if large % small == 0:
        np.testing.assert_allclose(off, 0, atol=1e-3)


@pytest.mark.parametrize("large", [64, 96, 50])
def test_surfaces_are_not_mixed(large):
    depth = np.random.default_rng(0).choice([0, 2, 9], (large, large)).astype(np.float32)
    assert np.unique(resize_depth(depth, (32, 32))).tolist() == [0, 2, 9]


def test_parts_are_folders_where_there_are_some(tmp_path, caplog):
    write_pairs(tmp_path / "train", 3, name="t")
    write_pairs(tmp_path / "val", 2, name="v")
    (tmp_path / "depth.json").write_text(json.dumps({"kind": "depth", "metres_per_step": 0.5}))
    train, val = (find_part(tmp_path, part, 0) for part in ("train", "val"))
    assert [p.picture.stem for p in train.pairs] == ["t000", "t001", "t002"]
    assert [p.picture.stem for p in val.pairs] == ["v000", "v001"]
    assert train.note == val.note == DepthNote("depth", 0.5)  # said once, for both
    assert "no val folder" not in caplog.text


def test_without_parts_a_share_is_held_out_and_that_is_said(folder, caplog):
    caplog.set_level("INFO")
    train, val = (
        {pair.picture for pair in find_part(folder, part, 3).pairs} for part in ("train", "val")
    )
    assert not train & val
    assert len(train | val) == 20
    assert len(val) == HELD_OUT * 20
    assert "2 of its 20 pairs, drawn from --seed 3, are for validation" in caplog.text
    assert val != {pair.picture for pair in find_part(folder, "val", 4).pairs}


def test_what_is_wrong_with_the_data_is_named_before_training(folder, caplog):
    write_pairs(folder, 1, name="big", size=(128, 64))
    np.save(folder / "depth" / "big000.npy", np.ones((64, 127), np.float32))
    with pytest.raises(InputError) as caught:
        find_part(folder, "train", 0)
    for words in ("big000.npy: has 127x64", "big000.png has 128x64", "one size"):
        assert words in str(caught.value)
    (folder / "rgb" / "big000.png").unlink()
    with pytest.raises(InputError, match=r"no partner of the same name: .*big000\.npy"):
        find_part(folder, "train", 0)
    (folder / "depth" / "big000.npy").unlink()
    for path in (folder / "depth").iterdir():
        np.save(path, 1000 * np.load(path))
    find_part(folder, "train", 0)
    assert "it looks like millimetres" in caplog.text


def test_a_picture_turned_by_its_camera_fits_its_upright_depth(tmp_path):
    folder = write_pairs(tmp_path, 2, size=(64, 96))
    path = folder / "rgb" / "000.png"
    turned = Image.open(path).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(path, exif=exif)
    items = items_of(folder)
    assert all(items.item(0, index)["depth"].shape == (64, 64) for index in range(len(items)))


def test_a_damaged_file_is_named_when_it_is_read(folder):
    items = items_of(folder)
    items.pairs[0].picture.write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"00\d\.png: cannot be read"):
        items.item(0, 0)


@pytest.fixture
def sets(tmp_path):
    """Two data sets of 9 and 27 pairs; depth is beyond 100 m in the second."""
    near = items_of(write_pairs(tmp_path / "near", 10))
    far = items_of(write_pairs(tmp_path / "far", 30, shift=100))
    return near, far


def test_data_sets_are_mixed_by_their_shares(sets):
    mixed = MixedItems(sets, shares=(3, 1))
    assert len(mixed) == 36
    far = np.array([[mixed.item(e, i)["depth"].min() > 100 for i in range(36)] for e in range(20)])
    # 720 draws: three standard deviations are 0.048.
    assert far.mean() == pytest.approx(0.25, abs=0.05)
    assert (far[0] != far[1]).any()


def test_a_mixed_item_follows_from_epoch_and_index_for_any_worker(sets):
    mixed = MixedItems(sets, shares=(1, 1))
    order = [
        [batch["index"].tolist() for batch in Loader(mixed, 4, workers, True).batches(3, skip)]
        for workers, skip in ((0, 0), (0, 2))
    ]
    assert order[0][2:] == order[1]
    assert_same(mixed.item(3, 5), MixedItems(sets, shares=(2, 2)).item(3, 5))


def test_the_number_of_an_item_names_its_picture(sets):
    mixed = MixedItems(sets, shares=(1, 1))
    for index in range(12):
        item = mixed.item(0, index)
        far = item["depth"].min() > 100
        assert ("far" if far else "near") in mixed.name(int(item["index"]))


def test_validation_takes_every_item_once(sets):
    joined = MixedItems(sets)
    assert [int(joined.item(0, i)["index"]) for i in range(len(joined))] == list(range(36))
    assert joined.name(0) == sets[0].name(0)
    assert joined.name(9) == sets[1].name(0)
