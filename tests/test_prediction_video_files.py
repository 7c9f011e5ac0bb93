"""Videos as people have them, and as browsers play them: times, sound, sides, damage."""

import json
import os
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

import demo
from datasets.conventions import STEREO
from datasets.footage.video import Video
from networks.monodepth import Architecture
from options import COLORMAPS
from prediction import disparity_store, engines, video
from prediction.predictor import DepthPredictor, Predictor
from prediction.video import VideoFormat, predict_video
from prediction.video_files import _encodable, try_to_write, write_video
from prediction.video_outputs import DepthFrames
from prediction.visualise import colorize, shades
from system.errors import InputError
from tests.test_prediction_video import Engine, predictor
from weight_files.model_info import ModelInfo

SIZE = (64, 48)


def grey(level, size=SIZE):
    return np.full((size[1], size[0], 3), level, np.uint8)


def film(path, times, codec="libx264", sound=None, size=SIZE, levels=None):
    """A video whose frames get brighter; sound is a codec, when it begins, how long it lasts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        voice = output.add_stream(sound[0], rate=48000, layout="mono") if sound else None
        for number, seconds in enumerate(times):
            level = levels[number] if levels else min(250, 10 + 10 * number)
            frame = av.VideoFrame.from_ndarray(grey(level, size))
            frame.pts, frame.time_base = round(seconds * 1000), Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        if sound:
            _, begins, lasts = sound
            wave = np.sin(np.arange(int(48000 * lasts)) / 20).astype(np.float32)
            for start in range(0, len(wave), 960):
                piece = av.AudioFrame.from_ndarray(wave[None, start : start + 960], "fltp", "mono")
                piece.sample_rate, piece.time_base = 48000, Fraction(1, 48000)
                piece.pts = start + round(begins * 48000)
                output.mux(voice.encode(piece))
            output.mux(voice.encode())
    return path


def times_of(path):
    return [float(seconds) for seconds, _ in Video(path).timed_frames()]


def sound_of(path):
    """Codec, and the seconds at which a file's sound begins and ends; None where it has none."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        loud = [
            float(frame.time)
            for frame in container.decode(stream)
            if np.abs(frame.to_ndarray()).max() > 0.1
        ]
        return stream.codec_context.codec.canonical_name, loud[0], loud[-1]


def run(source, container="mp4", model=None, **more):
    target = source.parent.parent / f"out.{container}"
    predict_video(model or predictor(), source, target, VideoFormat(container), 4, {}, **more)
    return target


