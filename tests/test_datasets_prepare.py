"""Footage of one's own becomes training data: the right frames are kept, held out and listed."""

import json
import logging
import pickle
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import train
from datasets.footage.advice import batch_size, squeezed, too_few, training_line, training_size
from datasets.footage.finding import find_footage
from datasets.footage.selection import choose_stride, held_out, measure_step, select, small_grey
from datasets.items import make_items
from datasets.layouts import LAYOUTS
from datasets.prepare import main, prepare, prepared
from datasets.splits import load_split
from options import TrainOptions, parse
from system.errors import InputError

WIDTH, HEIGHT = 192, 96
CAMERA = {"image_size": [WIDTH, HEIGHT], "horizontal_fov_degrees": 80}


def texture(seed=0, width=3 * WIDTH):
    noise = np.random.default_rng(seed).random((HEIGHT, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


FAR, NEAR = texture(0), texture(1)


def view(shift):
    """What a camera sees that moved sideways: the lower half is nearer and moves twice as far."""
    frame = FAR[:, int(shift) : int(shift) + WIDTH].copy()
    frame[HEIGHT // 2 :] = NEAR[HEIGHT // 2 :, int(2 * shift) : int(2 * shift) + WIDTH]
    return frame


def write_frames(folder, frames):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number:04d}.png")
    return folder


@pytest.fixture
def footage(tmp_path):
    """40 frames of a steady ride, with their camera."""
    folder = write_frames(tmp_path / "ride", [view(3 * number) for number in range(40)])
    (folder / "camera.json").write_text(json.dumps(CAMERA))
    return folder


def test_motion_is_measured_in_widths():
    far = [texture()[:, shift : shift + WIDTH] for shift in (0, 6)]
    step = measure_step(*map(small_grey, far))
    assert step.motion == pytest.approx(6 / WIDTH, rel=0.1)
    assert step.parallax < 0.08
    two_depths = measure_step(small_grey(view(0)), small_grey(view(6)))
    assert two_depths.parallax > 0.1


def test_the_stride_makes_motion_useful():
    assert choose_stride([0.006] * 9) == 1
    assert choose_stride([0.002] * 9) == 3
    assert choose_stride([0.05] * 9) == 1
    assert choose_stride([0.0011] * 9) == 5
    assert choose_stride([0.0] * 9) == 1
    assert choose_stride([0.0] * 30 + [0.002]) == 3  # standing still says nothing


def test_still_frames_are_dropped_and_their_neighbours_stay_together():
    shifts = [0, 4, 8, 8, 8, 8, 12, 16]
    selection = select([view(shift) for shift in shifts])
    assert selection.clips == [[0, 1, 2, 6, 7]]
    assert selection.still == 3


def test_blurred_frames_and_cuts_end_a_clip():
    frames = [view(4 * number) for number in range(12)]
    frames[5] = cv2.GaussianBlur(frames[5], (0, 0), 8)
    selection = select(frames)
    assert selection.clips == [[0, 1, 2, 3, 4], [6, 7, 8, 9, 10, 11]]
    assert selection.blurred == 1
    elsewhere = [texture(7)[:, 4 * n : 4 * n + WIDTH] for n in range(6)]
    cut = select([*frames[:5], *elsewhere])
    assert cut.clips == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9, 10]]
    assert cut.cuts == 1


def test_the_end_of_the_footage_is_held_out():
    train_clips, validation = held_out([list(range(50)), list(range(60, 110))])
    assert validation == [list(range(100, 110))]
    assert train_clips == [list(range(50)), list(range(60, 100))]
    train_clips, validation = held_out([[0, 1, 2, 3, 4, 5, 6]])
    assert train_clips + validation == [[0, 1, 2, 3], [4, 5, 6]]


def test_frames_become_a_data_set_with_its_camera_and_split(footage, tmp_path):
    (tmp_path / ".data.77.new" / "clip_000").mkdir(parents=True)  # left by a run that was killed
    main([str(footage), str(tmp_path / "data")])
    data = tmp_path / "data"
    items = {}
    for part in ("train", "val"):
        lines = load_split(str(data / "splits"), part)
        items[part] = make_items(
            data, lines, (-1, 1), 32, 64, augment=False, layout=LAYOUTS["frames"]
        )
    assert len(items["train"]) + len(items["val"]) == 40 - 4  # no neighbour beyond either part
    assert not {p for p in items["train"].all_paths()} & {p for p in items["val"].all_paths()}
    item = items["train"].item(0, 0)
    focal = WIDTH / 2 / np.tan(np.radians(40))
    assert item["K"][0, 0] == pytest.approx(focal * 64 / WIDTH, rel=1e-5)
    assert Image.open(data / "contact_sheet.jpg").width == 6 * 240
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "ride"]


