"""The page's work, without the page: results, limits, and words in both languages."""

import math
import string
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.conventions import STEREO
from datasets.depth_files import stated_unit
from networks.monodepth import Architecture
from prediction.points import MOST_POINTS, back_project, encode_glb
from prediction.predictor import DepthPredictor, Predictor
from system.errors import InputError
from web import jobs as web_jobs
from web import maps
from web import orders as web_orders
from web.jobs import Jobs, Limits
from web.kept import Turns
from web.maps import FILES
from web.mesh import viewpoint
from web.orders import Orders
from web.refusals import Refusal
from web.watch import Stopped, Watch, one_at_a_time
from web.words import CHINESE, ENGLISH, WORDS, say
from weight_files.model_info import ModelInfo

LIMITS = Limits(pixels=20_000, frames=12, seconds=60)


class Engine:
    """Sees the red channel as sigmoid disparity."""

    name = "stub"

    def disparity(self, images):
        return images[..., 0].astype(np.float32) / 255


def model(metric):
    sources = (STEREO,) if metric else (-1, 1)
    info = ModelInfo(Architecture(source_ids=sources), height=32, width=64, name="stub")
    return DepthPredictor(Predictor(Engine(), info))


@pytest.fixture
def jobs(tmp_path):
    return Jobs({"metric": model(True), "relative": model(False)}, tmp_path, LIMITS)


@pytest.fixture
def picture(tmp_path):
    """A picture whose left half is nearer."""
    values = np.zeros((60, 120, 3), np.uint8)
    values[:, :60] = 102
    values[:, 60:] = 51
    Image.fromarray(values).save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def depth(sigmoid):
    return 5.4 / (0.01 + 9.99 * sigmoid)


def test_a_picture_is_shown_with_its_depth(jobs, picture):
    shown = jobs.picture(picture, "metric", "viridis", ENGLISH)
    assert Image.open(shown.picture).size == Image.open(shown.depth).size == (120, 60)
    assert shown.description["unit"] == "m"
    assert shown.description["engine"] == "stub"
    # Lanczos overshoots at the edge between the halves.
    assert shown.far == pytest.approx(depth(0.2), rel=3e-2)
    assert shown.near == pytest.approx(depth(0.4), rel=3e-2)
    assert jobs.picture(picture, "relative", "magma", ENGLISH).far is None
    unknown = jobs.picture(picture, "no such model", "no such colours", ENGLISH)
    assert (unknown.description["model"], unknown.description["colormap"]) == ("metric", "inferno")


def test_points_have_values_and_distances(jobs, picture):
    token = jobs.picture(picture, "metric", "inferno", ENGLISH).description["token"]
    first = jobs.point(token, 30, 30, None, 90, ENGLISH)
    assert first == f"x 30, y 30: depth {depth(0.4):.4g} metres"
    words = jobs.point(token, 90, 30, (30, 30), 90, ENGLISH)
    near, far, centre = depth(0.4), depth(0.2), 59.5
    apart = math.hypot(
        (90 - centre) / 60 * far - (30 - centre) / 60 * near,
        (far - near) * 0.5 / 60,
        far - near,
    )
    assert float(words.splitlines()[1].split()[0]) == pytest.approx(apart, rel=1e-2)
    assert "米" in jobs.point(token, 90, 30, (30, 30), 90, CHINESE)
    relative = jobs.picture(picture, "relative", "inferno", ENGLISH).description["token"]
    assert "no unit" in jobs.point(relative, 5, 5, (9, 9), 90, ENGLISH)
    with pytest.raises(Refusal, match="no longer kept"):
        jobs.point("guessed", 1, 1, None, 90, ENGLISH)


