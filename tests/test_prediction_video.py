"""Videos: every frame, at its rate, in one range of colours; interrupted ones go on."""

import json
from fractions import Fraction

import cv2
import numpy as np
import pytest

from datasets.footage.video import Video
from networks.monodepth import Architecture
from prediction import disparity_store, video, video_files
from prediction.depth_map import PADDING
from prediction.disparity_store import DisparityStore, FrameRange
from prediction.predictor import DepthPredictor, Predictor
from prediction.video import VideoFormat, predict_camera, predict_video
from prediction.video_files import write_video
from system.errors import InputError
from weight_files.model_info import ModelInfo

FRAMES, RATE, SIZE = 23, 12.5, (96, 64)


class Engine:
    """Sees the mean brightness of an image as its disparity, and counts the images."""

    name, many, at_once = "stub", None, 1

    def __init__(self, stop_after=None):
        self.seen, self.stop_after, self.batches = 0, stop_after, []

    def disparity(self, images):
        if self.stop_after is not None and self.seen >= self.stop_after:
            raise KeyboardInterrupt
        self.seen += len(images)
        self.batches.append(len(images))
        level = images.mean(axis=(1, 2, 3), dtype=np.float32) / 255
        ramp = np.linspace(0, 0.1, images.shape[2], dtype=np.float32)
        return (0.8 * level[:, None, None] + ramp) * np.ones((1, images.shape[1], 1), np.float32)


def predictor(stop_after=None):
    info = ModelInfo(Architecture(source_ids=(-1, 1)), height=32, width=64, name="stub")
    return DepthPredictor(Predictor(Engine(stop_after), info))


@pytest.fixture
def source(tmp_path):
    """A video that gets brighter from frame to frame."""
    path = tmp_path / "in" / "drive.avi"
    path.parent.mkdir()
    codec = cv2.VideoWriter_fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), codec, RATE, SIZE)
    for number in range(FRAMES):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 10 + 10 * number, np.uint8))
    writer.release()
    return path


def frames(path):
    return list(Video(path).frames())


def run(source, form=None, model=None):
    form = form or VideoFormat()
    target = source.parent.parent / f"out.{form.container}"
    predict_video(model or predictor(), source, target, form, batch_size=4, about={"model": "m"})
    return target


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_length_rate_and_size_stay(source, container):
    target = run(source, VideoFormat(container))
    assert Video(target).rate == pytest.approx(RATE)
    assert [frame.shape for frame in frames(target)] == [(64, 96, 3)] * FRAMES
    description = json.loads(target.with_suffix(".json").read_text())
    assert (description["frames"], description["unit"]) == (FRAMES, "relative")
    assert sorted(path.name for path in target.parent.iterdir()) == [
        "in",
        "out.json",
        target.name,
    ]


def test_one_range_shows_that_the_video_gets_nearer(source):
    light = [frame.mean() for frame in frames(run(source))]
    assert light[-2] > light[0] + 80
    assert np.all(np.diff(light[:-1]) > -3)


def test_a_smooth_range_follows_slowly():
    shown = video.Range()
    maps = predictor().many([np.full((8, 8, 3), level, np.uint8) for level in (50, 250)])
    shown.of(maps[0])
    first = shown.high
    shown.of(maps[1])
    assert first < shown.high < first + 0.06 * (maps[1].disparity.max() - first)


def test_side_by_side_is_twice_as_wide(source):
    height, width = frames(run(source, VideoFormat(side_by_side=True)))[0].shape[:2]
    assert width == 2 * SIZE[0]
    assert height > SIZE[1]


def test_a_limited_side_makes_frames_smaller(source):
    assert frames(run(source, VideoFormat(max_side=48)))[0].shape == (32, 48, 3)


def test_an_interrupted_video_goes_on_where_it_stopped(source, monkeypatch):
    monkeypatch.setattr(disparity_store, "CHUNK", 8)
    whole = frames(run(source))
    with pytest.raises(KeyboardInterrupt):
        run(source, model=predictor(stop_after=20))
    again = predictor()
    resumed = run(source, model=again)
    assert again.network.engine.seen == FRAMES - 16
    np.testing.assert_array_equal(frames(resumed), whole)


def store_in(folder, model="a"):
    def range_of(values):
        return FrameRange(*(float(level) for level in np.percentile(values, [0, 50, 100])))

    return DisparityStore(folder / "parts", {"model": model}, range_of)


