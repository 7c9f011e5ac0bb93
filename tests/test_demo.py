"""Predicting pictures: what is read, what is written, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import demo
from datasets.conventions import STEREO
from datasets.depth_files import DepthNote, read_depth, stated_unit
from datasets.pictures import read_picture
from datasets.rgbd import find_part
from networks.monodepth import Architecture
from prediction.alignment import read_sparse_depth
from prediction.depth_map import PADDING, DepthMap, ScaleShift
from prediction.engines import Engine
from prediction.inputs import find_inputs
from prediction.outputs import new_recording
from prediction.pictures import encode_depth
from prediction.predictor import DepthPredictor, Predictor
from system.errors import InputError
from weight_files.model_info import ModelInfo

HEIGHT, WIDTH = 32, 64
MIN_DEPTH, MAX_DEPTH = 0.1, 100.0


def red_channel(images):
    """The red channel as sigmoid disparity."""
    assert images.dtype == np.uint8
    return images[..., 0].astype(np.float32) / 255


def stub_network(metric=True):
    sources = (STEREO,) if metric else (-1, 1)
    info = ModelInfo(Architecture(source_ids=sources), HEIGHT, WIDTH, name="stub")
    return Predictor(Engine("stub", red_channel), info)


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setattr(DepthPredictor, "from_folder", lambda *_: DepthPredictor(stub_network()))


@pytest.fixture
def relative_stub(monkeypatch):
    monkeypatch.setattr(
        DepthPredictor, "from_folder", lambda *_: DepthPredictor(stub_network(metric=False))
    )


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
    assert (np.asarray(depth) == round(5.4 / scaled(0.2) * 256)).all()
    assert depth.text["unit"] == "kitti"
    assert depth.text["saturated_pixels"] == "0"
    description = json.loads((tmp_path / "street_disp.json").read_text())
    assert description["model"] == "stub"
    assert description["unit"] == "kitti"
    assert description["metres_per_step"] == 1 / 256
    assert description["depth_picture"].startswith("whole numbers of 1/256 m;")
    assert (description["width"], description["height"]) == (100, 40)
    assert description["metres_per_model_unit"] == pytest.approx(5.4)


def test_roads_fit_into_the_picture_of_depth_and_the_last_line_says_its_unit(
    tmp_path, stub, caplog
):
    caplog.set_level("INFO")
    run(save(tmp_path / "far.png", red=1))  # 113.6 m: beyond what millimetres hold
    depth = Image.open(tmp_path / "far_depth.png")
    assert np.asarray(depth)[0, 0] / 256 == pytest.approx(5.4 / scaled(1 / 255), abs=1 / 256)
    assert depth.text["saturated_pixels"] == "0"
    assert "in steps of 1/256 m" in caplog.messages[-1]
    run(save(tmp_path / "far.png", red=1), "--depth_unit", "millimetres")
    assert "in steps of 1/1000 m" in caplog.messages[-1]


def test_the_last_line_tells_of_files_of_depth_where_there_are_any(tmp_path, stub, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "ride.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(2):
        writer.write(np.full((48, 64, 3), 90, np.uint8))
    writer.release()
    run(path)
    assert caplog.messages[-1].endswith(" (metres)")
    assert not list(tmp_path.rglob("*_depth*"))
    run(path, "--video_depth")
    assert "in steps of 1/256 m" in caplog.messages[-1]
    assert list(tmp_path.rglob("*_depth*"))


def test_millimetres_are_written_where_asked_for(tmp_path, stub):
    run(save(tmp_path / "street.png"), "--depth_unit", "millimetres")
    depth = Image.open(tmp_path / "street_depth.png")
    assert (np.asarray(depth) == round(5.4 / scaled(0.2) * 1000)).all()
    assert depth.text["unit"] == "millimetres"


@pytest.mark.parametrize("unit", ["kitti", "millimetres"])
@pytest.mark.parametrize("text", [True, False])
def test_what_is_written_is_read_in_its_unit(tmp_path, stub, unit, text):
    run(save(tmp_path / "street.png"), "--depth_unit", unit)
    path = tmp_path / "street_depth.png"
    if not text:  # another program wrote it anew
        Image.open(path).save(path)
    metres = 5.4 / scaled(0.2)
    points = read_sparse_depth(path, None, (40, 100))
    np.testing.assert_allclose(points[:, 2], metres, atol=1 / 256)
    np.testing.assert_allclose(read_depth(path, DepthNote()), metres, atol=1 / 256)
    # What a data set says of all its files comes first.
    assert read_depth(path, DepthNote("depth", 1.0)).min() > 100


def test_a_unit_that_contradicts_the_file_is_taken_and_said(tmp_path, stub, caplog):
    run(save(tmp_path / "street.png"))
    points = read_sparse_depth(tmp_path / "street_depth.png", "millimetres", (40, 100))
    assert points[0, 2] == round(256 * 5.4 / scaled(0.2)) / 1000
    assert "says itself that it is in the unit kitti" in caplog.text


def test_depth_of_other_programs_states_no_unit(tmp_path):
    Image.new("I;16", (4, 3), 500).save(tmp_path / "a_depth.png")
    assert stated_unit(tmp_path / "a_depth.png") is None
    for said in ("[]", '{"unit": ["kitti"]}', '{"unit": "furlongs"}', "{"):
        (tmp_path / "a_disp.json").write_text(said)
        assert stated_unit(tmp_path / "a_depth.png") is None
    with pytest.raises(InputError, match="unknown unit"):
        read_depth(tmp_path / "a_depth.png", DepthNote())


def test_predicted_depth_is_a_data_set_of_pairs(tmp_path, stub):
    for name in ("a", "b"):
        (tmp_path / "rgb").mkdir(exist_ok=True)
        save(tmp_path / "rgb" / f"{name}.png")
    run(tmp_path / "rgb", "--output", str(tmp_path / "depth"), "--no_arrays")
    part = find_part(tmp_path, "train", 0)
    assert [pair.depth.name for pair in part.pairs] in (["a_depth.png"], ["b_depth.png"])
    depth = read_depth(part.pairs[0].depth, part.note)
    np.testing.assert_allclose(depth, 5.4 / scaled(0.2), atol=1 / 256)


def test_arrays_can_be_switched_off(tmp_path, stub):
    run(save(tmp_path / "street.png"), "--no_arrays")
    assert names(tmp_path) == [
        "street.png",
        "street_depth.png",
        "street_disp.jpeg",
        "street_disp.json",
    ]
    with pytest.raises(InputError, match="--no_arrays: cannot go with --pred_metric_depth"):
        run(tmp_path / "street.png", "--no_arrays", "--pred_metric_depth")


def test_a_portrait_is_said_to_be_squeezed_once_and_padded_on_demand(tmp_path, stub, caplog):
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        save(tmp_path / "in" / f"{name}.png", size=(40, 80))
    save(tmp_path / "in" / "c.png", size=(100, 50))
    run(tmp_path / "in", "--output", str(tmp_path / "out"))
    (words,) = [m for m in caplog.messages if "--keep_aspect" in m]
    assert "a.png: pictures of 40x80 are brought to the model's 64x32" in words
    assert "4.0 times too wide" in words
    caplog.clear()
    run(tmp_path / "in", "--output", str(tmp_path / "out"), "--keep_aspect")
    assert "--keep_aspect" not in caplog.text


@pytest.mark.parametrize(("width", "height"), [(40, 80), (300, 50), (64, 32), (7, 500)])
def test_padding_keeps_shapes_and_is_cut_off_again(width, height):
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:] = np.linspace(40, 220, height)[:, None, None]
    picture[:, :, 1] = np.linspace(40, 220, width)[None].astype(np.uint8)
    predictor = DepthPredictor(stub_network(), keep_aspect=True)
    given = predictor.network_input(picture)
    assert given.shape == (HEIGHT, WIDTH, 3)
    inside = (given != PADDING).any(axis=2)
    rows, columns = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
    # As large as it goes, in the middle, of the picture's shape within half a pixel a side.
    assert len(rows) == HEIGHT or len(columns) == WIDTH
    assert abs(len(columns) - len(rows) * width / height) <= max(1, width / height)
    assert abs(rows[0] - (HEIGHT - 1 - rows[-1])) <= 1
    assert abs(columns[0] - (WIDTH - 1 - columns[-1])) <= 1
    # A ramp from the upper to the lower border comes out from border to border.
    seen = predictor(picture).disparity
    assert seen.shape == (height, width)
    expected = scaled(np.linspace(40, 220, height) / 255)
    cell = (scaled(220 / 255) - scaled(40 / 255)) / len(rows)
    np.testing.assert_allclose(seen[:, width // 2], expected, atol=1.01 * cell)


def test_a_circle_stays_one_with_padding_only():
    y, x = np.mgrid[:96, :32]
    disc = (((x - 15.5) ** 2 + (y - 47.5) ** 2) < 14**2).astype(np.uint8) * 255
    picture = np.repeat(disc[..., None], 3, axis=2)

    def shape_of_disc(keep_aspect):
        given = DepthPredictor(stub_network(), keep_aspect=keep_aspect).network_input(picture)
        bright = given[..., 0] > 128
        return bright.any(axis=0).sum() / bright.any(axis=1).sum()

    assert shape_of_disc(True) == pytest.approx(1, abs=0.15)
    assert shape_of_disc(False) == pytest.approx(6, rel=0.2)


def test_the_camera_of_a_picture_is_what_its_exif_says(tmp_path, stub):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    run(save(tmp_path / "a.jpg", size=(120, 90), exif=exif))
    about = json.loads((tmp_path / "a_disp.json").read_text())
    assert about["camera"].startswith("EXIF: a focal length of 26 mm for 35 mm film")
    assert about["K"][0][0] == pytest.approx(26 * 150 / np.hypot(36, 24), abs=1e-3)
    run(tmp_path / "a.jpg", "--fov", "50")
    about = json.loads((tmp_path / "a_disp.json").read_text())
    assert about["camera"] == "--fov"


def test_depth_beyond_16_bits_saturates_and_says_so(tmp_path, stub):
    run(save(tmp_path / "sky.png", red=0), "--depth_unit", "millimetres")  # 540 m
    depth = Image.open(tmp_path / "sky_depth.png")
    assert (np.asarray(depth) == 65535).all()
    assert depth.text["saturated_pixels"] == "4000"
    assert json.loads((tmp_path / "sky_disp.json").read_text())["saturated_pixels"] == 4000
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
    assert DepthMap(np.array([[-0.0, np.nan]], np.float32)).depth.tolist() == [[np.inf, np.inf]]


def test_disparity_keeps_left_right_top_and_bottom():
    picture = np.zeros((80, 200, 3), np.uint8)
    picture[:40, 100:] = 255
    disparity = DepthPredictor(stub_network())(picture).disparity
    assert disparity.shape == (80, 200)
    assert disparity[5, 190] == pytest.approx(1 / MIN_DEPTH, rel=1e-3)
    for row, column in ((5, 10), (75, 10), (75, 190)):
        assert disparity[row, column] == pytest.approx(1 / MAX_DEPTH, rel=0.1)


def test_disparity_is_interpolated_between_the_networks_pixels():
    picture = np.zeros((HEIGHT, 10 * WIDTH, 3), np.uint8)
    picture[:] = np.linspace(0, 255, 10 * WIDTH)[None, :, None]
    row = DepthPredictor(stub_network())(picture).disparity[0]
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


def seen(folder):
    """The brightness that each of the disparities in a folder was predicted from, by its name."""
    found = {}
    for path in folder.rglob("*_disp.npy"):
        sigmoid = (np.load(path)[0, 0] - 1 / MAX_DEPTH) / (1 / MIN_DEPTH - 1 / MAX_DEPTH)
        name = path.relative_to(folder).as_posix().replace("_disp.npy", "")
        found[name] = round(float(sigmoid) * 255)
    return found


def test_pictures_that_differ_in_their_endings_have_their_own_files(tmp_path, stub):
    for red, name in enumerate(("a.jpg", "b.png", "B.bmp", "b.tif"), start=100):
        save(tmp_path / name, red)
    run(tmp_path)
    assert seen(tmp_path) == {
        **{"a": pytest.approx(100, abs=2), "b.png": 101, "B.bmp": 102, "b.tif": 103},
    }
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    run(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_folders_of_one_name_have_their_own_files(tmp_path, stub):
    out = tmp_path / "out"
    for red, parent in ((50, "one"), (150, "two")):
        (tmp_path / parent / "frames").mkdir(parents=True)
        save(tmp_path / parent / "frames" / "0.png", red)
        save(tmp_path / parent / "frames" / "1.png", red + 1)
    folders = [tmp_path / "one" / "frames", tmp_path / "two" / "frames"]
    run(folders[0], "--image_path", str(folders[1]), "--output", str(out))
    run_both = ["--image_path", *map(str, folders), "--load_weights_folder", "weights"]
    demo.main([*run_both, "--output", str(out / "both")])
    assert seen(out / "both") == {
        "one/frames/0": 50,
        "one/frames/1": 51,
        "two/frames/0": 150,
        "two/frames/1": 151,
    }


def test_a_later_command_does_not_replace_what_is_of_another_picture(tmp_path, stub):
    out = tmp_path / "out"
    for red, parent in ((50, "one"), (150, "two")):
        (tmp_path / parent).mkdir()
        save(tmp_path / parent / "0.png", red)
    for _ in range(2):
        run(tmp_path / "one" / "0.png", "--output", str(out))
        run(tmp_path / "two" / "0.png", "--output", str(out))
        assert seen(out) == {"0": 50, "0.png": 150}
    save(tmp_path / "one" / "0.png", 70)
    run(tmp_path / "one" / "0.png", "--output", str(out))
    assert seen(out) == {"0": 70, "0.png": 150}


def test_what_is_no_prediction_is_kept(tmp_path, stub):
    """Such as true depth, beside its picture under the name that ours would have."""
    save(tmp_path / "0.jpg", 50)
    Image.new("I;16", (100, 40), 1234).save(tmp_path / "0_depth.png")
    truth = (tmp_path / "0_depth.png").read_bytes()
    run(tmp_path / "0.jpg")
    assert (tmp_path / "0_depth.png").read_bytes() == truth
    assert seen(tmp_path) == {"0.jpg": pytest.approx(50, abs=2)}
    assert (tmp_path / "0.jpg_depth.png").exists()


def test_predictions_that_were_moved_with_their_picture_are_replaced(tmp_path, stub):
    (tmp_path / "a").mkdir()
    run(save(tmp_path / "a" / "0.png", 50))
    (tmp_path / "a").rename(tmp_path / "b")
    run(save(tmp_path / "b" / "0.png", 60))
    assert seen(tmp_path / "b") == {"0": 60}


def test_a_recording_is_not_replaced(tmp_path):
    first = new_recording(tmp_path, 0, "mp4")
    first.write_bytes(b"seen once")
    assert new_recording(tmp_path, 0, "mp4").name == "camera0-2_disp.mp4"
    assert new_recording(tmp_path, 1, "mp4").name == "camera1_disp.mp4"


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
