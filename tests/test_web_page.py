"""The page in this process: every call that it makes, in the words that visitors get."""

import json
import re
import time
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the page needs gradio, so Python 3.10: requirements-web")

from starlette.testclient import TestClient

from datasets.pictures import LONGEST_SIDE
from tests.test_web_jobs import model, write_video
from web.jobs import Jobs, Limits
from web.page import application, build_page
from web.parts import scale
from web.protection import Hosts, Protection
from web.words import CHINESE, ENGLISH, TAGS, WORDS, say

DONE = "process_completed"
FILE = {"meta": {"_type": "gradio.FileData"}}
SKIP = {"__type__": "update"}


def served(folder, root_path=""):
    """A client of a page of stub models, and its functions by name or else by number."""
    limits = Limits(pixels=20_000, frames=12, seconds=60, upload_bytes=10_000_000)
    jobs = Jobs({"metric": model(True), "relative": model(False)}, folder, limits)
    page = build_page(jobs, 6, 2)
    app = application(page, 1, root_path)
    jobs.uploads.spare()
    names = {function.api_name for function in page.fns.values()}
    prefix = "/depth" if root_path else ""
    hosts = Hosts("127.0.0.1", ("a.org",))
    protected = Protection(app, hosts, jobs.uploads, 1, names, prefix)
    client = TestClient(protected, base_url="http://127.0.0.1:7860")
    client.jobs, client.page = jobs, page
    return client


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def client(folder):
    with served(folder) as client:
        yield client


def call(client, name, *values):
    """What a function answers: ``("complete", values)`` or ``("error", words)``."""
    content = json.dumps({"data": values})
    headers = {"content-type": "application/json"}
    answer = client.post(f"/gradio_api/call/{name}", content=content, headers=headers)
    if answer.status_code != 200:
        return str(answer.status_code), answer.text
    event = answer.json()["event_id"]
    text = client.get(f"/gradio_api/call/{name}/{event}").text
    kind, _, data = text.strip().split("\n\n")[-1].partition("\n")
    value = json.loads(data[6:])
    return kind[7:], value["error"] if kind == "event: error" else value


def browse(client, name, values, event_data=None, streams=False, session=None):
    """The same as a browser calls it, of a function's Python name."""
    found = next(f for f in client.page.fns.values() if f.fn and f.fn.__name__ == name)
    session = session or f"tab {name}"
    body = {"data": values, "fn_index": found._id, "session_hash": session}
    answer = client.post("/gradio_api/queue/join", json={**body, "event_data": event_data})
    assert answer.status_code == 200, answer.text
    if streams:
        time.sleep(0.3)
        path = f"/gradio_api/stream/{answer.json()['event_id']}/close"
        assert client.post(path, json={}).status_code == 200
    lines = client.get(f"/gradio_api/queue/data?session_hash={session}").text.split("\n\n")
    messages = [json.loads(line[6:]) for line in lines if line.startswith("data:")]
    done = next(each for each in messages if each["msg"] in ("process_generating", DONE))
    return done["success"], done["output"]


def show_video(client, video):
    """The answer to the button that predicts a video."""
    browse(client, "begin", [], session="video")
    given = [video, "metric", "inferno", False, ENGLISH, False, None]
    return browse(client, "show_video", given, session="video")


def upload(client, content, name="a.png"):
    answer = client.post("/gradio_api/upload", files={"files": (name, content)})
    assert answer.status_code == 200, answer.text
    return {"path": answer.json()[0], **FILE}


@pytest.fixture(scope="module")
def picture(client, tmp_path_factory):
    """An uploaded picture."""
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    values = np.full((60, 120, 3), 102, np.uint8)
    Image.fromarray(values).save(path)
    return upload(client, path.read_bytes())


@pytest.fixture(scope="module")
def token(client, picture):
    """Of the prediction of that picture."""
    kind, values = call(client, "predict", picture, "metric", "inferno", ENGLISH, False)
    assert kind == "complete"
    return values[4]


ODD = [["metric"], {"a": 1}, 3, True, "x", None, [[[]]], {"path": ["a"]}, {"path": "a", **FILE}]


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("place", range(5))
def test_a_prediction_of_anything_gets_words(client, picture, folder, odd, place):
    for language in (ENGLISH, CHINESE):
        values = [picture, "metric", "inferno", language, False]
        values[place] = odd
        kind, answer = call(client, "predict", *values)
        if kind == "error":
            spoken = [language] if place < 3 else [ENGLISH, CHINESE]
            own = [text for each in spoken for text in WORDS[each].values()]
            assert any(answer[:3] == text[:3] or text.endswith(answer[-3:]) for text in own)
        elif kind != "complete":
            assert (kind, json.loads(answer).keys()) == ("400", {"detail"})
        if kind != "complete":
            assert_no_internals(answer, folder)