def test_browsers_play_what_is_written(tmp_path):
    source = film(tmp_path / "in" / "a.mp4", [0, 0.04, 0.08])
    for container, codec in (("mp4", "h264"), ("webm", "vp8")):
        target = run(source, container)
        with av.open(str(target)) as found:
            stream = found.streams.video[0]
            assert (stream.codec_context.name, stream.format.name) == (codec, "yuv420p")
    content = (tmp_path / "out.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # plays before it is all there


@pytest.mark.parametrize(
    "rate", [0.1, 1, 7.3, 12.5, 24000 / 1001, 29.97002997, 59.940059, 90.1234567, 239.76, 1000]
)
def test_any_rate_is_held(tmp_path, rate):
    times = [Fraction(n) / Fraction(rate) for n in range(4)]
    for container, tolerance in (("mp4", 1 / 90_000), ("webm", 1 / 1000)):
        target = tmp_path / f"a.{container}"
        assert write_video(target, zip(times, map(grey, (10, 90, 170, 250))), rate, container) == 4
        np.testing.assert_allclose(times_of(target), [float(t) for t in times], atol=tolerance)
        assert [frame[0, 0, 0] > 130 for frame in Video(target).frames()] == [0, 0, 1, 1]


def test_frames_are_shown_when_those_of_the_source_are(tmp_path):
    times = [0, 0.033, 0.066, 0.3, 0.34, 1.5]
    source = film(tmp_path / "in" / "phone.mp4", times)
    for container in ("mp4", "webm"):
        np.testing.assert_allclose(times_of(run(source, container)), times, atol=0.002)


@pytest.mark.parametrize(
    ("codec", "kind", "container", "expected"),
    [
        ("aac", "mp4", "mp4", "aac"),
        ("aac", "mp4", "webm", "opus"),
        ("libopus", "mkv", "webm", "opus"),
        ("pcm_s16le", "mkv", "mp4", "aac"),
    ],
)
def test_sound_is_kept_in_step(tmp_path, codec, kind, container, expected):
    times = [2 + 0.04 * n for n in range(25)]  # as of a cut: not from 0 on
    source = film(tmp_path / "in" / f"a.{kind}", times, sound=(codec, 2.4, 0.5))
    before, target = times_of(source), run(source, container)
    name, begins, ends = sound_of(target)
    assert name == expected
    _, begun, ended = sound_of(source)
    pictures = times_of(target)
    assert pictures[0] == pytest.approx(0, abs=0.001)
    assert begins - pictures[0] == pytest.approx(begun - before[0], abs=0.03)
    assert ends - pictures[-1] == pytest.approx(ended - before[-1], abs=0.03)


def test_sound_that_cannot_be_read_does_not_cost_the_pictures(tmp_path, monkeypatch, caplog):
    source = film(tmp_path / "in" / "a.mkv", [0, 0.04, 0.08], sound=("pcm_s16le", 0, 0.1))

    def broken(container, stream):
        raise av.error.InvalidDataError(1, "broken")
        yield

    monkeypatch.setattr("prediction.video_files.decoded_frames", broken)
    target = run(source)
    assert len(times_of(target)) == 3
    assert "its sound, or the rest of it, cannot be kept" in caplog.text


def test_odd_sizes_lose_a_row_and_a_column(tmp_path):
    source = tmp_path / "in" / "odd.mkv"
    source.parent.mkdir()
    with av.open(str(source), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 65, 47, "bgr0"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(grey(90, (65, 47)))))
        output.mux(stream.encode())
    for container in ("mp4", "webm"):
        assert next(Video(run(source, container)).frames()).shape == (46, 64, 3)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_videos_of_telephones_are_upright(tmp_path, quarters):
    """As OpenCV turns them; the matrix says how."""
    path = tmp_path / "phone.mp4"
    ramp = np.zeros((48, 64, 3), np.uint8)
    ramp[:, :32, 0] = ramp[:24, :, 2] = 250
    write_video(path, [(Fraction(0), ramp)], 25, "mp4")
    upright = next(Video(path).frames())
    content = bytearray(path.read_bytes())
    a, b = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters]
    start = content.index(b"tkhd") + 44
    numbers = (a << 16, b << 16, 0, -b << 16, a << 16, 0, 0, 0, 1 << 30)
    content[start : start + 36] = struct.pack(">9i", *numbers)
    path.write_bytes(content)
    turned = next(Video(path).frames())
    np.testing.assert_array_equal(turned, np.rot90(upright, -quarters))
    _, theirs = cv2.VideoCapture(str(path)).read()
    np.testing.assert_array_equal(turned, theirs[..., ::-1])


def test_frames_of_another_size_are_brought_to_the_first_ones(tmp_path):
    path = tmp_path / "a.mjpeg.avi"
    parts = [cv2.imencode(".jpg", grey(100, size))[1].tobytes() for size in (SIZE, (32, 24))]
    film(path, [0, 0.04], "mjpeg")
    with av.open(str(path)) as given, av.open(str(tmp_path / "b.avi"), "w") as output:
        stream = output.add_stream_from_template(given.streams.video[0])
        for number, part in enumerate(parts):
            packet = av.Packet(part)
            packet.pts = packet.dts = number
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            output.mux(packet)
    assert [frame.shape for frame in Video(tmp_path / "b.avi").frames()] == [(48, 64, 3)] * 2


def test_a_cut_video_is_read_as_far_as_it_goes(tmp_path, caplog):
    path = tmp_path / "cut.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), dtype=np.uint8)
    write_video(path, ((Fraction(n, 25), each) for n, each in enumerate(noise)), 25, "mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 5 < len(list(Video(path).frames())) < 35
    assert "of the 40 frames that it should have" in caplog.text


def test_damage_in_between_is_passed_over(tmp_path):
    path = tmp_path / "a.mp4"
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), dtype=np.uint8)
    write_video(path, ((Fraction(n, 25), each) for n, each in enumerate(noise)), 25, "mp4")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    assert len(list(Video(path).frames())) > 10


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
        b"\x1aE\xdf\xa3" + bytes(300),
    ],
)
def test_what_is_no_video_is_refused(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.mp4: cannot be opened: it is damaged or no video"):
        Video(tmp_path / "a.mp4")


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as output:
        voice = output.add_stream("aac", rate=48000, layout="mono")
        piece = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.float32), "fltp", "mono")
        piece.sample_rate = 48000
        output.mux(voice.encode(piece))
        output.mux(voice.encode())
    with pytest.raises(InputError, match="no moving pictures"):
        Video(path)


