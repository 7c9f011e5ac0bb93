"""How the page looks and is served: components, what each of them calls, and in which language."""

from __future__ import annotations

import html
import logging
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import fastapi
import gradio as gr
import numpy as np

from options import COLORMAPS
from prediction.visualise import COLORMAP, colorize
from web.jobs import ANGLES, Jobs, Refusal
from web.words import ENGLISH, WORDS, language_of, say

logger = logging.getLogger(__name__)

EXAMPLE = str(Path(__file__).parents[1] / "assets" / "test_image.jpg")
KEPT_SESSIONS = 256  # Gradio keeps what they hold
# Fonts of the reader's own system: nothing is fetched.
FONT = ["system-ui", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "sans-serif"]
MONO = ["ui-monospace", "Consolas", "monospace"]
STREAM_EVERY = 0.2  # seconds; frames that come while one is predicted are dropped
LIVE_SECONDS = 600
REMOVE = (600, 7200)  # Gradio's own removal, every so many seconds of files older than so many
TIDY_EVERY = 600  # seconds
BUTTONS = ["download", "fullscreen"]


@dataclass
class Translated:
    """Makes components whose texts follow the language, and knows each one's attribute and word."""

    texts: dict[Any, tuple[str, str]] = field(default_factory=dict)

    def __call__(
        self, kind: Callable[..., Any], key: str, attribute: str = "label", **properties: Any
    ) -> Any:
        """A component that says a word in one of its attributes, and has that word for an id."""
        component = kind(**{attribute: say(ENGLISH, key)}, elem_id=key, **properties)
        self.texts[component] = (attribute, key)
        return component

    def updates(self, language: str) -> list[Any]:
        """What all of them say in a language."""
        return [
            gr.update(**{attribute: say(language, key)}) for attribute, key in self.texts.values()
        ]


@dataclass(frozen=True)
class Common:
    """What all tabs have: the work, the texts, and the choices above the tabs."""

    jobs: Jobs
    word: Translated
    language: gr.Radio
    model: gr.Dropdown
    colormap: gr.Dropdown
    angle: gr.Slider


class Page(gr.Blocks):
    """A page that tells visitors what is wrong in words, and never what Python says."""

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], *args: Any, **named: Any
    ) -> list[Any]:
        """See :meth:`gradio.Blocks.preprocess_data`."""
        try:
            return await super().preprocess_data(block_fn, inputs, *args, **named)
        except gr.Error:
            raise
        except Exception as error:
            logger.info("refused a call: %s", type(error).__name__)
            raise _error(inputs, "malformed") from None

    async def process_api(self, block_fn: Any, inputs: list[Any], *args: Any, **named: Any) -> Any:
        """See :meth:`gradio.Blocks.process_api`."""
        try:
            return await super().process_api(block_fn, inputs, *args, **named)
        except gr.Error:
            raise
        except Exception:
            logger.exception("a call failed")
            raise _error(inputs, "broken") from None


def _error(inputs: list[Any], key: str) -> gr.Error:
    """An error in the language that is among the inputs of a call, if there is one."""
    language = next((each for each in inputs if isinstance(each, str) and each in WORDS), ENGLISH)
    return gr.Error(say(language, key), print_exception=False)


def application(page: gr.Blocks, megabytes: int, root_path: str) -> fastapi.FastAPI:
    """The page as an ASGI application, for uploads of at most so many megabytes.

    Args:
        page: of :func:`build_page`.
        megabytes: of one file.
        root_path: prefix of the page's paths, or its whole address, behind a proxy; or "".
    """
    page.has_launched = True  # so that Gradio checks where the files of calls are
    page.state_session_capacity = KEPT_SESSIONS
    return gr.mount_gradio_app(
        fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
        "",
        theme=gr.themes.Default(font=FONT, font_mono=MONO),
        max_file_size=f"{megabytes}mb",
        allowed_paths=[],
        ssr_mode=False,
        enable_monitoring=False,
        mcp_server=False,
        run_history=False,
        show_error=False,
        footer_links=["api"],
        root_path=root_path or None,
    )


