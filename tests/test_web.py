"""The page as it is served: its HTTP API, what it refuses, and itself in a browser."""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest
from PIL import Image

for extra in ("gradio", "selenium"):
    pytest.importorskip(extra, reason=f"the page needs {extra}, so Python 3.10: requirements-test")

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from benchmarks.page_load import Page, picture, start_page
from datasets.conventions import STEREO
from networks.monodepth import Architecture, Monodepth
from options import parse
from system.errors import InputError
from web import __main__ as app
from web.words import CHINESE, ENGLISH, say
from weight_files.folder import save_weights
from weight_files.model_info import ModelInfo
from weight_files.published import OFFICIAL_FILES

ROOT = Path(__file__).resolve().parents[1]
TEST_IMAGE = ROOT / "assets" / "test_image.jpg"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights of a model that measures in metres."""
    paddle.seed(0)
    architecture = Architecture(source_ids=(STEREO,))
    model = Monodepth(architecture)
    folder = tmp_path_factory.mktemp("weights") / "street"
    folder.mkdir()
    save_weights(folder, model, ModelInfo(architecture, 64, 96, name="street"))
    return folder


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def server(weights, tmp_path_factory):
    """The one page of these tests: its process, address and temporary folder."""
    temporary, port = tmp_path_factory.mktemp("temporary"), free_port()
    limits = ("--max_megabytes", "2", "--max_waiting", "6", "--max_running", "1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        process = start_page(weights, port, "--engine", "paddle-inference", *limits)
    yield process, Page(f"http://127.0.0.1:{port}"), temporary
    process.terminate()
    process.wait(30)


@pytest.fixture
def page(server):
    return server[1]


def test_a_picture_is_predicted_over_the_api(page):
    kind, values = page.predict(TEST_IMAGE.read_bytes())
    assert kind == "complete"
    pair, legend, details, description, token = values
    assert (description["width"], description["height"]) == (960, 288)
    assert (description["unit"], description["engine"]) == ("m", "paddle-inference")
    assert "near" in legend
    assert "960 x 288" in details
    for file in pair:
        with urllib.request.urlopen(file["url"]) as answer:
            assert Image.open(io.BytesIO(answer.read())).size == (960, 288)
    kind, (words,) = page.call("point", token, 100, 200, "English")
    assert words.startswith("x 100, y 200: depth ")
    kind, (mesh, files) = page.call("files", token, 70, "inferno", "English")
    assert kind == "complete"
    assert mesh["path"].endswith("picture.glb")
    assert len(files) == 5


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.jpg", b""),
        ("cut.jpg", TEST_IMAGE.read_bytes()[:3000]),
        ("drawing.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ("page.png", b"<!DOCTYPE html><script>alert(1)</script>"),
    ],
)
def test_what_is_no_picture_gets_an_answer(page, name, content):
    file = {"path": page.upload(content, name), "meta": {"_type": "gradio.FileData"}}
    kind, error = page.call("predict", file, None, "inferno", "English", False)
    assert kind == "error"
    assert error["error"].startswith(f"This picture cannot be used: {name}")
    kind, error = page.call("predict", file, None, "inferno", "中文", False)
    assert error["error"].startswith("无法使用该图片")
    assert name in error["error"]


def test_too_large_an_upload_is_refused(page):
    with pytest.raises(urllib.error.HTTPError) as caught:
        page.upload(bytes(2_100_000))
    assert caught.value.code == 413


def test_files_of_others_are_neither_read_nor_served(page):
    for path in ("/etc/passwd", str(ROOT / "README.md"), str(TEST_IMAGE)):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        assert page.call("predict", file, None, "inferno", "English", False)[0] == "error"
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{page.address}/gradio_api/file={path}")
        assert caught.value.code == 403


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost"}, 200),
    ],
)
def test_other_names_and_sites_are_not_answered(page, headers, code):
    request = urllib.request.Request(f"{page.address}/config", headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            found = answer.status
    except urllib.error.HTTPError as error:
        found = error.code
    assert found == code


def test_a_large_call_is_refused(page):
    kind, words = page.call("predict", "x" * 30_000_000)
    assert kind == "error"
    assert "2000000 bytes at most" in words


def test_a_video_is_predicted_over_the_api(page, tmp_path):
    path = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    for number in range(6):
        writer.write(np.full((64, 96, 3), 40 * number, np.uint8))
    writer.release()
    uploaded = page.upload(path.read_bytes(), "drive.avi")
    file = {"path": uploaded, "meta": {"_type": "gradio.FileData"}}
    given = {"video": file, "subtitles": None}
    for video in (file, given):
        kind, values = page.call("video", video, "street", "inferno", True, "English", True)
        if kind == "complete":
            break
    assert kind == "complete", values
    assert "depth.webm" in json.dumps(values)


def test_many_clients_are_answered_and_a_full_queue_says_so(page):
    with ThreadPoolExecutor(24) as clients:
        answers = list(clients.map(lambda n: page.predict(picture(n)), range(48)))
    kinds = [kind for kind, _ in answers]
    assert kinds.count("complete") + kinds.count("error") == 48
    assert kinds.count("complete") >= 4
    refusals = [value for kind, value in answers if kind == "error"]
    assert refusals
    assert all("Queue is full" in str(value) for value in refusals)
    assert page.predict(picture(0))[0] == "complete"  # it stays up


@pytest.fixture
def browser(tmp_path):
    """Makes headless browsers of a language."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("needs the programs chromium and chromedriver")
    opened = []

    def open_browser(language):
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for word in (
            "headless=new no-sandbox disable-gpu disable-quic no-first-run "
            "disable-background-networking disable-component-update disable-sync "
            "use-fake-device-for-media-stream deny-permission-prompts window-size=1300,2000 "
            f"user-data-dir={tmp_path / 'profile'}{len(opened)} accept-lang={language}"
        ).split():
            options.add_argument(f"--{word}")
        downloads = {"download.default_directory": str(tmp_path / "downloads")}
        options.add_experimental_option("prefs", downloads)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        service = webdriver.chrome.service.Service(driver)
        opened.append(webdriver.Chrome(service=service, options=options))
        return opened[-1]

    yield open_browser
    for each in opened:
        each.quit()