def test_a_name_with_a_colon_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    film(tmp_path / "a.mp4", [0, 0.04]).rename("concat:b.mp4")
    assert len(list(Video(Path("concat:b.mp4")).frames())) == 2


def test_a_title_in_an_old_spelling_is_passed_over(tmp_path):
    path, title = film(tmp_path / "a.mkv", [0, 0.04]), b"Lavf"
    content = path.read_bytes()
    assert title in content
    path.write_bytes(content.replace(title, "Löß".encode("latin-1") + b"!"))
    assert len(list(Video(path).frames())) == 2


def test_what_cannot_be_written_is_known_before_anything_is_predicted(tmp_path):
    source, model = film(tmp_path / "in" / "a.mp4", [0, 0.04]), predictor()
    (tmp_path / "out.mp4").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        run(source, model=model)
    wide = np.zeros((2, 20_000, 3), np.uint8)
    with pytest.raises(InputError, match="--max_side"):
        try_to_write(tmp_path / "b.mp4", wide, 25, "mp4")
    assert model.network.engine.seen == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out.mp4"]


@pytest.mark.skipif(os.name != "posix", reason="limits the sizes of files as POSIX does")
@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_full_disk_leaves_nothing_half_written(tmp_path, container):
    program = f"""
import pathlib, resource, signal
from fractions import Fraction
import numpy as np
from prediction.video_files import write_video
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, 9_000))
noise = np.random.default_rng(0).integers(0, 255, (12, 96, 128, 3), dtype=np.uint8)
frames = ((Fraction(n, 25), each) for n, each in enumerate(noise))
write_video(pathlib.Path({str(tmp_path / "a")!r}), frames, 25, {container!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "InputError: " in done.stderr and "make room on the disk" in done.stderr
    assert list(tmp_path.iterdir()) == []


def interrupted(source, monkeypatch, model=None):
    monkeypatch.setattr(disparity_store, "CHUNK", 4)
    with pytest.raises(KeyboardInterrupt):
        run(source, model=model or predictor(stop_after=12))


def weighted(digest, engine=None):
    network = predictor().network
    return DepthPredictor(Predictor(engine or Engine(), network.info, digest))


def test_an_interrupted_video_does_not_go_on_with_another_one(tmp_path, monkeypatch):
    source = film(tmp_path / "in" / "a.mp4", [0.04 * n for n in range(20)], levels=[20] * 20)
    facts = source.stat()
    interrupted(source, monkeypatch)
    film(source, [0.04 * n for n in range(20)], levels=[200] * 20)
    again = predictor()
    run(source, model=again)
    assert again.network.engine.seen == 20
    # What was only copied, or touched, is the same.
    interrupted(source, monkeypatch)
    source.write_bytes(source.read_bytes())
    assert source.stat().st_mtime_ns != facts.st_mtime_ns
    again = predictor()
    run(source, model=again)
    assert again.network.engine.seen < 20


def test_an_interrupted_video_does_not_go_on_with_other_weights(tmp_path, monkeypatch):
    source = film(tmp_path / "in" / "a.mp4", [0.04 * n for n in range(20)])
    for digest, seen in (("b", 20), ("a", 8)):
        interrupted(source, monkeypatch, weighted("a", Engine(stop_after=12)))
        model = weighted(digest)
        run(source, model=model)
        assert model.network.engine.seen == seen


def test_a_damaged_part_is_predicted_again(tmp_path, monkeypatch):
    source = film(tmp_path / "in" / "a.mp4", [0.04 * n for n in range(20)])
    whole = run(source).read_bytes()
    interrupted(source, monkeypatch)
    first, *_, last = sorted((tmp_path / ".out.mp4.parts").glob("*.npz"))
    last.write_bytes(last.read_bytes()[:-30])
    model = predictor()
    assert run(source, model=model).read_bytes() == whole
    assert model.network.engine.seen == 12
    assert first.name == "00000000.npz"


def test_a_source_that_changes_meanwhile_is_refused(tmp_path):
    source = film(tmp_path / "in" / "a.mp4", [0.04 * n for n in range(20)])

    class Changing(Engine):
        def disparity(self, images):
            with source.open("ab") as file:
                file.write(b"more")
            return super().disparity(images)

    with pytest.raises(InputError, match="was changed while it was read"):
        run(source, model=weighted("", Changing()))
    assert not (tmp_path / "out.mp4").exists()


def test_depth_of_every_frame_is_kept_where_asked_for(tmp_path):
    source = film(tmp_path / "in" / "a.mp4", [0, 0.04, 0.08])
    (tmp_path / "depth").mkdir()
    run(source, keep=DepthFrames(tmp_path / "depth", "millimetres").add)
    paths = sorted((tmp_path / "depth").iterdir())  # of relative depth, without a note of metres
    assert [path.name for path in paths] == ["000000.png", "000001.png", "000002.png"]
    maps = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]
    assert {(each.dtype, each.shape) for each in maps} == {(np.dtype(np.uint16), (48, 64))}
    assert maps[0].mean() < maps[1].mean() < maps[2].mean() <= maps[2].max() == 65535
    about = json.loads((tmp_path / "out.json").read_text())
    assert about["frames"] == 3


def test_the_command_keeps_a_video_and_a_picture_of_one_name_apart(tmp_path, monkeypatch):
    info = ModelInfo(Architecture(source_ids=(STEREO,)), height=32, width=64, name="stub")
    model = DepthPredictor(Predictor(engines.Engine("stub", Engine().disparity), info))
    monkeypatch.setattr(DepthPredictor, "from_folder", lambda *_: model)
    film(tmp_path / "a.mp4", [0, 0.04, 0.08])
    Image.new("RGB", SIZE).save(tmp_path / "a.png")
    words = ["--image_path", str(tmp_path / "a.*"), "--load_weights_folder", "w"]
    for _ in range(2):
        demo.main([*words, "--video_depth", "--output", str(tmp_path / "out")])
        assert {path.name for path in (tmp_path / "out").iterdir()} == {
            *(f"a.mp4_{end}" for end in ("disp.mp4", "disp.json", "depth")),
            *(f"a.png_{end}" for end in ("disp.npy", "disp.jpeg", "disp.json", "depth.png")),
        }
    with Image.open(tmp_path / "out" / "a.mp4_depth" / "000002.png") as depth:
        assert depth.text["unit"] == "kitti"
        nearest = 0.8 * 30 / 255 + 0.1  # sigmoid, at the right border
        expected = 256 * 5.4 / (0.01 + 9.99 * nearest)
        assert np.asarray(depth)[:, -1].mean() == pytest.approx(expected, rel=0.02)
    note = json.loads((tmp_path / "out" / "a.mp4_depth" / "depth.json").read_text())
    assert note == {"kind": "depth", "metres_per_step": 1 / 256}
    with pytest.raises(InputError, match="--video_depth: is for videos"):
        demo.main(["--image_path", "0", "--load_weights_folder", "w", "--video_depth"])


def test_a_command_that_was_killed_at_the_end_has_the_same_files_again(tmp_path, monkeypatch):
    """Where a video is, there is what says that it is of this source."""
    source = film(tmp_path / "in" / "a.mp4", [0, 0.04])
    replace, done = Path.replace, []

    def stopped(path, target):
        result = replace(path, target)
        done.append(Path(target).suffix)
        if done[-1] == ".mp4":
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(Path, "replace", stopped)
    monkeypatch.setattr(video, "try_to_write", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        run(source)
    assert done[-2:] == [".json", ".mp4"]


@pytest.mark.parametrize("colormap", COLORMAPS)
def test_shades_are_encoded_as_their_colours_are(colormap):
    """Brightness to the bit; chroma, of which four pixels have one, is rounded otherwise."""
    across = np.linspace(0, 1, 129) + 0.1 * np.linspace(0, 1, 47)[:, None]
    ours = _encodable(shades(across, 0, 1, colormap)).to_ndarray().astype(int)
    colours = np.ascontiguousarray(colorize(across, 0, 1, colormap)[:46, :128])
    theirs = av.VideoFrame.from_ndarray(colours).reformat(format="yuv420p").to_ndarray()
    assert ours.shape == theirs.shape == (69, 128)
    np.testing.assert_array_equal(ours[:46], theirs[:46])
    np.testing.assert_allclose(ours[46:], theirs[46:], rtol=0, atol=1)