def test_only_an_engine_that_is_asked_once_at_a_time_is_given_batches(source):
    """One that several threads ask gains nothing from them, and its first frames come later."""
    one, several = predictor(), predictor()
    several.network.engine.at_once = 2
    batched, single = (frames(run(source, model=model)) for model in (one, several))
    np.testing.assert_array_equal(single, batched)
    assert one.network.engine.batches == [4, 4, 4, 4, 4, 3]
    assert several.network.engine.batches == [1] * FRAMES


def test_what_another_model_predicted_is_not_taken(tmp_path):
    store = store_in(tmp_path)
    store.add(np.zeros((2, 2)), Fraction(0))
    store.finish()
    assert store_in(tmp_path).frames == 1
    assert store_in(tmp_path, "b").frames == 0


def test_disparities_are_kept_in_half_precision(tmp_path):
    store = store_in(tmp_path)
    values = 900 * np.random.default_rng(0).random((3, 4, 5))
    times = [Fraction(1, 3), Fraction(1, 2), Fraction(10**20 + 1, 10**20)]
    for value, seconds in zip(values, times):
        store.add(value, seconds)
    store.finish()
    seconds, kept = zip(*store_in(tmp_path).timed_disparities())
    np.testing.assert_array_equal(kept, values.astype(np.float16))
    assert list(seconds) == times


def test_the_range_is_that_of_all_frames_as_they_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(disparity_store, "CHUNK", 2)
    values = 900 * np.random.default_rng(1).random((5, 4, 6))
    kept = values.astype(np.float16).astype(np.float32)
    middles = np.median(kept, axis=(1, 2)).astype(float)
    expected = (kept.min(), np.percentile(middles, 95), kept.max())
    for some in (values[:3], values[2:]):  # the chunk of the third frame is not yet whole
        store = store_in(tmp_path)
        for value in some:
            store.add(value, Fraction(store.frames))
    assert store.range() == pytest.approx(expected, rel=1e-12)
    store.finish()
    assert store_in(tmp_path).range() == store.range()


def test_damaged_and_missing_videos_are_named(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(InputError, match=r"a\.mp4: cannot be opened.*ffmpeg"):
        run(tmp_path / "a.mp4")
    with pytest.raises(InputError, match=r"b\.mp4: no such video"):
        Video(tmp_path / "b.mp4")
    with pytest.raises(InputError, match="camera 97: cannot be opened"):
        predict_camera(predictor(), 97, tmp_path / "c.mp4", VideoFormat(), None)


def test_a_camera_is_written_until_it_is_stopped(source, monkeypatch):
    monkeypatch.setattr(video, "Video", lambda index: Video(source))
    target = source.with_name("camera.webm")
    form = VideoFormat("webm", range="smooth")
    assert predict_camera(predictor(), 0, target, form, max_frames=5) == 5
    assert predict_camera(predictor(stop_after=3), 0, target, form, None) == 3
    assert len(frames(target)) == 3


def test_a_missing_codec_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(video_files.CODECS, "mp4", "none")
    with pytest.raises(InputError, match="--video_format webm"):
        write_video(tmp_path / "a.mp4", [(0, np.zeros((8, 8, 3), np.uint8))], 25, "mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_refused(source):
    target = source / "below" / "out.mp4"
    with pytest.raises(InputError, match="--output"):
        predict_video(predictor(), source, target, VideoFormat(), 4, {})


def test_padding_is_not_shown_of_a_video(tmp_path, caplog):
    """What a network says of the padding is in no frame, and not in the range of the colours."""
    path = tmp_path / "tall.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), RATE, (40, 80))
    for _ in range(3):
        writer.write(np.full((80, 40, 3), 200, np.uint8))
    writer.release()

    class Padded(Engine):
        def disparity(self, images):
            inside = slice(24, 40)  # 16 of 64 columns
            assert (images[:, :, :24] == PADDING).all()
            assert (images[:, :, inside] != PADDING).all()
            seen = np.full(images.shape[:3], 0.9, np.float32)
            seen[:, :, inside] = np.linspace(0.2, 0.3, 16)
            return seen

    padded = DepthPredictor(Predictor(Padded(), predictor().info), keep_aspect=True)
    target = run(path, VideoFormat(side_by_side=True), padded)
    assert "--keep_aspect" not in caplog.text
    assert frames(target)[0].shape[1] == 80
    low, high = json.loads(target.with_suffix(".json").read_text())["disparity_range"]
    assert low == pytest.approx(0.01 + 9.99 * 0.2, rel=1e-3)
    assert high < 0.01 + 9.99 * 0.31
    run(path)
    assert caplog.text.count("--keep_aspect pads instead") == 1