def test_a_picture_that_would_be_squeezed_can_be_padded(jobs, tmp_path):
    """The stub sees the red of what it is given: 32x64, where a disc stays round only if padded."""
    rows, columns = np.mgrid[:120, :60]
    disc = (rows - 60) ** 2 + (columns - 30) ** 2 < 20**2
    Image.fromarray(np.repeat(disc[..., None] * np.uint8(102), 3, axis=2)).save(tmp_path / "a.png")

    def predicted(keep_aspect):
        shown = jobs.picture(
            str(tmp_path / "a.png"), "metric", "inferno", ENGLISH, keep_aspect
        ).description
        assert (shown["squeezed"], shown["width"], shown["height"]) == (True, 60, 120)
        return shown["keep_aspect"], shown["token"]

    squeezed, padded = predicted(False), predicted(True)
    assert (squeezed[0], padded[0], predicted("yes")[0]) == (False, True, False)
    for token in (squeezed[1], padded[1]):  # files and points are of what was seen
        values = np.load(jobs.file(token, "numbers", 70, "inferno", ENGLISH), allow_pickle=False)
        assert values.shape == (120, 60)
        assert values[60, 30] == pytest.approx(depth(0.4), rel=0.1)
        assert values[10, 30] > 5 * values[60, 30]
        words = jobs.point(token, 30, 60, None, 70, ENGLISH)
        assert float(words.split()[-2]) == pytest.approx(float(values[60, 30]), rel=2e-2)
    assert jobs.fixed_shape("metric", ENGLISH) == "64 x 32"


def test_padding_is_for_what_would_be_squeezed(jobs, picture):
    shown = jobs.picture(picture, "metric", "inferno", ENGLISH, True).description
    assert (shown["squeezed"], shown["keep_aspect"]) == (False, False)


def test_files_to_download(jobs, picture):
    token = jobs.picture(picture, "metric", "inferno", ENGLISH).description["token"]
    mesh, files = jobs.files(token, 70, "plasma", ENGLISH)
    assert mesh.read_bytes()[:4] == b"glTF"
    names = ["a_depth.png", "a_depth_16bit.png", "a_depth.npy", "a.ply", "a.glb"]
    assert [path.name for path in files] == names
    values = np.load(files[2], allow_pickle=False)
    assert values[30, 20] == pytest.approx(depth(0.4), rel=1e-2)
    steps = np.asarray(Image.open(files[1]))
    assert steps.dtype == np.uint16
    np.testing.assert_allclose(steps / 256, values, atol=1 / 256)
    assert stated_unit(files[1]) == "kitti"
    relative = jobs.picture(picture, "relative", "inferno", ENGLISH).description["token"]
    steps = np.asarray(Image.open(jobs.file(relative, "steps", 70, "inferno", ENGLISH)))
    assert steps.max() == 65535
    assert steps[30, 20] > steps[30, 100] > 0


def test_a_file_is_made_when_it_is_asked_for(jobs, picture):
    token = jobs.picture(picture, "metric", "inferno", ENGLISH).description["token"]
    folder = jobs.results.find(token).folder
    before = set(folder.iterdir())
    for kind, name in FILES.items():
        path = jobs.file(token, kind, 70, "inferno", ENGLISH)
        assert path.name == name.format("a")
        assert [each.name for each in path.parent.iterdir()] == [path.name]
    again = jobs.file(token, "mesh", 90, "inferno", ENGLISH)
    assert len(set(folder.iterdir()) - before) == len(FILES)  # the earlier mesh is gone
    assert again.is_file()


@pytest.mark.parametrize(
    ("name", "called"),
    [("my street (1).png", "my_street_1"), ("街.png", "街"), ("...png", "picture")],
)
def test_files_are_named_after_the_picture(jobs, tmp_path, picture, name, called):
    copy = Path(picture).rename(tmp_path / name)
    assert jobs.picture(str(copy), "metric", "inferno", ENGLISH).description["name"] == called