def requested_hosts(browser):
    """The hosts that the page had requests sent to."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    outside = [url for url in urls if url.startswith(("http", "ws"))]
    return {urllib.parse.urlsplit(url).hostname for url in outside}


NAMED = re.compile(
    "application|button|Canvas|checkbox|combobox|group|image|link|listbox|radio|slider|spinbutton|"
    "tab|tabpanel|textbox"
)
IN_BOTH = re.compile(r"test_image[\w.]*|English|street|inferno|.*[\u4e00-\u9fff].*", re.DOTALL)


def assert_all_is_named(window, tongue):
    """Every control and picture has a name for those who do not see it, in their language."""
    window.execute_cdp_cmd("Accessibility.enable", {})
    nodes = window.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = [
        (node["role"]["value"], node["name"].get("value", "").strip())
        for node in nodes
        if not node["ignored"] and NAMED.fullmatch(node["role"]["value"])
    ]
    assert {"button", "radio", "tab", "combobox"} <= {role for role, _ in named}
    assert not [role for role, name in named if not name]
    if tongue == CHINESE:
        assert not [name for _, name in named if not IN_BOTH.fullmatch(name)]


def assert_keys_reach_all(window):
    """The Tab key comes to every control there is, and one sees where it is."""
    reached, rounds = [], 0  # it goes on from where the mouse was, and round by the window
    while rounds < 2 and len(reached) < 60:
        ActionChains(window).send_keys(Keys.TAB).perform()
        at = window.execute_script(
            "const at = document.activeElement, style = getComputedStyle(at);"
            "return at === document.body ? null : [at, style.outlineStyle, style.outlineWidth]"
        )
        if at is None or at[0] in reached:
            rounds += 1
            continue
        assert at[1:] == ["solid", "3px"], at[0].get_attribute("outerHTML")
        reached.append(at[0])
    controls = window.execute_script(
        "return [...document.querySelectorAll("
        "'button, input:not([type=file]), [role=slider], [role=application]')]"
        ".filter((each) => each.checkVisibility({visibilityProperty: true}) && !each.disabled"
        " && each.tabIndex >= 0)"  # Gradio measures copies of the tabs, which nobody sees
    )
    assert not [each.get_attribute("outerHTML") for each in controls if each not in reached]


def finder(window):
    """Finds an element of the window, with a text in it, as soon as it is there."""

    def found(selector, text=None):
        def look(_):
            elements = window.find_elements(By.CSS_SELECTOR, selector)
            return next((e for e in elements if text is None or text in e.text), None)

        try:
            return WebDriverWait(window, 60, ignored_exceptions=[Exception]).until(look)
        except TimeoutException:
            page = window.find_element(By.ID, "result").get_attribute("outerHTML")
            pytest.fail(f"{selector}, {text}: not in {page}")

    return found


LATE_ANSWERS = """
const plain = window.fetch;
let isFirst = true;
window.fetch = async (...given) => {
  const answer = await plain(...given);
  if (!isFirst || !/queue.data/.test(given[0].url ?? given[0])) return answer;
  isFirst = false;
  return new Response(answer.body.pipeThrough(new TransformStream({
    transform: async (part, out) => {
      await new Promise((resolve) => setTimeout(resolve, 1500));
      out.enqueue(part);
    },
  })), answer);
};
"""


def test_a_call_at_the_end_of_another_is_answered(page, browser):
    """The stream of the first call has ended when the second comes, and nobody knows yet."""
    window = browser("en-GB")
    window.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LATE_ANSWERS})
    window.get(page.address)
    found = finder(window)
    found("#picture input[type=file]").send_keys(str(TEST_IMAGE))
    found("#slider img")


@pytest.mark.parametrize(("language", "tongue"), [("en-GB", ENGLISH), ("zh-CN", CHINESE)])
def test_the_page_in_a_browser(page, browser, tmp_path, language, tongue):
    window = browser(language)
    window.get(page.address)
    found = finder(window)
    found("button[role=tab]", say(tongue, "picture_tab"))
    found("#picture input[type=file]").send_keys(str(TEST_IMAGE))
    found("#slider img")
    found("#legend", say(tongue, "near"))
    assert window.title == say(tongue, "title")[3:]
    image = found("#slider img")
    for number, shift in enumerate((-60, 60), 1):
        ActionChains(window).move_to_element_with_offset(image, shift, 25).click().perform()
        found(f"#marks li:nth-child({number})", say(tongue, "metres"))
        found(f"#mark_layer .mark:nth-child({number})", str(number))
    found("#slider [role=application]").send_keys(Keys.ARROW_LEFT, Keys.ENTER)
    found("#marks li:nth-child(3)", "from 2" if tongue == ENGLISH else "与点 2 相距")
    handle = found("#slider [role=slider]")
    for key, share in ((Keys.END, 100), (Keys.HOME, 0)):
        handle.send_keys(key)
        found(f"#slider [role=slider][aria-valuenow='{share}']")
    assert_keys_reach_all(window)
    found("#view_button").click()
    found("#view canvas[tabindex='0']")
    assert_all_is_named(window, tongue)
    save = found("#save_numbers", "test_image_depth.npy")
    window.execute_script("arguments[0].click()", save)

    def downloaded(_):
        return list((tmp_path / "downloads").glob("*.npy"))

    (file,) = WebDriverWait(window, 60).until(downloaded)
    assert np.load(file, allow_pickle=False).shape == (288, 960)

    (tmp_path / "broken.png").write_bytes(b"no picture")
    window.get(page.address)
    found("#picture input[type=file]").send_keys(str(tmp_path / "broken.png"))
    other = CHINESE if tongue == ENGLISH else ENGLISH
    for spoken in (tongue, other, tongue):  # what is wrong follows the switch
        window.find_elements(By.CSS_SELECTOR, "#language input")[spoken == CHINESE].click()
        why = say(spoken, "why_no_picture")
        found("#picture_wrong p", say(spoken, "unreadable", name="broken.png", why=why))
    assert not window.find_elements(By.CSS_SELECTOR, ".toast-body")
    for number in (1, 2):
        window.find_elements(By.CSS_SELECTOR, "button[role=tab]")[number].click()
        found(f"#{('video', 'live')[number - 1]}_model input")
        assert_all_is_named(window, tongue)
    window.execute_script("document.querySelector('#camera button:not(.upload-container)').click()")
    found("#device_wrong p", say(tongue, "no_camera"))
    # What Gradio says is in the reader's language, and covers nothing.
    (tmp_path / "long.png").write_bytes(bytes(2_100_000))
    window.get(page.address)
    found("#picture input[type=file]").send_keys(str(tmp_path / "long.png"))
    notice = found(".toast-body", "larger than 2.0 MB" if tongue == ENGLISH else "超过 2.0 MB")
    assert notice.rect["y"] + notice.rect["height"] <= found("#head").rect["y"]
    # The switch reaches what is there already.
    window.find_elements(By.CSS_SELECTOR, "#language input")[tongue == ENGLISH].click()
    found("button[role=tab]", say(other, "picture_tab"))
    assert_all_is_named(window, other)
    assert requested_hosts(window) == {"127.0.0.1"}


def test_a_page_without_a_model_offers_depth_anything(monkeypatch):
    asked = []

    def refuse(name):
        asked.append(name)
        raise InputError("not here")

    monkeypatch.setattr("weight_files.download.named_model", refuse)
    with pytest.raises(InputError, match="not here"):
        app.load_models(parse(app.AppOptions, []))
    assert asked == ["depth_anything_v2_small"]
    assert next(iter(OFFICIAL_FILES)) == "depth_anything_v2_small"


def test_gradio_is_imported_without_looking_at_its_source():
    code = """
