"""Every command sees the same pixels of a picture, however it is stored."""

from __future__ import annotations

import ast
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets import prepare
from datasets.depth_files import METRES
from datasets.frames import FrameFiles, resize_image
from datasets.rgbd import Pair
from datasets.rgbd_items import RgbdItems
from evaluation.protocols import image_batches
from networks.kinds import MIDAS_SMALL
from networks.monodepth import Architecture
from prediction.depth_map import network_input
from prediction.graph import FEWEST, calibration_images
from prediction.predictor import DepthPredictor, Predictor, as_array
from system.errors import InputError
from tests.architecture import ROOT, source_files
from web.jobs import Jobs
from weight_files.model_info import ModelInfo

SIZE = WIDTH, HEIGHT = 96, 64
INFO = ModelInfo(Architecture(), 32, 64, name="stub")
MIDAS = ModelInfo(Architecture(), 64, 64, name="stub", kind=MIDAS_SMALL)


class Engine:
    """Keeps what it is given."""

    name, many, at_once = "stub", None, 1

    def disparity(self, images):
        self.given = images
        return images[..., 0].astype(np.float32) / 255


@pytest.fixture(scope="module")
def grey():
    """Structure at several sizes, uint8 [H, W]."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    return np.uint8(127 + 60 * np.sin(x / 7 + y / 3) + 60 * np.cos(x * y / 90))


@pytest.fixture(scope="module")
def rgb(grey):
    return np.repeat(grey[..., None], 3, axis=2)


def turned(pixels, path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(path, exif=exif)


def palette(grey):
    image = Image.fromarray(grey).convert("P")
    image.putpalette(bytes(np.repeat(np.arange(256, dtype=np.uint8), 3)))
    return image


def with_opacity(grey, path):
    Image.fromarray(np.dstack([grey, np.full_like(grey, 255)])).save(path)


FORMS = {
    "16.png": lambda grey, path: Image.fromarray(grey.astype(np.uint16) * 257).save(path),
    "upper.png": lambda grey, path: Image.fromarray(grey.astype(np.uint16) * 256).save(path),
    "16.tif": lambda grey, path: Image.fromarray(grey.astype(np.uint16) * 257).save(path),
    "colour.png": lambda grey, path: cv2.imwrite(
        str(path), np.repeat(grey.astype(np.uint16)[..., None] * 257, 3, axis=2)
    ),
    "colour.tif": lambda grey, path: cv2.imwrite(
        str(path), np.repeat(grey.astype(np.uint16)[..., None] * 257, 3, axis=2)
    ),
    "fractions.tif": lambda grey, path: Image.fromarray(grey.astype(np.float32)).save(path),
    "turned.png": turned,
    "turned.tif": turned,
    "turned16.png": lambda grey, path: turned(grey.astype(np.uint16) * 257, path),
    "opaque.png": with_opacity,
    "palette.png": lambda grey, path: palette(grey).save(path),
    "a.gif": lambda grey, path: palette(grey).save(path),
    "a.bmp": lambda grey, path: Image.fromarray(grey).save(path),
    "a.webp": lambda grey, path: Image.fromarray(grey).convert("RGB").save(path, lossless=True),
    "pages.tif": lambda grey, path: Image.fromarray(grey).save(
        path, save_all=True, append_images=[Image.new("L", SIZE)]
    ),
}


def frame_of_training(path, rgb):
    expected = resize_image(rgb, 32, 48, "area").transpose(2, 0, 1)
    return FrameFiles(32, 48).read(path, SIZE), expected


def item_with_depth(path, rgb):
    depth = path.with_name("depth.npy")
    np.save(depth, np.ones((HEIGHT, WIDTH), np.float32))
    items = RgbdItems([Pair(path, depth)], METRES, HEIGHT, WIDTH, augment=False)
    return items.item(0, 0)["image"], rgb.transpose(2, 0, 1)


def measuring(path, rgb):
    expected = np.asarray(Image.fromarray(rgb).resize((64, 32), Image.Resampling.LANCZOS))
    return next(image_batches([path], 64, 32, 1, 0))[0], expected


def preparing(path, rgb):
    return next(prepare.Footage(path.parent).frames()), rgb


def prediction(path, rgb):
    return as_array(path), rgb


def pillow_image(path, rgb):
    with Image.open(path) as image:
        return as_array(image), rgb


def given_to_the_network(path, rgb):
    engine = Engine()
    DepthPredictor(Predictor(engine, INFO))(path)
    return engine.given[0], network_input(INFO, rgb)


def calibration(path, rgb):
    for number in range(FEWEST - 1):
        (path.parent / f"more{number}{path.suffix}").write_bytes(path.read_bytes())
    return np.stack(calibration_images(path.parent, MIDAS)), np.stack([network_input(MIDAS, rgb)])


def page(path, rgb):
    engine = Engine()
    jobs = Jobs({"stub": DepthPredictor(Predictor(engine, INFO))}, path.parent)
    jobs.picture(str(path), "stub", "inferno", "en")
    return engine.given[0], network_input(INFO, rgb)


DOORS = (
    *(frame_of_training, item_with_depth, measuring, preparing, prediction, pillow_image),
    *(given_to_the_network, calibration, page),
)


@pytest.mark.parametrize("door", DOORS)
def test_every_command_sees_the_pixels_of_the_plain_picture(door, grey, rgb, tmp_path):
    for name, save in FORMS.items():
        folder = tmp_path / name
        folder.mkdir()
        save(grey, folder / name)
        got, expected = door(folder / name, rgb)
        np.testing.assert_array_equal(got, np.broadcast_to(expected, got.shape), err_msg=name)


@pytest.mark.parametrize("door", DOORS)
def test_what_is_transparent_is_white_to_every_command(door, tmp_path):
    Image.new("RGBA", SIZE, (9, 9, 9, 0)).save(tmp_path / "a.png")
    got, _ = door(tmp_path / "a.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    assert (got == 255).all()


@pytest.mark.parametrize("door", [door for door in DOORS if door not in (pillow_image, page)])
@pytest.mark.parametrize("kind", ["fractions", "few bits"])
def test_numbers_that_are_not_clear_are_refused_by_every_command(door, kind, rgb, tmp_path):
    values = rgb[..., 0] / np.float32(255) if kind == "fractions" else rgb[..., 0].astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"\.tif: cannot be read as a picture"):
        door(tmp_path / "a.tif", rgb)


# What opens pictures beside the one reader.
OTHERS = {
    "datasets/depth_files.py",  # depth is no picture: it keeps its numbers
    "benchmarks/loader.py",  # stands for the published loader
}
DECODERS = {"Image.open", "cv2.imread", "cv2.imdecode", "cv2.imreadmulti"}


def test_no_other_module_decodes_pictures():
    found = set()
    for path in source_files().values():
        text = path.read_text(encoding="utf-8")
        if not any(name in text for name in DECODERS):
            continue
        tree = ast.parse(text)
        calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        if calls & DECODERS:
            found.add(path.relative_to(ROOT).as_posix())
    assert found - OTHERS == {"datasets/pictures.py"}
    assert Path(ROOT / "datasets" / "pictures.py").read_text().count("Image.open(") == 1