def test_a_mesh_is_seen_from_about_where_the_picture_was_taken(tmp_path):
    y, x = np.mgrid[-1:1:20j, -2:2:40j]
    points = np.stack([x, y, np.full_like(x, 4)], axis=-1).astype(np.float32)
    colors = np.zeros((20, 40, 3), np.uint8)
    (tmp_path / "a.glb").write_bytes(encode_glb(points, colors))
    assert viewpoint(tmp_path / "a.glb") == pytest.approx((90, 90, 4))
    # A wide one does not leave the box, which is 1.5 times as wide as high, and sees 0.8 radians.
    (tmp_path / "w.glb").write_bytes(encode_glb(points * np.float32([6, 1, 1]), colors))
    needed = 12 / (1.5 * math.tan(0.4))
    assert viewpoint(tmp_path / "w.glb") == pytest.approx((90, 90, needed), rel=0.02)
    # 3 m to a side in 4 m are seen from 0.7 m behind, however far the middle is.
    street = np.stack([x * 1.5, y, np.where(abs(x) > 1, 4, 80)], axis=-1).astype(np.float32)
    (tmp_path / "s.glb").write_bytes(encode_glb(street, colors))
    behind = 3 / (1.5 * math.tan(0.4)) - 4
    assert viewpoint(tmp_path / "s.glb") == pytest.approx((90, 90, 42 + behind), abs=0.1)
    # The middle of one that lies to a side is not straight ahead.
    (tmp_path / "c.glb").write_bytes(encode_glb(points + np.float32([1, -0.5, 0]), colors))
    around, above, distance = viewpoint(tmp_path / "c.glb")
    around, above = math.radians(around), math.radians(above)
    level = distance * math.sin(above)
    from_middle = (level * math.cos(around), distance * math.cos(above), level * math.sin(around))
    assert from_middle == pytest.approx((-1, -0.5, 4), abs=1e-5)
    (tmp_path / "b.glb").write_bytes(encode_glb(points * np.inf, colors))
    assert viewpoint(tmp_path / "b.glb") is None


def test_marks_say_depth_and_how_far_they_are_apart(jobs, picture):
    token = jobs.picture(picture, "metric", "inferno", ENGLISH).description["token"]
    (_, _, first), (x, y, second) = jobs.marks(token, [(30, 30), [90, 30]], 90, ENGLISH)
    assert (x, y, first) == (90, 30, f"{depth(0.4):.4g} metres")
    words = jobs.point(token, 90, 30, (30, 30), 90, ENGLISH).splitlines()[1]
    assert second.endswith(f" metres; {words.split()[0]} metres from 1")
    assert float(second.split()[0]) == pytest.approx(depth(0.2), rel=1e-2)
    assert "与点 1 相距" in jobs.marks(token, [(30, 30), (90, 30)], 90, CHINESE)[1][2]
    relative = jobs.picture(picture, "relative", "inferno", ENGLISH).description["token"]
    assert " from " not in jobs.marks(relative, [(1, 1), (9, 9)], 90, ENGLISH)[1][2]
    assert len(jobs.marks(token, [(1, 1)] * 500, 90, ENGLISH)) == 20
    for odd in (None, 3, [], [1], "ab", [[1], 2]):
        with pytest.raises(Refusal, match="A point needs x and y"):
            jobs.marks(token, [odd], 90, ENGLISH)


@pytest.mark.parametrize("size", [(120, 60), (60, 120)])
def test_the_angle_of_view_is_what_the_picture_says(jobs, tmp_path, size):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    Image.new("RGB", size).save(tmp_path / "a.jpg", exif=exif)
    across = math.hypot(36, 24) * size[0] / math.hypot(*size)
    expected = 2 * math.degrees(math.atan(across / 2 / 26))
    about = jobs.picture(str(tmp_path / "a.jpg"), "metric", "inferno", ENGLISH).description
    assert about["angle"] == round(expected)
    for odd in (0, 60000):
        exif.get_ifd(0x8769)[0xA405] = odd
        Image.new("RGB", size).save(tmp_path / "b.jpg", exif=exif)
        about = jobs.picture(str(tmp_path / "b.jpg"), "metric", "inferno", ENGLISH).description
        assert about["angle"] is None
    Image.new("RGB", size).save(tmp_path / "c.png")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.png", b"", "cannot be used: a.png: it is empty"),
        ("a.png", b"<svg/>", "cannot be used: a.png: it is no picture"),
        ("big.png", (200, 101), "200 x 101 pixels; at most 0.02 million"),
    ],
)
def test_what_cannot_be_taken_is_refused(jobs, tmp_path, name, content, said):
    path = tmp_path / name
    if isinstance(content, tuple):
        Image.new("RGB", content).save(path)
    else:
        path.write_bytes(content)
    with pytest.raises(Refusal, match=said):
        jobs.picture(str(path), "metric", "inferno", ENGLISH)