def keep_tidy(jobs: Jobs) -> None:
    """Remove old files every now and then, as long as the process lives."""

    def tidy() -> None:
        while not ended.wait(TIDY_EVERY):
            jobs.tidy()

    ended = threading.Event()
    threading.Thread(target=tidy, daemon=True).start()


def build_page(jobs: Jobs, waiting: int, running: int) -> gr.Blocks:
    """The page.

    Args:
        jobs: what it calls.
        waiting: requests in the queue at most.
        running: pictures predicted at once.
    """
    word = Translated()
    with Page(title="Depth", analytics_enabled=False, delete_cache=REMOVE) as page:
        with gr.Row():
            word(gr.Markdown, "title", "value")
            language = gr.Radio(list(WORDS), value=ENGLISH, show_label=False, elem_id="language")
        word(gr.Markdown, "intro", "value")
        with gr.Row():
            names = list(jobs.models)
            model = word(gr.Dropdown, "model", choices=names, value=names[0])
            colormap = word(gr.Dropdown, "colormap", choices=list(COLORMAPS), value=COLORMAP)
            low, high = ANGLES
            angle = word(gr.Slider, "angle", minimum=low, maximum=high, value=70, step=1)
        common = Common(jobs, word, language, model, colormap, angle)
        with word(gr.Tab, "picture_tab"):
            picture_tab(common, running)
        with word(gr.Tab, "video_tab"):
            video_tab(common)
        with word(gr.Tab, "live_tab"):
            live_tab(common)
        language.change(word.updates, language, list(word.texts), api_visibility="private")
        page.load(greet, None, language, api_visibility="private")
    # Not api_open: calls past the queue would be as many at once as anybody likes.
    page.queue(max_size=waiting, default_concurrency_limit=8, api_open=False)
    return page


def greet(request: gr.Request) -> str:
    """The language that the reader's browser asks for."""
    return language_of(request.headers.get("accept-language", ""))


def path_of(file: Any) -> Any:
    """The path of an uploaded file, as Gradio describes one."""
    if isinstance(file, dict) and isinstance(file.get("video"), dict):
        file = file["video"]
    return file.get("path") if isinstance(file, dict) else None


def told(job: Callable[..., Any]) -> Callable[..., Any]:
    """A job whose refusals the page shows as messages."""

    def call(*given: Any) -> Any:
        try:
            return job(*given)
        except Refusal as error:
            raise gr.Error(str(error), print_exception=False) from error

    return call


def legend(colormap: str, far: float | None, near: float | None, unit: str, language: str) -> str:
    """The colours from far to near, as HTML; with distances where they have a unit."""
    colors = colorize(np.linspace(0, 1, 16)[None], 0, 1, colormap)[0]
    stops = ", ".join(f"rgb({r}, {g}, {b})" for r, g, b in colors)
    ends = "".join(
        f"<span>{say(language, key)}"
        + (f" ({html.escape(f'{value:.3g} {unit}')})" if value is not None else "")
        + "</span>"
        for key, value in (("far", far), ("near", near))
    )
    return (
        f'<div style="height: 1em; background: linear-gradient(to right, {stops})"></div>'
        f'<div style="display: flex; justify-content: space-between">{ends}</div>'
    )


