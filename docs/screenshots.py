"""Look at the page: python docs/screenshots.py WEIGHTS_FOLDER OUT, with chromium installed.

Writes OUT/WIDTH-LANGUAGE-SCHEME-STATE.png for three widths, both languages, light and dark: the
empty page, a picture with two marks, in 3D, a picture that is squeezed (of a model of a fixed
shape) and has a long name, an error, the tabs of video and camera before and after they were
used. page.png is 1280-en-light-marks.png with 256 colours.
"""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.page_load import start_page  # noqa: E402

SIZES = {390: 844, 768: 1024, 1280: 800}
PATIENCE = 60  # seconds
DRAWING = 8  # seconds that a view in space may take, drawn without a GPU
LONG_NAME = "IMG_20261126_123456789_HDR_portrait.jpg"
SCHEMES = ("light", "dark")
LANGUAGES = {"en": "Picture", "zh": "图片"}  # and what the first tab says in them


def open_browser(language: str, profile: Path) -> webdriver.Chrome:
    """A headless browser of a language."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for word in (
        "headless=new no-sandbox enable-unsafe-swiftshader no-first-run "
        "disable-background-networking use-fake-device-for-media-stream "
        "use-fake-ui-for-media-stream hide-scrollbars "
        f"user-data-dir={profile} accept-lang={language}"
    ).split():
        options.add_argument(f"--{word}")
    service = webdriver.chrome.service.Service(shutil.which("chromedriver"))
    return webdriver.Chrome(service=service, options=options)


def look(window: webdriver.Chrome, address: str, folder: Path, start: str, given: Path) -> None:
    """Write pictures of the states of the page, as it is shown first and after some clicks."""

    def load(selector: str) -> None:
        images = f"[...document.querySelectorAll('{selector}')]"
        seen = f"return {images}.length && {images}.every((each) => each.naturalWidth)"
        WebDriverWait(window, PATIENCE).until(lambda _: window.execute_script(seen))

    def found(selector: str) -> object:
        wait = WebDriverWait(window, PATIENCE, ignored_exceptions=[Exception])
        return wait.until(lambda _: window.find_element(By.CSS_SELECTOR, selector))

    def click(element: object) -> None:
        window.execute_script("arguments[0].click()", element)

    def save(state: str) -> None:
        window.save_screenshot(str(folder / f"{start}-{state}.png"))

    window.get(address)
    first = LANGUAGES[start.split("-")[1]]
    WebDriverWait(window, PATIENCE).until(lambda _: found("button[role=tab]").text == first)
    example = found("#examples button")
    load("#examples img")
    save("empty")
    click(example)
    found("#legend .bar")
    load("#slider img")
    image = found("#slider img")
    for number, shift in enumerate((-60, 60), 1):
        ActionChains(window).move_to_element_with_offset(image, shift, 20).click().perform()
        found(f"#marks li:nth-child({number})")
    save("marks")
    click(found("#view_button"))
    found("#view canvas")
    time.sleep(DRAWING)
    save("space")
    for name, said, state in (
        (LONG_NAME, "#legend .bar", "shape"),
        ("broken.png", "#picture_wrong p", "error"),
    ):
        window.get(address)
        found("#picture input[type=file]").send_keys(str(given / name))
        found(said)
        if name == LONG_NAME:
            load("#slider img")
        save(state)
    for number, tab in ((2, "video"), (3, "live")):
        tabs = window.find_elements(By.CSS_SELECTOR, "button[role=tab]")
        click(tabs[number - 1])
        found(f"#{tab}_model")
        save(tab)
        if tab == "video":
            found("#video input[type=file]").send_keys(str(given / "film.webm"))
            click(found("#start:enabled"))
        else:
            click(found("#camera button:not(.upload-container)"))
            time.sleep(DRAWING)
            click(found("#camera .capture-button"))
        found("#video_depth video" if tab == "video" else "#camera_depth img")
        time.sleep(DRAWING)
        save(f"{tab}-depth")


def write_film(path: Path, picture: Path) -> None:
    """A second of a picture that moves to the left."""
    frame = cv2.resize(cv2.imread(str(picture)), (480, 144))
    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"VP80"), 10, (480, 144))
    for number in range(10):
        film.write(np.roll(frame, -4 * number, axis=1))
    film.release()


def main(weights: str, out: str) -> None:
    """Write all of them."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    process = start_page(Path(weights), port)
    temporary = Path(tempfile.mkdtemp())
    (temporary / "broken.png").write_bytes(b"no picture")
    with Image.open(ROOT / "assets" / "examples" / "room.jpg") as room:
        room.crop((200, 0, 440, room.height)).save(temporary / LONG_NAME)
    write_film(temporary / "film.webm", ROOT / "assets" / "test_image.jpg")
    try:
        for language, name in (("en-GB", "en"), ("zh-CN", "zh")):
            window = open_browser(language, temporary / name)
            for scheme in SCHEMES:
                feature = [{"name": "prefers-color-scheme", "value": scheme}]
                window.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": feature})
                for width, height in SIZES.items():
                    size = {"width": width, "height": height}
                    more = {"deviceScaleFactor": 1, "mobile": width == min(SIZES)}
                    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {**size, **more})
                    start = f"{width}-{name}-{scheme}"
                    look(window, f"http://127.0.0.1:{port}", folder, start, temporary)
            window.quit()
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:3])