def test_slow_footage_is_strided(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    moves = [np.float32([[1, 0, -0.4 * number], [0, 1, 0]]) for number in range(60)]
    frames = [cv2.warpAffine(FAR, move, (WIDTH, HEIGHT)) for move in moves]
    prepare(write_frames(tmp_path / "slow", frames), tmp_path / "data", degrees=80)
    assert "one in 3 taken" in caplog.text


def test_a_stereo_pair_keeps_its_baseline(tmp_path):
    for name, apart in (("left", 0), ("right", 4)):
        write_frames(tmp_path / "in" / name, [view(3 * n + apart) for n in range(20)])
    stereo = {"left": "left", "right": "right", "baseline_metres": 0.2}
    (tmp_path / "in" / "camera.json").write_text(json.dumps({**CAMERA, "stereo": stereo}))
    prepare(tmp_path / "in", tmp_path / "data")
    lines = load_split(str(tmp_path / "data" / "splits"), "train")
    items = make_items(
        tmp_path / "data", lines, (-1, 1, "s"), 32, 64, layout=LAYOUTS["frames"], augment=False
    )
    assert items.baseline_metres == pytest.approx(0.2)
    item = items.item(0, 0)
    assert item["sources"].shape[0] == 3
    (tmp_path / "in" / "right" / "0019.png").unlink()
    with pytest.raises(InputError, match="must have as many frames"):
        prepare(tmp_path / "in", tmp_path / "other")


def test_a_camera_that_only_turns_is_noticed(tmp_path, caplog):
    wide = texture()
    frames = [wide[:, 3 * n : 3 * n + WIDTH] for n in range(30)]
    prepare(write_frames(tmp_path / "in", frames), tmp_path / "data", degrees=80)
    assert "turn without moving" in caplog.text


def test_unusable_footage_is_refused_and_nothing_is_left(tmp_path, footage):
    still = write_frames(tmp_path / "still", [view(0)] * 20)
    empty = tmp_path / "empty"
    empty.mkdir()
    out = tmp_path / "data"
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    for source, degrees, said in (
        (still, 80, "film longer, and keep moving"),
        (empty, 80, "holds neither pictures"),
        (tmp_path / "nowhere", 80, "no such video or folder"),
        (broken, 80, "cannot be opened: it is damaged"),
        (still, None, r"camera\.json: no such file"),
    ):
        with pytest.raises(InputError, match=said):
            prepare(source, out, degrees=degrees)
        assert not out.exists()
    (footage / "camera.json").write_text(json.dumps({**CAMERA, "image_size": [100, 100]}))
    with pytest.raises(InputError, match="another aspect ratio"):
        prepare(footage, out)
    out.mkdir()
    with pytest.raises(InputError, match="is there already"):
        prepare(footage, out)


def test_videos_are_found_beside_each_other(tmp_path):
    for name in ("b.mp4", "a.MOV", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [f.path.name for f in find_footage(tmp_path, None)] == ["a.MOV", "b.mp4"]


def test_training_prepares_footage_by_itself(footage, tmp_path, caplog):
    words = f"--dataset frames --data_path {footage} --height 64 --width 64 --batch_size 2"
    more = f"--num_workers 0 --max_steps 1 --eager --log_dir {tmp_path / 'logs'}"
    train.main([*words.split(), *more.split(), "--weights_init", "scratch"])
    assert "left out" not in caplog.text
    assert caplog.text.count("keeps their shape") == 1
    made = footage / "prepared"
    assert (tmp_path / "logs" / "mdp" / "last" / "model.json").is_file()
    times = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    assert made / "camera.json" in times
    for folder in (footage, made):  # found, and not made again
        assert prepared(folder) == made
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == times
    with pytest.raises(InputError, match="no such folder"):
        prepared(tmp_path / "nowhere")


def test_workers_can_be_given_every_layout():
    assert pickle.loads(pickle.dumps(LAYOUTS)).keys() == LAYOUTS.keys()


@pytest.mark.parametrize(
    ("frames", "size"),
    [
        ((1920, 1080), (448, 256)),
        ((720, 1280), (256, 448)),
        ((640, 480), (384, 288)),
        ((1242, 375), (640, 192)),
        ((192, 96), (192, 96)),
        ((64, 64), (64, 64)),
    ],
)
def test_frames_are_trained_on_in_their_shape(frames, size):
    assert training_size(*frames) == size


@pytest.mark.parametrize(
    ("frames", "size", "said"),
    [
        ((1080, 1920), (448, 256), "3.1 times too wide; --width 256 --height 448 keeps"),
        ((1242, 375), (448, 256), "1.9 times too tall; --width 640 --height 192 keeps"),
    ],
)
def test_frames_of_another_shape_are_said_with_a_size_that_fits(frames, size, said):
    assert said in squeezed(frames, size)
    assert squeezed(frames, training_size(*frames)) is None
    assert squeezed((640, 480), (448, 256)) is None


def test_a_batch_leaves_an_epoch_its_steps():
    assert [batch_size(items) for items in (8, 100, 299, 300, 40_000)] == [2, 4, 11, 12, 12]


def test_too_few_frames_are_said_with_what_will_happen():
    assert too_few(300) is None
    assert "40 frames" in too_few(40)
    assert "hundreds are needed" in too_few(40)


def test_preparing_ends_with_a_line_that_trains(footage, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    out = tmp_path / "my ride"
    main([str(footage), str(out)])
    assert "hundreds are needed" in caplog.text
    program, command, *words = shlex.split(caplog.messages[-1].splitlines()[-1])
    assert (program, command) == ("python", "train.py")
    options = parse(TrainOptions, words)
    items = len(load_split(str(out / "splits"), "train"))
    assert (options.dataset, options.data_path) == ("frames", out)
    assert (options.width, options.height, options.batch_size) == (192, 96, batch_size(items))
    assert options.model_name == "my_ride"
    assert not options.use_stereo


@pytest.mark.parametrize("name", ["...", "Straße 7", "夜", "a=b"])
def test_any_folder_gives_a_line_that_is_taken(name):
    words = shlex.split(training_line(Path(name), (1280, 720), 500, True))[2:]
    options = parse(TrainOptions, words)
    assert (options.data_path, options.use_stereo) == (Path(name), True)