@pytest.mark.parametrize("kind", ["EPS", "PPM", "TGA", "PCX", "ICO", "PDF", "SGI"])
def test_kinds_of_pictures_that_nobody_needs_are_not_opened(jobs, tmp_path, kind):
    Image.new("RGB", (64, 48), (9, 99, 199)).save(tmp_path / "picture.png", kind)
    with pytest.raises(Refusal, match=r"picture\.png: it is no picture"):
        jobs.picture(str(tmp_path / "picture.png"), "metric", "inferno", ENGLISH)


def test_only_files_of_its_own_are_read(jobs, tmp_path_factory):
    path = tmp_path_factory.mktemp("elsewhere") / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    for given in (str(path), None, "", "/etc/passwd", str(jobs.folder), "a\0b"):
        with pytest.raises(Refusal, match="no picture yet"):
            jobs.picture(given, "metric", "inferno", ENGLISH)


def write_video(path, count):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    for number in range(count):
        writer.write(np.full((48, 64, 3), 10 * number, np.uint8))
    writer.release()
    return str(path)


def test_a_video_becomes_one_that_browsers_play(jobs, tmp_path):
    result = jobs.video(write_video(tmp_path / "a.avi", 8), "metric", "inferno", True, ENGLISH)
    assert result.video.suffix == ".webm"
    # The grey of its frames is from 0 to 70, the colours from the farthest to 95 in 100.
    assert result.far == pytest.approx(depth(0), rel=0.1)
    assert result.near == pytest.approx(depth(70 / 255), rel=0.1)
    capture = cv2.VideoCapture(str(result.video))
    assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == 128
    with pytest.raises(Refusal, match="has 13 frames; at most 12"):
        jobs.video(write_video(tmp_path / "b.avi", 13), "metric", "inferno", False, ENGLISH)
    (tmp_path / "c.mp4").write_bytes(b"no video")
    with pytest.raises(Refusal, match="cannot be used"):
        jobs.video(str(tmp_path / "c.mp4"), "metric", "inferno", False, ENGLISH)
    slow = Jobs({"m": model(True)}, tmp_path, Limits(frames=12, seconds=0))
    with pytest.raises(Refusal, match="more than 0 seconds"):
        slow.video(str(tmp_path / "a.avi"), "m", "inferno", False, ENGLISH)


def test_a_video_can_be_stopped_by_who_wanted_it(jobs, tmp_path, monkeypatch):
    video = write_video(tmp_path / "a.avi", 8)
    check, orders = web_jobs.check_length, Orders()

    def stop_of(visitor):
        def checked(*given):
            orders.stop(visitor)
            check(*given)

        return checked

    def predict():
        key, watch = orders.place("me"), jobs.watch()
        assert orders.begin("me", key, watch)
        try:
            return jobs.video(video, "metric", "inferno", False, ENGLISH, watch)
        finally:
            orders.end("me", key)

    monkeypatch.setattr(web_jobs, "check_length", stop_of("another"))
    predict()
    monkeypatch.setattr(web_jobs, "check_length", stop_of("me"))
    with pytest.raises(Refusal, match="Stopped"):
        predict()
    assert not orders.has("me")
    monkeypatch.undo()
    assert predict().video.is_file()


def test_a_visitor_has_one_order_at_a_time(monkeypatch):
    orders, watch = Orders(), Watch()
    key = orders.place("me")
    assert orders.place("me") is None  # a second press
    assert orders.begin("me", key, watch)
    assert not orders.begin("me", key, watch)  # what the second press had called
    assert not orders.stop("me")
    with pytest.raises(Stopped):
        watch.look()
    assert orders.has("me")  # its work has not ended yet
    orders.end("me", key)
    later = orders.place("me")
    orders.end("me", key)
    assert orders.stop("me")  # it only waited
    assert not orders.begin("me", later, watch)
    monkeypatch.setattr(web_orders, "MOST", 3)
    assert all(orders.place(str(number)) for number in range(5))
    assert [orders.has(str(number)) for number in range(5)] == [False, False, True, True, True]


def test_a_live_camera_is_shown_in_a_range_that_follows(jobs):
    frame = np.full((720, 1280, 3), 80, np.uint8)
    colors, shown = jobs.live(frame, None, "metric", "inferno")
    assert colors.shape == (360, 640, 3)
    before = shown.high
    jobs.live(frame + 100, shown, "metric", "inferno")
    assert before < shown.high < 1.2 * before
    assert jobs.live(None, shown, "metric", "inferno")[0] is None