import inspect, pathlib
from web.__main__ import without_stubs
read, asked = pathlib.Path.read_text, []
pathlib.Path.read_text = lambda path, *a, **k: asked.append(path.suffix) or read(path, *a, **k)
with without_stubs():
    import gradio
assert not {".py", ".pyi"} & set(asked), asked
assert inspect.getfile(gradio.Image).endswith("image.py")
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


def test_models_are_called_what_model_json_says(weights):
    options = parse(app.AppOptions, ["--load_weights_folder", str(weights), "--engine", "paddle"])
    assert list(app.load_models(options)) == ["street"]
    names = []
    for folder, engine in (("a/best", ""), ("b/best", ""), ("b/best", ""), ("b/best", "onnx")):
        names.append(app.new_name("street", Path(folder), engine, names))
    assert names == ["street", "street, best", "street, b/best", "street (onnx)"]
    assert app.new_name("", Path("a/best"), "", []) == "best"


def test_a_port_that_is_taken_is_said(weights, capfd):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        port = one.getsockname()[1]
        words = ["--load_weights_folder", str(weights), "--port", str(port)]
        before = signal.getsignal(signal.SIGTERM), dict(os.environ)
        try:
            with pytest.raises(InputError, match=f"--port {port}: cannot be served"):
                app.main([*words, "--engine", "paddle"])
        finally:
            signal.signal(signal.SIGTERM, before[0])
            os.environ.clear()
            os.environ.update(before[1])


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_its_temporary_files_are_removed_at_the_end(server):
    process, page, temporary = server
    assert page.predict(picture(0))[0] == "complete"
    assert list(temporary.glob("depth-page-*"))
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert not list(temporary.glob("depth-page-*"))
