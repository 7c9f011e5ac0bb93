"""The page's work, without the page: results, limits, and words in both languages."""

import math
import string

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.conventions import STEREO
from networks.monodepth import Architecture
from prediction.predictor import DepthPredictor, Predictor
from web.jobs import Jobs, Limits, Refusal, Result, Results
from web.words import CHINESE, ENGLISH, WORDS, language_of, say
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


def test_files_to_download(jobs, picture):
    token = jobs.picture(picture, "metric", "inferno", ENGLISH).description["token"]
    mesh, files = jobs.files(token, 70, "plasma", ENGLISH)
    assert mesh.read_bytes()[:4] == b"glTF"
    assert [path.name for path in files] == ["depth.png", "depth.npy", "points.ply", "mesh.glb"]
    values = np.load(files[1], allow_pickle=False)
    assert values[30, 20] == pytest.approx(depth(0.4), rel=1e-2)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.png", b"", "cannot be read as a picture: a.png"),
        ("a.png", b"<svg/>", "cannot be read as a picture"),
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


def test_only_files_of_its_own_are_read(jobs, tmp_path_factory):
    path = tmp_path_factory.mktemp("elsewhere") / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    for given in (str(path), None, "", "/etc/passwd"):
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
    assert result.suffix == ".webm"
    capture = cv2.VideoCapture(str(result))
    assert capture.get(cv2.CAP_PROP_FRAME_WIDTH) == 128
    with pytest.raises(Refusal, match="has 13 frames; at most 12"):
        jobs.video(write_video(tmp_path / "b.avi", 13), "metric", "inferno", False, ENGLISH)
    (tmp_path / "c.mp4").write_bytes(b"no video")
    with pytest.raises(Refusal, match="cannot be used"):
        jobs.video(str(tmp_path / "c.mp4"), "metric", "inferno", False, ENGLISH)
    slow = Jobs({"m": model(True)}, tmp_path, Limits(frames=12, seconds=0))
    with pytest.raises(Refusal, match="more than 0 seconds"):
        slow.video(str(tmp_path / "a.avi"), "m", "inferno", False, ENGLISH)


def test_a_live_camera_is_shown_in_a_range_that_follows(jobs):
    frame = np.full((720, 1280, 3), 80, np.uint8)
    colors, shown = jobs.live(frame, None, "metric", "inferno")
    assert colors.shape == (360, 640, 3)
    before = shown.high
    jobs.live(frame + 100, shown, "metric", "inferno")
    assert before < shown.high < 1.2 * before
    assert jobs.live(None, shown, "metric", "inferno")[0] is None


def test_old_results_are_removed(tmp_path):
    results = Results(tmp_path, most=3)
    tokens = []
    for _ in range(5):
        token, folder = results.new_folder()
        results.keep(token, Result(folder, (1, 1), "m"))
        tokens.append(token)
    assert [results.find(token) is None for token in tokens] == [True, True, False, False, False]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(tokens[2:])


def test_both_languages_say_the_same_things():
    def fields(text):
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    assert WORDS[ENGLISH].keys() == WORDS[CHINESE].keys()
    for key, text in WORDS[ENGLISH].items():
        assert fields(text) == fields(WORDS[CHINESE][key]), key
    assert language_of("zh-CN,zh;q=0.9") == CHINESE
    assert language_of("de") == language_of("") == ENGLISH
    assert say("Klingon", "near") == "near"
