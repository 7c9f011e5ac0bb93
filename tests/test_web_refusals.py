"""What the page refuses, and why, in both languages."""

import ast
import errno
import io
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from datasets import pictures
from datasets.footage import video
from tests.test_web_jobs import LIMITS, model, with_header_of, write_video
from web import jobs as web_jobs
from web.jobs import Jobs
from web.refusals import REASON, Refusal
from web.words import CHINESE, ENGLISH, GRADIO, WORDS, say

ROOT = Path(__file__).resolve().parents[1]
CHINESE_ONLY = re.compile(r"[^a-zA-Z]*")


@pytest.fixture
def jobs(tmp_path):
    return Jobs({"metric": model(True)}, tmp_path, LIMITS)


def jpeg():
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    return cv2.imencode(".jpg", noise)[1].tobytes()


def encoded(values, kind):
    file = io.BytesIO()
    Image.fromarray(values).save(file, kind)
    return file.getvalue()


def sound():
    """A film without pictures."""
    file = io.BytesIO()
    with av.open(file, "w", "matroska") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        out.mux([*stream.encode(frame), *stream.encode()])
    return file.getvalue()


def without_frames(folder):
    """An AVI whose head is there, and nothing after it."""
    content = Path(write_video(folder / "whole.avi", 3)).read_bytes()
    return content[: content.index(b"movi") + 4]


PICTURES = {
    "empty": lambda _: b"",
    "no_picture": lambda _: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "foreign": lambda _: b"\x00\x00\x00\x0cJXL \r\n\x87\n",
    "damaged": lambda _: jpeg()[:1500],
    "too_large": lambda _: encoded(np.zeros((1, pictures.LONGEST_SIDE + 1), bool), "PNG"),
    "unclear": lambda _: encoded(np.zeros((2, 2), np.int32), "TIFF"),
}
VIDEOS = {
    "empty": lambda _: b"",
    "no_video": lambda _: b"no video",
    "no_pictures": lambda _: sound(),
    "no_frame": without_frames,
}


@pytest.mark.parametrize(
    ("wrong", "kind", "content"),
    [("unreadable", *each) for each in PICTURES.items()]
    + [("no_video", *each) for each in VIDEOS.items()],
    ids=[*PICTURES, *(f"video_{kind}" for kind in VIDEOS)],
)
def test_why_a_file_cannot_be_used_is_said_in_both_languages(jobs, tmp_path, wrong, kind, content):
    file = tmp_path / "1.x"
    file.write_bytes(content(tmp_path))
    given = [str(file), "metric", "inferno"] + [False] * (wrong == "no_video")
    call = jobs.video if wrong == "no_video" else jobs.picture
    for language in WORDS:
        with pytest.raises(Refusal) as caught:
            call(*given, language)
        why = say(language, REASON.format(kind), limit="0.02", side=pictures.LONGEST_SIDE)
        assert str(caught.value) == say(language, wrong, name="1.x", why=why)


def test_a_video_with_fewer_frames_than_it_says_is_said_to_be_cut_short(jobs, tmp_path):
    video = Path(write_video(tmp_path / "1.avi", 4))
    for frames, short in ((4, None), (8, {"frames": 4, "expected": 8})):
        shown = jobs.video(with_header_of(video, frames), "metric", "inferno", False, ENGLISH)
        assert (shown.short and shown.short.values) == short


def test_every_kind_of_wrong_file_has_words():
    """All that readers refuse is of a kind, and the page has words for it."""
    for module in (pictures, video):
        calls = [
            call
            for call in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8")))
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "InputError"
        ]
        said = [ast.unparse(each) for call in calls for each in call.args]
        files = [call for call, words in zip(calls, said) if "camera" not in words]
        assert files
        for call in files:
            (kind,) = (each.value for each in call.keywords if each.arg == "kind")
            for each in ast.walk(kind):
                if isinstance(each, ast.Constant):
                    assert REASON.format(each.value) in WORDS[CHINESE]


def test_what_the_computer_lacks_is_said(jobs, tmp_path, monkeypatch):
    path = tmp_path / "1.png"
    path.write_bytes(encoded(np.full((60, 120, 3), 102, np.uint8), "PNG"))
    token = jobs.picture(str(path), "metric", "inferno", ENGLISH).description["token"]
    full, other = OSError(errno.ENOSPC, "No space left"), OSError(errno.EIO, "bad disk")
    for error, key in ((full, "no_room"), (MemoryError(), "no_memory"), (other, None)):

        def lack(*_, error=error):
            raise error

        for name in ("_predicted", "write_files"):
            monkeypatch.setattr(web_jobs, name, lack)
        for call in (
            lambda: jobs.picture(str(path), "metric", "inferno", CHINESE),
            lambda: jobs.file(token, "numbers", 70, "inferno", CHINESE),
        ):
            with pytest.raises(Refusal if key else OSError) as caught:
                call()
            if key:
                assert str(caught.value) == WORDS[CHINESE][key]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1)])
def test_a_mesh_without_a_face_is_refused_in_words(jobs, tmp_path, size):
    Image.new("RGB", size, (102, 0, 0)).save(tmp_path / "1.png")
    shown = jobs.picture(str(tmp_path / "1.png"), "metric", "inferno", ENGLISH)
    token = shown.description["token"]
    with pytest.raises(Refusal, match="nothing to show in 3D"):
        jobs.file(token, "mesh", 70, "inferno", ENGLISH)
    mesh, files = jobs.files(token, 70, "inferno", ENGLISH)
    assert mesh is None
    assert [path.suffix for path in files] == [".png", ".png", ".npy", ".ply"]


@pytest.mark.parametrize(
    ("status", "words", "said"),
    [
        (408, "this came too slowly; try again", "传输太慢"),
        (413, "this exceeds the maximum allowed size of 50 megabytes", "50 MB"),
        (400, "this names a file that was not uploaded here", "请重新上传"),
        (503, "too many are sending at once; try again", "稍后再试"),
        (500, "Internal Server Error", "服务器未能接收"),
    ],
)
def test_refusals_of_uploads_and_calls_are_said_in_words(status, words, said):
    """Gradio shows them as they come: of a call the words, of an upload the answer."""
    answer = f'HTTP {status}: {{"detail":"{words}"}}'
    for text in (answer, words) if status != 500 else (answer,):
        pattern, _, chinese = next(rule for rule in GRADIO if re.fullmatch(rule[0], text))
        assert said in re.sub(pattern, chinese.replace("$", "\\"), text, count=1)
    sources = [(ROOT / "web" / f"{name}.py").read_text() for name in ("protection", "transfer")]
    assert status == 500 or any(words[:30] in source for source in sources)


def test_reasons_in_chinese_are_chinese():
    """But for the names of kinds of files."""
    names = re.compile("JPEG|PNG|HEIC|JPEG XL|MP4|WebM|XL")
    for key, text in WORDS[CHINESE].items():
        if key.startswith(REASON.format("")):
            assert CHINESE_ONLY.fullmatch(names.sub("", re.sub(r"\{\w+\}", "", text))), text