def assert_no_internals(words, folder):
    for mark in (str(folder), "Traceback", "Error", "pydantic", "object", "gradio", "unhashable"):
        assert mark not in words


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("predict", []),
        ("predict", [1, 2]),
        ("point", [["a"], 1, 1, ENGLISH]),
        ("point", ["guessed", "a", 1, ENGLISH]),
        ("point", ["guessed", 1, float("inf"), ENGLISH]),
        ("point", [None, None, None, None]),
        ("files", [{"a": 1}, 70, "inferno", ENGLISH]),
        ("files", ["guessed", "wide", ["inferno"], ENGLISH]),
        ("files", []),
        ("video", [["a"], "metric", "inferno", False, ENGLISH, False]),
        ("video", [None, "metric", "inferno", False, ENGLISH, False]),
        ("video", [{"video": None}, ["metric"], "inferno", "side", ENGLISH, False]),
        ("video", ["http://127.0.0.1/a.mp4", "metric", "inferno", False, ENGLISH, False]),
    ],
    ids=str,
)
def test_other_functions_get_words_for_anything_likewise(client, folder, name, values):
    kind, words = call(client, name, *values)
    assert kind == "error"
    assert len(words) > 10
    assert_no_internals(words, folder)


def test_what_breaks_here_is_logged_and_not_shown(client, folder, picture, monkeypatch, caplog):
    def broken(*_):
        raise FileNotFoundError(f"{folder}/secret")

    monkeypatch.setattr(client.jobs, "turns", None)
    kind, words = call(client, "predict", picture, "metric", "inferno", CHINESE, False)
    assert (kind, words) == ("error", WORDS[CHINESE]["broken"])
    assert "AttributeError" in caplog.text


def test_everything_goes_as_a_browser_asks_for_it(client, picture, token, tmp_path):
    ok, output = browse(client, "show", [picture, "metric", "magma", ENGLISH, False])
    assert ok
    pair, legend, details, description, token, *_ = output["data"]
    assert "near" in legend
    assert "近" in legend
    assert description["colormap"] == "magma"
    assert "120 x 60" in details
    assert "引擎" in details
    for file in pair:
        assert client.get(file["url"]).status_code == 200
    marks = []
    for x in (5, 9):
        event = {"index": [x, 7], "value": None}
        ok, output = browse(client, "mark", [token, marks, 70, ENGLISH], event_data=event)
        marks, wrong, clear, angle = output["data"]
        assert marks[-1]["x"] == x
        assert (wrong["visible"], clear["interactive"]) == (False, True)
    assert marks[1]["words"].endswith(" metres from 1")
    assert angle["visible"]  # the distance depends on it
    values = [token, marks, 70, ENGLISH]
    for odd in (None, {}, {"index": "a", "value": None}, {"index": [["a"], 1], "value": None}):
        ok, output = browse(client, "mark", values, event_data=odd)
        if ok:
            assert "A point needs x and y" in output["data"][1]["value"]
        else:
            assert output["error"]
            assert "Error" not in output["error"]
    ok, output = browse(client, "turn_around", [token, 70, "inferno", ENGLISH])
    mesh, box, *_ = output["data"]
    content = client.get(mesh["url"]).content
    assert content[:4] == b"glTF"
    assert box["visible"]
    assert box["camera_position"][2] > 0
    ok, output = browse(client, "save_kind", [token, 70, "inferno", ENGLISH])
    assert output["data"][0]["orig_name"] == "a_depth.png"
    ok, output = browse(client, "tell", [token, marks, 70, CHINESE])
    told_again, angle, _ = output["data"]
    assert "EXIF" not in angle["info"]
    assert "假定值" in angle["info"]
    assert "与点 1 相距" in told_again[1]["words"]
    ok, output = browse(client, "give_example", [2])
    assert client.get(output["data"][0]["url"]).status_code == 200
    video = upload(client, (write_and_read(tmp_path)), "a.avi")
    ok, output = show_video(client, video)
    assert ok, output
    assert "near" in output["data"][1]
    assert client.get(output["data"][0]["url"]).status_code == 200


def test_a_squeezed_picture_is_said_to_be_so_and_can_be_padded(client, tmp_path):
    Image.new("RGB", (40, 90)).save(tmp_path / "portrait.png")
    file = upload(client, (tmp_path / "portrait.png").read_bytes(), "portrait.png")
    for language in WORDS:
        values = [file, "metric", "inferno", language]
        for padded in (False, True):
            _, output = browse(client, "show", [*values, padded])
            told = next(each for each in output["data"][5:] if "64 x 32" in str(each))
            assert told["visible"]
            assert told["info"] == say(language, "squeezed", size="64 x 32")
            assert output["data"][3]["keep_aspect"] is padded


