"""How the page looks: Gradio components, what each of them calls, and in which language."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import gradio as gr
import numpy as np

from prediction.visualise import COLORMAP, COLORMAPS, colorize
from web.jobs import Jobs, Refusal
from web.words import ENGLISH, LANGUAGES, language_of, say

FONT = ["system-ui", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "sans-serif"]
MONO = ["ui-monospace", "Consolas", "monospace"]
STREAM_EVERY = 0.2  # seconds; frames that come while one is predicted are dropped
LIVE_SECONDS = 600
REMOVE = (600, 3600)  # every so many seconds, uploads older than so many
BUTTONS = ["download", "fullscreen"]


def theme() -> gr.themes.Base:
    """Fonts of the reader's own system: nothing is fetched."""
    return gr.themes.Default(font=FONT, font_mono=MONO)


@dataclass
class Translated:
    """The components whose texts follow the language: each with its attribute and word."""

    texts: dict[Any, tuple[str, str]] = field(default_factory=dict)

    def __call__(self, component: Any, key: str, attribute: str = "label") -> Any:
        """Have an attribute of a component say a word."""
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


def build_page(jobs: Jobs, examples: Sequence[Path], waiting: int, running: int) -> gr.Blocks:
    """The page.

    Args:
        jobs: what it calls.
        examples: pictures to try.
        waiting: requests in the queue at most.
        running: pictures predicted at once.
    """
    word = Translated()
    with gr.Blocks(title="Depth", analytics_enabled=False, delete_cache=REMOVE) as page:
        with gr.Row():
            word(gr.Markdown(say(ENGLISH, "title")), "title", "value")
            language = gr.Radio(LANGUAGES, value=ENGLISH, show_label=False, elem_id="language")
        word(gr.Markdown(say(ENGLISH, "intro")), "intro", "value")
        with gr.Row():
            names, maps = list(jobs.models), list(COLORMAPS)
            model = gr.Dropdown(names, value=names[0], label=say(ENGLISH, "model"))
            colormap = gr.Dropdown(maps, value=COLORMAP, label=say(ENGLISH, "colormap"))
            angle = gr.Slider(20, 150, value=70, step=1, label=say(ENGLISH, "angle"))
        common = Common(
            jobs,
            word,
            language,
            word(model, "model"),
            word(colormap, "colormap"),
            word(angle, "angle"),
        )
        for key, build in (
            ("picture_tab", lambda: picture_tab(common, examples, running)),
            ("video_tab", lambda: video_tab(common)),
            ("live_tab", lambda: live_tab(common)),
        ):
            with gr.Tab(say(ENGLISH, key), elem_id=key) as tab:
                word(tab, key)
                build()
        language.change(word.updates, language, list(word.texts), api_visibility="private")
        page.load(greet, None, language, api_visibility="private")
    page.queue(max_size=waiting, default_concurrency_limit=8)
    return page


def greet(request: gr.Request) -> str:
    """The language that the reader's browser asks for."""
    return language_of(request.headers.get("accept-language", ""))


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
    words = {"far": far, "near": near}
    ends = "".join(
        f"<span>{say(language, key)}"
        + (f" ({html.escape(f'{value:.3g} {unit}')})" if value is not None else "")
        + "</span>"
        for key, value in words.items()
    )
    return (
        f'<div style="height: 1em; background: linear-gradient(to right, {stops})"></div>'
        f'<div style="display: flex; justify-content: space-between">{ends}</div>'
    )


