"""Predicting pictures: what is read, what is written, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import demo
from datasets.conventions import STEREO
from datasets.pictures import read_picture
from networks.monodepth import Architecture
from prediction.depth_map import DepthMap, ScaleShift
from prediction.inputs import find_inputs
from prediction.pictures import encode_depth
from prediction.predictor import DepthPredictor
from system.errors import InputError
from weight_files.model_info import ModelInfo

HEIGHT, WIDTH = 32, 64
MIN_DEPTH, MAX_DEPTH = 0.1, 100.0


class StubPredictor:
    """Sees the red channel as sigmoid disparity."""

    metric = True
    engine = SimpleNamespace(name="stub")

    def __init__(self):
        sources = (STEREO,) if self.metric else (-1, 1)
        self.info = ModelInfo(Architecture(source_ids=sources), HEIGHT, WIDTH, name="stub")

    def disparity(self, images):
        assert images.dtype == np.uint8
        assert images.shape[1:] == (HEIGHT, WIDTH, 3)
        return images[..., 0].astype(np.float32) / 255


class RelativeStub(StubPredictor):
    metric = False


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(DepthPredictor, "from_folder", lambda *_: DepthPredictor(StubPredictor()))


@pytest.fixture
def relative_stub(monkeypatch):
    monkeypatch.setattr(DepthPredictor, "from_folder", lambda *_: DepthPredictor(RelativeStub()))


def save(path, red=51, size=(100, 40), **how):
    Image.new("RGB", size, (red, 0, 0)).save(path, **how)
    return path


def run(image_path, *more):
    demo.main(["--image_path", str(image_path), "--load_weights_folder", "weights", *more])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def scaled(sigmoid):
    return 1 / MAX_DEPTH + (1 / MIN_DEPTH - 1 / MAX_DEPTH) * sigmoid


def test_a_metric_model_writes_disparity_and_depth_at_the_pictures_size(tmp_path, stub):
    run(save(tmp_path / "street.png"))
    assert names(tmp_path) == [
        "street.png",
        "street_depth.png",
        "street_disp.jpeg",
        "street_disp.json",
        "street_disp.npy",
    ]
    disparity = np.load(tmp_path / "street_disp.npy", allow_pickle=False)
    assert disparity.shape == (40, 100)
    assert disparity.dtype == np.float32
    np.testing.assert_allclose(disparity, scaled(0.2), rtol=1e-6)
    assert Image.open(tmp_path / "street_disp.jpeg").size == (100, 40)
    depth = Image.open(tmp_path / "street_depth.png")
    assert depth.size == (100, 40)
    assert depth.mode.startswith("I")
    # sigmoid 0.2 -> scaled disparity 2.008 -> 0.498 model units -> times 5.4 -> 2.689 m
    assert (np.asarray(depth) == round(5.4 / scaled(0.2) * 1000)).all()
    assert depth.text["unit"] == "millimetres"
    assert depth.text["saturated_pixels"] == "0"
    description = json.loads((tmp_path / "street_disp.json").read_text())
    assert description["model"] == "stub"
    assert description["unit"] == "millimetres"
    assert (description["width"], description["height"]) == (100, 40)
    assert description["metres_per_model_unit"] == pytest.approx(5.4)


def test_the_kitti_unit_is_a_256th_of_a_metre(tmp_path, stub):
    run(save(tmp_path / "street.png"), "--depth_unit", "kitti")
    depth = Image.open(tmp_path / "street_depth.png")
    assert (np.asarray(depth) == round(5.4 / scaled(0.2) * 256)).all()
    assert depth.text["unit"] == "kitti"


def test_depth_beyond_16_bits_saturates_and_says_so(tmp_path, stub):
    run(save(tmp_path / "sky.png", red=0))  # 540 m
    depth = Image.open(tmp_path / "sky_depth.png")
    assert (np.asarray(depth) == 65535).all()
    assert depth.text["saturated_pixels"] == "4000"
    assert "65535 means 65.535 m or farther" in depth.text["depth_picture"]


def test_depth_is_never_zero():
    steps, saturated = encode_depth(np.array([[0.0001, 1.0, 65.535, 65.536]]), "millimetres")
    assert steps.dtype == np.uint16
    assert steps.tolist() == [[1, 1000, 65535, 65535]]
    assert saturated == 1


def test_a_relative_model_writes_no_metric_depth(tmp_path, relative_stub):
    run(save(tmp_path / "street.png"))
    assert "street_depth.png" not in names(tmp_path)
    description = json.loads((tmp_path / "street_disp.json").read_text())
    assert description["unit"] == "relative"
    assert "metres_per_model_unit" not in description


def test_metric_depth_of_a_relative_model_is_refused(tmp_path, relative_stub):
    with pytest.raises(InputError, match=r"--pred_metric_depth.*no unit"):
        run(save(tmp_path / "street.png"), "--pred_metric_depth")
    assert names(tmp_path) == ["street.png"]


def test_metric_depth_is_written_in_metres(tmp_path, stub):
    run(save(tmp_path / "street.png"), "--pred_metric_depth")
    depth = np.load(tmp_path / "street_depth.npy", allow_pickle=False)
    np.testing.assert_allclose(depth, 5.4 / scaled(0.2), rtol=1e-6)


def test_depth_is_the_inverse_of_scale_times_disparity_plus_shift():
    disparity = np.array([[0.5, 0.0]], np.float32)
    assert DepthMap(disparity).depth.tolist() == [[2, np.inf]]
    assert DepthMap(disparity, "m", ScaleShift(0.1)).depth[0, 0] == pytest.approx(20)
    assert DepthMap(disparity, "m", ScaleShift(0.1, 0.05)).depth.tolist() == [[10, 20]]
    assert DepthMap(disparity, "m", ScaleShift(1.0, -0.5)).depth.tolist() == [[np.inf, np.inf]]


def test_disparity_keeps_left_right_top_and_bottom():
    picture = np.zeros((80, 200, 3), np.uint8)
    picture[:40, 100:] = 255
    disparity = DepthPredictor(StubPredictor())(picture).disparity
    assert disparity.shape == (80, 200)
    assert disparity[5, 190] == pytest.approx(1 / MIN_DEPTH, rel=1e-3)
    for row, column in ((5, 10), (75, 10), (75, 190)):
        assert disparity[row, column] == pytest.approx(1 / MAX_DEPTH, rel=0.1)


def test_disparity_is_interpolated_between_the_networks_pixels():
    picture = np.zeros((HEIGHT, 10 * WIDTH, 3), np.uint8)
    picture[:] = np.linspace(0, 255, 10 * WIDTH)[None, :, None]
    row = DepthPredictor(StubPredictor())(picture).disparity[0]
    assert (np.diff(row) >= 0).all()
    assert np.diff(row).max() < 0.2 * (row.max() - row.min()) / WIDTH


def test_exif_orientation_is_obeyed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    path = save(tmp_path / "phone.jpg", size=(100, 40), exif=exif)
    assert read_picture(path).shape == (100, 40, 3)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_kinds_of_picture_become_rgb(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new(mode, (8, 6)).save(path)
    picture = read_picture(path)
    assert (picture.shape, picture.dtype) == ((6, 8, 3), np.uint8)


def test_outputs_go_to_the_folder_asked_for(tmp_path, stub):
    (tmp_path / "in").mkdir()
    run(save(tmp_path / "in" / "a.jpg"), "--output", str(tmp_path / "new" / "out"))
    assert names(tmp_path / "in") == ["a.jpg"]
    assert "a_disp.npy" in names(tmp_path / "new" / "out")


def test_an_output_folder_that_cannot_be_made_is_refused(tmp_path, stub):
    picture = save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="--output"):
        run(picture, "--output", str(picture / "out"))


def test_a_folder_is_done_twice_without_taking_outputs_for_pictures(tmp_path, stub):
    for name in ("b.jpeg", "a.JPEG"):
        save(tmp_path / name)
    save(tmp_path / "c.png")
    run(tmp_path, "--ext", "jpeg")
    first = names(tmp_path)
    run(tmp_path, "--ext", ".jpeg")
    assert names(tmp_path) == first
    assert len(first) == 3 + 2 * 4
    assert [path.name for path in find_inputs([tmp_path], "png")] == ["c.png"]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_damaged_picture_is_named(tmp_path, stub, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.png: cannot be read as a picture"):
        run(path)
    assert names(tmp_path) == ["broken.png"]


def test_a_truncated_picture_is_named(tmp_path):
    path = tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(InputError, match=r"cut\.jpg"):
        read_picture(path)


def test_the_sound_pictures_of_a_folder_are_done_and_the_damaged_ones_reported(tmp_path, stub):
    for name in ("a.jpg", "c.jpg"):
        save(tmp_path / name)
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"b\.jpg") as caught:
        run(tmp_path)
    assert "a.jpg" not in str(caught.value)
    written = names(tmp_path)
    assert "a_disp.npy" in written
    assert "c_disp.npy" in written
    assert "b_disp.npy" not in written


def test_pictures_that_would_write_the_same_files_are_refused(tmp_path, stub):
    for name in ("a.jpg", "b.jpg", "b.JPG"):
        save(tmp_path / name)
    if len(names(tmp_path)) < 3:
        pytest.skip("this file system takes b.jpg and b.JPG for one file")
    with pytest.raises(InputError, match=r"b\.JPG and b\.jpg: .*rename one"):
        run(tmp_path)
    assert names(tmp_path) == ["a.jpg", "b.JPG", "b.jpg"]


def test_a_path_without_pictures_is_refused(tmp_path, stub):
    with pytest.raises(InputError, match="no such file or folder"):
        run(tmp_path / "nowhere")
    with pytest.raises(InputError, match="--ext png"):
        run(tmp_path)


def test_the_command_exits_with_code_2_on_a_missing_picture(tmp_path):
    command = [sys.executable, "demo.py", "--load_weights_folder", "w", "--image_path", "nowhere"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: --image_path nowhere")
