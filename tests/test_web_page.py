"""The page in this process: every call that it makes, in the words that visitors get."""

import json
import time
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("gradio", reason="the page needs gradio, so Python 3.10: requirements-web")

from starlette.testclient import TestClient

from tests.test_web_jobs import model, write_video
from web.jobs import Jobs, Limits
from web.page import application, build_page
from web.protection import Hosts, Protection
from web.words import CHINESE, ENGLISH, WORDS

DONE = "process_completed"
FILE = {"meta": {"_type": "gradio.FileData"}}


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


def browse(client, name, values, event_data=None, streams=False):
    """The same as a browser calls it, of a function's Python name."""
    found = next(f for f in client.page.fns.values() if f.fn and f.fn.__name__ == name)
    session = f"tab {name}"
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
    kind, values = call(client, "predict", picture, "metric", "inferno", ENGLISH)
    assert kind == "complete"
    return values[4]


ODD = [["metric"], {"a": 1}, 3, True, "x", None, [[[]]], {"path": ["a"]}, {"path": "a", **FILE}]


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("place", range(4))
def test_a_prediction_of_anything_gets_words(client, picture, folder, odd, place):
    for language in (ENGLISH, CHINESE):
        values = [picture, "metric", "inferno", language]
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
        ("video", [["a"], "metric", "inferno", False, ENGLISH]),
        ("video", [None, "metric", "inferno", False, ENGLISH]),
        ("video", [{"video": None}, ["metric"], "inferno", "side", ENGLISH]),
        ("video", ["http://127.0.0.1/a.mp4", "metric", "inferno", False, ENGLISH]),
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
    kind, words = call(client, "predict", picture, "metric", "inferno", CHINESE)
    assert (kind, words) == ("error", WORDS[CHINESE]["broken"])
    assert "AttributeError" in caplog.text


def test_everything_goes_as_a_browser_asks_for_it(client, picture, token, tmp_path):
    ok, output = browse(client, "predict", [picture, "metric", "magma", ENGLISH])
    assert ok
    pair, legend, shown, description, *_ = output["data"]
    assert "near" in legend
    assert description["colormap"] == "magma"
    for file in (*pair, shown):
        assert client.get(file["url"]).status_code == 200
    values = [token, None, 70, ENGLISH]
    ok, output = browse(client, "at_click", values, event_data={"index": [5, 7], "value": None})
    assert output["data"][0].startswith("x 5, y 7: depth")
    ok, output = browse(client, "at_click", values, event_data={"index": [9, 7], "value": None})
    assert "metres between the last two points" in output["data"][0]
    for odd in (None, {}, {"index": "a", "value": None}, {"index": [["a"], 1], "value": None}):
        ok, output = browse(client, "at_click", values, event_data=odd)
        assert not ok
        assert output["error"]
        assert "Error" not in output["error"]
    ok, output = browse(client, "make_files", [token, 70, "inferno", ENGLISH])
    mesh, files = output["data"]
    assert [file["orig_name"] for file in files] == [
        "depth.png",
        "depth.npy",
        "points.ply",
        "mesh.glb",
    ]
    assert client.get(mesh["url"]).content[:4] == b"glTF"
    video = upload(client, (write_and_read(tmp_path)), "a.avi")
    ok, output = browse(client, "predict_video", [video, "metric", "inferno", False, ENGLISH])
    assert ok, output
    assert client.get(output["data"][0]["url"]).status_code == 200


def write_and_read(folder):
    return Path(write_video(folder / "a.avi", 5)).read_bytes()


def test_a_camera_is_shown(client, picture):

    content = client.get(f"/gradio_api/file={picture['path']}").content
    url = "data:image/png;base64," + b64encode(content).decode()
    ok, output = browse(client, "see", [{"url": url}, None, "metric", "inferno"], streams=True)
    assert ok, output
    assert output["data"][0]["path"].startswith(str(client.jobs.folder))
    for odd in ({"url": "data:image/png;base64,AAAA"}, {"path": picture["path"]}, None):
        ok, output = browse(client, "see", [odd, None, "metric", "inferno"], streams=True)
        assert ok
        assert output["data"][0] is None


def test_files_of_others_are_neither_read_nor_served(client):
    for path in ("/etc/passwd", __file__, "http://127.0.0.1:1/a.png"):
        kind, _ = call(client, "predict", {"path": path, **FILE}, None, "inferno", ENGLISH)
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
    kind, words = call(client, "predict", upload(client, b"no picture"), None, None, ENGLISH)
    assert (kind, words[:41]) == ("error", "This cannot be read as a picture: a.png: ")


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
        call_of = {"data": [{"path": answer.json()[0], **FILE}, None, "inferno", ENGLISH]}
        path = f"{sent}/gradio_api/call/predict"
        event = client.post(path, json=call_of, headers=headers).json()["event_id"]
        assert "cannot be read as a picture" in client.get(f"{path}/{event}", headers=headers).text