def picture_tab(common: Common, examples: Sequence[Path], running: int) -> None:
    """A picture, its depth beside it, values at points, a view in space, files."""
    jobs, word, label = common.jobs, common.word, lambda key: say(ENGLISH, key)
    token, previous = gr.Textbox(visible=False), gr.State(None)
    with gr.Row():
        sources = ["upload", "clipboard", "webcam"]
        picture = gr.Image(
            type="filepath", sources=sources, label=label("picture"), elem_id="picture"
        )
        slider = gr.ImageSlider(
            type="filepath", label=label("slider"), interactive=False, elem_id="slider"
        )
    colors = gr.HTML(elem_id="legend")
    with gr.Row():
        clicked = gr.Image(
            type="filepath",
            label=label("clicked"),
            interactive=False,
            buttons=BUTTONS,
            elem_id="clicked",
        )
        with gr.Column():
            value = gr.Textbox(label=label("value"), lines=2, elem_id="value")
            description = gr.JSON(show_label=False, elem_id="description")
            more = word(gr.Button(label("more"), elem_id="more"), "more", "value")
    with gr.Row():
        view = gr.Model3D(label=label("view"), interactive=False, elem_id="view")
        files = gr.File(
            label=label("files"), file_count="multiple", interactive=False, elem_id="files"
        )
    for component, key in (
        (picture, "picture"),
        (slider, "slider"),
        (clicked, "clicked"),
        (value, "value"),
        (view, "view"),
        (files, "files"),
    ):
        word(component, key)
    tried = gr.Examples([str(path) for path in examples], picture, label=label("examples"))
    word(tried.dataset, "examples")

    def predict(
        image: dict[str, Any] | None, model: str, colormap: str, language: str
    ) -> tuple[Any, ...]:
        """Depth of a picture: [picture, depth in colours], legend, depth, what it is, its token."""
        if not image:
            return None, "", None, None, "", "", None
        shown = told(jobs.picture)(image.get("path"), model, colormap, language)
        unit = say(language, "metres")
        bar = legend(shown.description["colormap"], shown.far, shown.near, unit, language)
        pair = (str(shown.picture), str(shown.depth))
        return pair, bar, str(shown.depth), shown.description, shown.token, "", None

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
        preprocess=False,  # damaged pictures get our own message
    )
    clicked.select(
        at_click,
        [token, previous, common.angle, common.language],
        [value, previous],
        api_visibility="private",
    )
    gr.api(point_of, api_name="point")
    more.click(
        make_files,
        [token, common.angle, common.colormap, common.language],
        [view, files],
        api_name="files",
        concurrency_limit=running,
    )


def video_tab(common: Common) -> None:
    """A video, and its depth as another one."""
    jobs, word = common.jobs, common.word
    with gr.Row():
        video = gr.Video(sources=["upload"], label=say(ENGLISH, "video"), elem_id="video")
        depth = gr.Video(
            label=say(ENGLISH, "video_depth"), interactive=False, elem_id="video_depth"
        )
    side = gr.Checkbox(label=say(ENGLISH, "side"))
    start = gr.Button(say(ENGLISH, "start"), elem_id="start")
    word(video, "video")
    word(depth, "video_depth")
    word(side, "side")
    word(start, "start", "value")

    def predict_video(
        path: str | None,
        model: str,
        colormap: str,
        beside: bool,
        language: str,
        progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008 - as Gradio asks
    ) -> str:
        """Depth of a video, as WebM."""
        return str(told(jobs.video)(path, model, colormap, beside, language))

    start.click(
        predict_video,
        [video, common.model, common.colormap, side, common.language],
        depth,
        api_name="video",
        concurrency_limit=1,
    )


def live_tab(common: Common) -> None:
    """A camera, and its depth as it comes."""
    shown = gr.State(None)
    with gr.Row():
        camera = gr.Image(
            sources=["webcam"], streaming=True, label=say(ENGLISH, "camera"), elem_id="camera"
        )
        depth = gr.Image(
            label=say(ENGLISH, "camera_depth"),
            interactive=False,
            format="jpeg",
            buttons=BUTTONS,
            elem_id="camera_depth",
        )
    common.word(camera, "camera")
    common.word(depth, "camera_depth")
    camera.stream(
        told(common.jobs.live),
        [camera, shown, common.model, common.colormap],
        [depth, shown],
        stream_every=STREAM_EVERY,
        time_limit=LIVE_SECONDS,
        concurrency_limit=1,
        show_progress="hidden",
        api_visibility="private",
    )