def picture_tab(common: Common, running: int) -> None:
    """A picture, its depth beside it, values at points, a view in space, files."""
    jobs, word = common.jobs, common.word
    token, previous = gr.Textbox(visible=False), gr.State(None)
    with gr.Row():
        sources = ["upload", "clipboard", "webcam"]
        picture = word(gr.Image, "picture", type="filepath", sources=sources)
        slider = word(gr.ImageSlider, "slider", type="filepath", interactive=False)
    colors = gr.HTML(elem_id="legend")
    with gr.Row():
        clicked = word(gr.Image, "clicked", type="filepath", interactive=False, buttons=BUTTONS)
        with gr.Column():
            value = word(gr.Textbox, "value", lines=2)
            description = gr.JSON(show_label=False, elem_id="description")
            more = word(gr.Button, "more", "value")
    with gr.Row():
        view = word(gr.Model3D, "view", interactive=False)
        files = word(gr.File, "files", file_count="multiple", interactive=False)
    tried = gr.Examples([EXAMPLE], picture, label=say(ENGLISH, "examples"))
    word.texts[tried.dataset] = ("label", "examples")

    def predict(
        image: dict[str, Any] | None, model: str, colormap: str, language: str
    ) -> tuple[Any, ...]:
        """Depth of a picture: [picture, depth in colours], legend, depth, what it is, its token."""
        if not image:
            return None, "", None, None, "", "", None
        shown = told(jobs.picture)(path_of(image), model, colormap, language)
        unit = say(language, "metres")
        bar = legend(shown.description["colormap"], shown.far, shown.near, unit, language)
        pair = (str(shown.picture), str(shown.depth))
        token = shown.description["token"]
        return pair, bar, str(shown.depth), shown.description, token, "", None

    def at_click(
        key: str, before: tuple | None, degrees: float, language: str, event: gr.SelectData
    ) -> tuple[str, tuple[int, int]]:
        x, y = event.index
        return told(jobs.point)(key, x, y, before, degrees, language), (x, y)

    def point_of(token: str, x: int, y: int, language: str = ENGLISH) -> str:
        """Depth at a point of an earlier prediction, by its token."""
        return told(jobs.point)(token, x, y, None, 0.0, language)

    def make_files(key: str, degrees: float, colormap: str, language: str) -> tuple[str, list[str]]:
        """Mesh and files of an earlier prediction, by its token."""
        mesh, paths = told(jobs.files)(key, degrees, colormap, language)
        return str(mesh), [str(path) for path in paths]

    choices = [common.model, common.colormap, common.language]
    gr.on(
        [picture.change, common.model.change, common.colormap.change],
        predict,
        [picture, *choices],
        [slider, colors, clicked, description, token, value, previous],
        api_name="predict",
        concurrency_limit=running,
        trigger_mode="always_last",
        preprocess=False,  # here and below: jobs check everything, and say it in our own words
    )
    clicked.select(
        at_click,
        [token, previous, common.angle, common.language],
        [value, previous],
        api_visibility="private",
        preprocess=False,
    )
    gr.api(point_of, api_name="point")
    more.click(
        make_files,
        [token, common.angle, common.colormap, common.language],
        [view, files],
        api_name="files",
        concurrency_limit=running,
        preprocess=False,
    )


def video_tab(common: Common) -> None:
    """A video, and its depth as another one."""
    jobs, word = common.jobs, common.word
    with gr.Row():
        video = word(gr.Video, "video", sources=["upload"])
        depth = word(gr.Video, "video_depth", interactive=False)
    side = word(gr.Checkbox, "side")
    start = word(gr.Button, "start", "value")

    def predict_video(
        file: dict[str, Any] | None,
        model: str,
        colormap: str,
        beside: bool,
        language: str,
        progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008 - as Gradio asks
    ) -> str:
        """Depth of a video, as WebM."""
        return str(told(jobs.video)(path_of(file), model, colormap, beside, language))

    start.click(
        predict_video,
        [video, common.model, common.colormap, side, common.language],
        depth,
        api_name="video",
        concurrency_limit=1,
        preprocess=False,
    )


def live_tab(common: Common) -> None:
    """A camera, and its depth as it comes."""
    shown = gr.State(None)
    with gr.Row():
        camera = common.word(gr.Image, "camera", sources=["webcam"], streaming=True)
        depth = common.word(
            gr.Image, "camera_depth", interactive=False, format="jpeg", buttons=BUTTONS
        )

    def see(
        frame: dict[str, Any] | None, shown: Any, model: str, colormap: str
    ) -> tuple[np.ndarray | None, Any]:
        picture = common.jobs.sent_frame(frame.get("url") if isinstance(frame, dict) else None)
        return told(common.jobs.live)(picture, shown, model, colormap)

    camera.stream(
        see,
        [camera, shown, common.model, common.colormap],
        [depth, shown],
        stream_every=STREAM_EVERY,
        time_limit=LIVE_SECONDS,
        concurrency_limit=1,
        show_progress="hidden",
        api_visibility="private",
        preprocess=False,
    )