def test_what_is_wrong_is_said_beside_its_box(client, folder, picture):
    file = upload(client, b"no picture", "holiday.png")
    ok, output = browse(client, "show", [file, "metric", "inferno", ENGLISH, False])
    assert ok  # Gradio would say it over every box
    wrong = next(v for v in output["data"] if isinstance(v, dict) and "alert" in str(v))
    assert wrong["visible"]
    # In both languages, of which one sees that of the page, also after it is switched.
    told = dict(re.findall(r'lang="([\w-]+)">([^<]*)</span>', wrong["value"]))
    for language, tag in TAGS.items():
        why = say(language, "why_no_picture")
        assert told[tag] == say(language, "unreadable", name="holiday.png", why=why)
    marked = ["x", [{"x": 1, "y": 1}], 70, ENGLISH]
    asked = ["x", 70, "inferno", ENGLISH]
    for name, values, place in (("turn_around", asked, 2), ("mark_again", marked, 1)):
        ok, output = browse(client, name, values)
        assert "no longer kept" in output["data"][place]["value"]
    ok, output = show_video(client, file)
    assert "cannot be used" in output["data"][2]["value"]


def test_a_picture_that_is_too_long_is_told_how_long_one_may_be(client, tmp_path):
    Image.new("1", (LONGEST_SIDE + 1, 1)).save(tmp_path / "long.png")
    file = upload(client, (tmp_path / "long.png").read_bytes(), "long.png")
    for language in WORDS:
        _, output = browse(client, "show", [file, "metric", "inferno", language, False])
        wrong = next(v for v in output["data"] if isinstance(v, dict) and "alert" in str(v))
        assert str(LONGEST_SIDE) in wrong["value"]


def test_the_buttons_of_a_video_tell_whether_it_is_wanted(client, picture):
    def asked(name, *values):
        ok, output = browse(client, name, values, session="me")
        assert ok, output
        return output

    def told(name, *values):
        return asked(name, *values)["data"]

    first, second = asked("begin"), asked("begin")
    start, stop, *_ = first["data"]
    assert (start["interactive"], stop["interactive"]) == (False, True)
    # Work follows a new order, which the second press of two does not give.
    (order,) = first["changed_state_ids"]
    assert second["changed_state_ids"] == []
    assert second["data"][:2] == [SKIP, SKIP]
    (work,) = (f for f in client.page.fns.values() if f.name == "show_video")
    assert work.targets == [(order, "change")]
    start, stop = told("end", picture)
    assert (start["interactive"], stop["interactive"]) == (False, True)
    start, stop, wrong, result = told("change", picture)
    assert (start["interactive"], stop["interactive"]) == (True, False)
    assert "已停止" in wrong["value"]
    assert result["visible"] is False
    given = [picture, "metric", "inferno", False, ENGLISH, False, None]
    answer = told("show_video", *given)  # it was waiting until now
    assert not [each for each in answer if {"value", "visible"} & set(each)]
    told("begin")
    told("leave")
    assert told("end", None)[1]["interactive"] is False


def test_all_is_told_after_a_picture_in_the_language_of_then(client):
    """It may have been switched while the picture was in work."""
    functions = {function._id: function for function in client.page.fns.values()}
    names = {key: getattr(function.fn, "__name__", "") for key, function in functions.items()}
    (told,) = (each for key, each in functions.items() if names[key] == "tell_picture")
    assert names[told.trigger_after] == "show"
    # A point that is marked while it is told must not go.
    assert not {"marks", "picture_wrong", "result_wrong"} & {
        output.elem_id for output in told.outputs
    }


def test_buttons_are_off_without_anything_to_work_on(client):
    config = client.page.get_config_file()
    on = {c["props"].get("elem_id"): c["props"].get("interactive") for c in config["components"]}
    assert on["start"] is on["stop"] is on["clear"] is False
    seen = {c["props"].get("elem_id"): c["props"].get("visible") for c in config["components"]}
    assert seen["result"] is seen["angle"] is False
    kinds = {c["type"] for c in config["components"] if c["props"].get("visible") is not False}
    assert "json" not in kinds