def test_a_large_picture_is_worked_on_in_bands_with_the_same_result(jobs, tmp_path, monkeypatch):
    values = np.random.default_rng(0).integers(0, 256, (90, 150, 3), np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")

    def made():
        shown = jobs.picture(str(tmp_path / "a.png"), "metric", "inferno", ENGLISH)
        _, (png, _, npy, *_) = jobs.files(shown.description["token"], 70, "inferno", ENGLISH)
        return np.array(Image.open(png)), np.load(npy), shown.far, shown.near

    whole = made()
    monkeypatch.setattr(maps, "BAND", 1000)
    for one, other in zip(whole, made()):
        np.testing.assert_array_equal(one, other)


def test_a_point_has_the_value_that_the_file_has(jobs, tmp_path):
    values = np.random.default_rng(0).integers(0, 256, (90, 150, 3), np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    token = jobs.picture(str(tmp_path / "a.png"), "metric", "inferno", ENGLISH).description["token"]
    _, (_, _, npy, *_) = jobs.files(token, 70, "inferno", ENGLISH)
    depth = np.load(npy)
    for x, y in ((0, 0), (149, 89), (77, 31), (3, 88)):
        words = jobs.point(token, x, y, None, 70, ENGLISH)
        assert words == f"x {x}, y {y}: depth {depth[y, x]:.4g} metres"


def test_points_and_meshes_of_large_pictures_are_thinned(jobs, tmp_path, monkeypatch):
    values = np.random.default_rng(0).integers(0, 256, (90, 150, 3), np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    token = jobs.picture(str(tmp_path / "a.png"), "metric", "inferno", ENGLISH).description["token"]
    monkeypatch.setattr(maps, "MOST_POINTS", 4000)
    _, (_, _, npy, ply, _) = jobs.files(token, 90, "inferno", ENGLISH)
    header, _, body = ply.read_bytes().partition(b"end_header\n")
    assert b"element vertex 3375\n" in header  # of 13,500: every second row and column
    assert b"1 of 2 rows and columns" in header
    vertices = np.frombuffer(body, [("point", "<f4", 3), ("color", "u1", 3)])
    K = np.array([[75, 0, 74.5], [0, 75, 44.5], [0, 0, 1]])
    expected = back_project(np.load(npy), K)[::2, ::2].reshape(-1, 3)
    np.testing.assert_allclose(vertices["point"], expected, rtol=1e-5)
    assert MOST_POINTS * 15 < 100e6  # bytes of a file


def test_results_are_weighed(tmp_path, picture):
    jobs = Jobs({"m": model(True)}, tmp_path, Limits(result_bytes=100_000))
    tokens = []
    for _ in range(4):
        tokens.append(jobs.picture(picture, "m", "inferno", ENGLISH).description["token"])
        jobs.files(tokens[-1], 70, "inferno", ENGLISH)
    sizes = [path.stat().st_size for path in (tmp_path / "results").rglob("*") if path.is_file()]
    assert sum(sizes) > 100_000  # one result alone
    assert [path.name for path in (tmp_path / "results").iterdir()] == tokens[-1:]
    with pytest.raises(Refusal, match="no longer kept"):
        jobs.point(tokens[0], 1, 1, None, 70, ENGLISH)


def test_files_that_are_asked_for_again_replace_the_earlier_ones(jobs, picture):
    token = jobs.picture(picture, "metric", "inferno", ENGLISH).description["token"]
    folders = {jobs.files(token, angle, "inferno", ENGLISH)[0].parent for angle in (50, 60, 70)}
    assert len(folders) == 3
    assert len([folder for folder in folders if folder.exists()]) == 1


def test_refusals_leave_nothing_behind(jobs, tmp_path, picture, monkeypatch):
    video = write_video(tmp_path / "long.avi", 13)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    token = jobs.picture(picture, "metric", "inferno", ENGLISH).description["token"]
    before = {path: path.is_file() and path.stat().st_size for path in tmp_path.rglob("*")}

    def refused(call, *given):
        with pytest.raises(Refusal):
            call(*given)

    refused(jobs.video, video, "metric", "inferno", False, ENGLISH)
    refused(jobs.video, str(tmp_path / "broken.mp4"), "metric", "inferno", False, ENGLISH)
    refused(jobs.picture, str(tmp_path / "broken.png"), "metric", "inferno", ENGLISH)
    refused(jobs.files, token, "wide", "inferno", ENGLISH)
    monkeypatch.setattr(web_jobs, "predict_video", fail)
    with pytest.raises(OSError, match="disk"):
        jobs.video(write_video(tmp_path / "long.avi", 3), "metric", "inferno", False, ENGLISH)
    monkeypatch.setattr(web_jobs, "write_files", fail)
    with pytest.raises(OSError, match="disk"):
        jobs.files(token, 70, "inferno", ENGLISH)
    monkeypatch.setattr(web_jobs, "_predicted", fail)
    with pytest.raises(OSError, match="disk"):
        jobs.picture(picture, "metric", "inferno", ENGLISH)
    after = {path: path.is_file() and path.stat().st_size for path in tmp_path.rglob("*")}
    del before[tmp_path / "long.avi"], after[tmp_path / "long.avi"]
    assert after == before


def fail(*_):
    raise OSError("the disk is full")


def with_header_of(path, frames):
    """An AVI whose header says another number of frames."""
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"avih", 8 + 16), (b"strh", 8 + 32)):
        place = content.index(mark) + offset
        content[place : place + 4] = frames.to_bytes(4, "little")
    path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize("said", [0, 1, 12, 10**9])
def test_the_frames_of_a_video_are_counted_whatever_its_header_says(jobs, tmp_path, said):
    write_video(tmp_path / "long.avi", 20)
    with pytest.raises(Refusal, match="at most 12 are taken"):
        video = with_header_of(tmp_path / "long.avi", said)
        jobs.video(video, "metric", "inferno", False, ENGLISH)
    write_video(tmp_path / "short.avi", 3)
    video = with_header_of(tmp_path / "short.avi", said)
    assert jobs.video(video, "metric", "inferno", False, ENGLISH).video.is_file()


def test_frames_of_a_video_are_as_large_as_pictures(tmp_path):
    video = write_video(tmp_path / "a.avi", 3)
    jobs = Jobs({"m": model(True)}, tmp_path, Limits(pixels=3000))
    with pytest.raises(Refusal, match="64 x 48 pixels; at most"):
        jobs.video(video, "m", "inferno", False, ENGLISH)


def test_the_second_pass_of_a_video_has_no_more_time_than_the_first(jobs, tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("web.watch.time.monotonic", lambda: now[0])

    def late(*given):
        now[0] = 1e6
        return 0.0, 1.0, 1.0

    monkeypatch.setattr("prediction.disparity_store.DisparityStore.range", late)
    with pytest.raises(Refusal, match="more than 60 seconds"):
        jobs.video(write_video(tmp_path / "a.avi", 3), "metric", "inferno", False, ENGLISH)


ODD = [["metric"], {"a": 1}, 3, 0.5, True, b"x", [], {}]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_arguments_of_any_kind_are_refused_in_words(jobs, picture, tmp_path, odd):
    token = jobs.picture(picture, "metric", "inferno", ENGLISH).description["token"]
    video = write_video(tmp_path / "a.avi", 3)
    for call, given in (
        (jobs.picture, (odd, "metric", "inferno")),
        (jobs.picture, (picture, odd, "inferno")),
        (jobs.picture, (picture, "metric", odd)),
        (jobs.video, (odd, "metric", "inferno", False)),
        (jobs.video, (video, odd, "inferno", False)),
        (jobs.video, (video, "metric", odd, False)),
        (jobs.point, (odd, 1, 1, None, 70)),
        (jobs.files, (odd, 70, "inferno")),
        (jobs.files, (token, 70, odd)),
    ):
        for language in (ENGLISH, CHINESE, odd):
            with pytest.raises(Refusal) as caught:
                call(*given, language)
            assert str(tmp_path) not in str(caught.value)
    assert jobs.picture(picture, "metric", "inferno", odd).far is not None


@pytest.mark.parametrize(
    "odd", ["70", [70], None, {}, True, math.nan, math.inf, -math.inf], ids=str
)
def test_numbers_are_numbers(jobs, picture, odd):
    token = jobs.picture(picture, "metric", "inferno", ENGLISH).description["token"]
    for x, y in ((odd, 1), (1, odd)):
        with pytest.raises(Refusal, match="A point needs x and y"):
            jobs.point(token, x, y, None, 70, ENGLISH)
    for call, given in ((jobs.files, (token,)), (jobs.point, (token, 1, 1, (2, 2)))):
        with pytest.raises(Refusal, match="angle of view must be a number of degrees, 20 to 150"):
            call(*given, odd, *(["inferno"] if call == jobs.files else []), ENGLISH)
    last = jobs.point(token, 10**400, 10**400, None, 70, ENGLISH)
    assert last.startswith("x 119, y 59: depth ")


def test_messages_name_no_paths(jobs, tmp_path, monkeypatch):
    folder = tmp_path / ("a" * 64)
    folder.mkdir()
    (folder / "my holiday.png").write_bytes(b"no picture")
    with pytest.raises(Refusal) as caught:
        jobs.picture(str(folder / "my holiday.png"), "metric", "inferno", ENGLISH)
    assert str(caught.value).startswith("This picture cannot be used: my holiday.png: ")
    assert str(tmp_path) not in str(caught.value)

    def refuse(_, source, target, *__):
        raise InputError(f"{target}: only 3 of 9 frames of {source} could be written")

    monkeypatch.setattr(web_jobs, "predict_video", refuse)
    video = write_video(folder / "drive.avi", 3)
    with pytest.raises(Refusal) as caught:
        jobs.video(video, "metric", "inferno", False, ENGLISH)
    assert "depth.webm: only 3 of 9 frames of drive.avi could" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_frames_of_a_camera_are_read_as_pictures_are(jobs, tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (64, 48), (10, 200, 30)).save(path)
    sent = "data:image/jpeg;base64," + b64encode(path.read_bytes()).decode()
    frame = jobs.sent_frame(sent)
    assert frame.shape == (48, 64, 3)
    assert abs(int(frame[0, 0, 1]) - 200) < 5
    large = tmp_path / "large.png"
    Image.new("L", (300, 300)).save(large)
    for odd in (
        "data:image/png;base64," + b64encode(b"no picture").decode(),
        "data:image/png;base64,*",
        "data:text/html,hello",
        "http://example.org/a.png",
        str(path),
        None,
        ["data:image/png"],
    ):
        assert jobs.sent_frame(odd) is None
    with pytest.raises(Refusal, match=r"at most 0\.02 million"):
        jobs.sent_frame("data:image/png;base64," + b64encode(large.read_bytes()).decode())
    assert not list(tmp_path.glob("tmp*"))


def test_large_pictures_wait_for_each_other():
    turns, order, together = Turns(100), [], []

    def work(name, pixels, seconds):
        with turns.of(pixels):
            together.append(turns._in_work)
            order.append(name)
            time.sleep(seconds)

    with ThreadPoolExecutor(5) as threads:
        waiting = []
        for each in (("a", 40, 0.2), ("b", 40, 0.2), ("large", 1000, 0), ("c", 10, 0)):
            waiting.append(threads.submit(work, *each))
            time.sleep(0.02)
        for one in waiting:
            one.result()
    assert order == ["a", "b", "large", "c"]  # the small one does not overtake the large one
    assert max(together) <= 100


def test_a_network_is_asked_by_one_thread_at_a_time():
    inside, most = [0], [0]

    class Busy(Engine):
        def disparity(self, images):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1
            return super().disparity(images)

    info = model(True).info
    predictor = one_at_a_time(DepthPredictor(Predictor(Busy(), info)))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(predictor.network.disparity, [np.zeros((1, 32, 64, 3), np.uint8)] * 8))
    assert most[0] == 1


def test_both_languages_say_the_same_things():
    def fields(text):
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert WORDS[ENGLISH].keys() == WORDS[CHINESE].keys()
    for key, text in WORDS[ENGLISH].items():
        assert fields(text) == fields(WORDS[CHINESE][key]), key
    assert say("Klingon", "near") == "near"