def test_every_text_follows_the_language(client):
    """No component says an English word that has a Chinese one, but by the switch."""
    english = {text: key for key, text in WORDS[ENGLISH].items()}
    found = next(f for f in client.page.fns.values() if "updates" in str(f.js))
    word = {component._id for component in found.outputs}
    assert json.dumps(WORDS[CHINESE]["title"]) in found.js
    for block in client.page.blocks.values():
        for attribute in ("label", "value"):
            text = getattr(block, attribute, None)
            if isinstance(text, str) and text in english:
                assert block._id in word, text


@pytest.mark.parametrize("language", WORDS)
def test_a_scale_has_round_distances_where_the_colours_are(language):
    html = scale("inferno", 80.0, 5.0)
    places = dict(reversed(t) for t in re.findall(r'left: ([\d.]+)%"><span[^>]*>([^<]+)', html))
    assert {"80", "20", "10", "5"} <= places.keys()
    for text, place in places.items():
        share = (1 / float(text) - 1 / 80) / (1 / 5 - 1 / 80)
        assert float(place) == pytest.approx(100 * share, abs=0.2)
    assert say(language, "metres") in html
    relative = scale("inferno", None, None)
    assert say(language, "depth_axis") in relative
    assert 'tick"' not in relative
    assert "∞" in scale("inferno", None, 0.001)


def write_and_read(folder):
    return Path(write_video(folder / "a.avi", 5)).read_bytes()


def test_a_camera_is_shown(client, picture):

    content = client.get(f"/gradio_api/file={picture['path']}").content
    url = "data:image/png;base64," + b64encode(content).decode()
    values = [{"url": url}, None, None, "metric", "inferno", ENGLISH, False]
    ok, output = browse(client, "see", values, streams=True)
    assert ok, output
    assert output["data"][0]["path"].startswith(str(client.jobs.folder))
    assert "near" in output["data"][3]
    assert output["data"][5]["visible"]
    for odd in ({"url": "data:image/png;base64,AAAA"}, {"path": picture["path"]}, None):
        ok, output = browse(client, "see", [odd, *values[1:]], streams=True)
        assert ok
        assert output["data"][0] is None


def test_files_of_others_are_neither_read_nor_served(client):
    for path in ("/etc/passwd", __file__, "http://127.0.0.1:1/a.png"):
        kind, _ = call(client, "predict", {"path": path, **FILE}, None, "inferno", ENGLISH, False)
        assert kind == "400"
        assert client.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_refused_uploads_leave_nothing_behind(client, folder):
    before = set(folder.rglob("*"))
    for size in (1_050_000, 3_000_000):
        files = {"files": ("a.png", bytes(size))}
        assert client.post("/gradio_api/upload", files=files).status_code == 413
    many = [("files", ("a.png", bytes(400_000)))] * 4
    assert client.post("/gradio_api/upload", files=many).status_code == 413
    headers = {"content-type": "multipart/form-data; boundary=x"}
    start = b'--x\r\nContent-Disposition: form-data; name="%b"; filename="a"\r\n\r\nabc'
    for form in (start % b"files", start % b"other" + b"\r\n--x--\r\n", b"--y", b""):
        client.post("/gradio_api/upload", content=form, headers=headers)
    assert set(folder.rglob("*")) == before


def test_uploads_are_bounded_in_all(client, folder):
    for number in range(30):
        upload(client, bytes([number]) * 900_000, f"{number}.png")
        total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        assert total < 10_000_000 + 2_000_000
    kind, words = call(client, "predict", upload(client, b"no picture"), None, None, ENGLISH, False)
    assert (kind, words[:38]) == ("error", "This picture cannot be used: a.png: it")


@pytest.mark.parametrize(
    ("root", "sent"), [("/depth", ""), ("https://a.org/depth/", ""), ("/depth", "/depth")]
)
def test_a_page_under_a_prefix(folder, root, sent):
    headers = {"host": "a.org", "origin": "https://a.org", "x-forwarded-proto": "https"}
    with served(folder, root) as client:
        page = client.get(f"{sent}/", headers=headers)
        assert '"root":"https://a.org/depth"' in page.text
        config = client.get(f"{sent}/config", headers=headers).json()
        assert config["root"] == "https://a.org/depth"
        assert client.get(f"{sent}/theme.css", headers=headers).status_code == 200
        answer = client.post(
            f"{sent}/gradio_api/upload", files={"files": ("a.png", b"a")}, headers=headers
        )
        assert answer.status_code == 200
        call_of = {"data": [{"path": answer.json()[0], **FILE}, None, "inferno", ENGLISH, True]}
        path = f"{sent}/gradio_api/call/predict"
        event = client.post(path, json=call_of, headers=headers).json()["event_id"]
        assert "it is no picture" in client.get(f"{path}/{event}", headers=headers).text
