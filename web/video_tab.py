"""The tabs of moving pictures: a video that is sent, and a camera as it goes."""

from __future__ import annotations

import time
from typing import Any, Callable

import gradio as gr

from web.jobs import ShownVideo
from web.orders import Orders
from web.parts import Common, message, path_of, said, scale, told
from web.refusals import Refusal, resources
from web.words import ENGLISH, Sentence

STREAM_EVERY = 0.2  # seconds; frames that come while one is predicted are dropped
LIVE_SECONDS = 600
NEAR = "() => document.getElementById('video_depth')?.scrollIntoView({ block: 'nearest' })"
RATE_MEMORY = 0.8  # share of the earlier frames in the rate that is said


def video_tab(  # noqa: PLR0915
    common: Common, megabytes: int
) -> Callable[[gr.Request], None]:
    """A video, and its depth as another one.

    Returns:
        What to do when a visitor goes away: nobody waits for the video then.
    """
    jobs, word, orders = common.jobs, common.word, Orders()
    order = gr.State()
    limits = {
        "frames": jobs.limits.frames,
        "megabytes": megabytes,
        "seconds": f"{jobs.limits.seconds:g}",
    }
    with gr.Row():
        with gr.Column(scale=1, min_width=270):
            video = word(gr.Video, "video", sources=["upload"], height=240)
            wrong = message("video_wrong")
            word(gr.Markdown, "video_limits", "value", limits)
            model, colormap = common.choices("video")
            padded = _shape(common, "video", model)
            side = word(gr.Checkbox, "side")
            with gr.Row():
                start = word(gr.Button, "start", "value", interactive=False, variant="primary")
                stop = word(gr.Button, "stop", "value", interactive=False, variant="stop")
        with gr.Column(scale=3, min_width=320, visible=False) as result:
            depth = word(gr.Video, "video_depth", interactive=False, height=420)
            legend = gr.HTML()

    def work(file: Any, *given: Any) -> ShownVideo:
        return jobs.video(path_of(file), *given)

    def predict_video(
        file: dict[str, Any] | None,
        model: str,
        colormap: str,
        beside: bool,
        language: str,
        keep_aspect: bool,
    ) -> str:
        """Depth of a video, as WebM."""
        shown = told(work)(file, model, colormap, beside, language, None, keep_aspect)
        return str(shown.video)

    def show_video(
        file: dict[str, Any] | None,
        model: str,
        colormap: str,
        beside: bool,
        language: str,
        keep_aspect: bool,
        order: str,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(track_tqdm=True),  # noqa: B008 - as Gradio asks
    ) -> tuple[Any, ...]:
        visitor, watch = request.session_hash, jobs.watch()
        if not orders.begin(visitor, order, watch):
            return tuple(gr.skip() for _ in output)
        try:
            shown = work(file, model, colormap, beside, language, watch, keep_aspect)
        except Refusal as error:
            return None, "", said(error.sentence), gr.update(visible=False)
        finally:
            orders.end(visitor, order)
        bar = scale(shown.colormap, shown.far, shown.near)
        return str(shown.video), bar, said(shown.short), gr.update(visible=True)

    def begin(request: gr.Request) -> list[Any]:
        key = orders.place(request.session_hash)
        if key is None:  # the button was pressed twice
            return [gr.skip()] * 7
        off, on = gr.update(interactive=False), gr.update(interactive=True)
        return [off, on, gr.update(visible=True), None, "", said(None), key]

    def end(file: Any, request: gr.Request) -> list[Any]:
        busy = orders.has(request.session_hash)
        return [gr.update(interactive=bool(file) and not busy), gr.update(interactive=busy)]

    def change(file: Any, request: gr.Request) -> list[Any]:
        waited = orders.stop(request.session_hash)
        stopped = [said(Sentence("stopped")), gr.update(visible=False)]
        return [*end(file, request), *(stopped if waited else [gr.skip()] * 2)]

    def leave(request: gr.Request) -> None:
        orders.stop(request.session_hash)

    quiet = {"api_visibility": "private", "show_progress": "hidden", "preprocess": False}
    given = [video, model, colormap, side, common.language, padded]
    output = [depth, legend, wrong, result]
    # One that is replaced or taken away is as little wanted as one that is stopped.
    gr.on(
        [video.change, video.clear, stop.click],
        change,
        video,
        [start, stop, wrong, result],
        trigger_mode="multiple",
        **quiet,
    )
    begun = start.click(begin, None, [start, stop, result, depth, legend, wrong, order], **quiet)
    begun.then(None, js=NEAR, api_visibility="private")
    # One video at a time, whoever asks.
    one = {"concurrency_limit": 1, "concurrency_id": "video", "preprocess": False}
    # Not after the press of the button: a second one gives no order.
    done = order.change(
        show_video,
        [*given, order],
        output,
        api_visibility="private",
        show_progress_on=depth,
        **one,
    )
    done.then(end, video, [start, stop], **quiet)
    gr.Button(visible=False).click(predict_video, given, depth, api_name="video", **one)
    return leave


def live_tab(common: Common) -> None:
    """A camera, and its depth as it comes."""
    word = common.word
    shown, last = gr.State(None), gr.State(None)
    with gr.Row():
        with gr.Column(scale=1, min_width=270):
            camera = word(gr.Image, "camera", sources=["webcam"], streaming=True, height=300)
            wrong = message("live_wrong")
            word(gr.Markdown, "live_hint", "value")
            model, colormap = common.choices("live")
            padded = _shape(common, "live", model)
        with gr.Column(scale=3, min_width=320, visible=False, elem_classes="result") as result:
            depth = word(
                gr.Image, "camera_depth", interactive=False, format="jpeg", height=460, buttons=[]
            )
            legend = gr.HTML()

    def see(
        frame: Any,
        shown: Any,
        last: Any,
        model: str,
        colormap: str,
        language: str,
        keep_aspect: bool,
    ) -> tuple[Any, ...]:
        jobs = common.jobs
        try:
            with resources(language):
                picture = jobs.sent_frame(frame.get("url") if isinstance(frame, dict) else None)
                colors, shown = jobs.live(picture, shown, model, colormap, keep_aspect)
        except Refusal as error:
            return None, shown, None, "", said(error.sentence), gr.update(visible=False)
        if colors is None:
            return None, shown, last, "", gr.skip(), gr.skip()
        last = _rate(last)
        far, near = jobs.ends(model, shown.low, shown.high)
        bar = scale(colormap, far, near, _said_rate(last))
        first = (said(None), gr.update(visible=True)) if last[1] is None else [gr.skip()] * 2
        return colors, shown, last, bar, *first

    camera.stream(
        see,
        [camera, shown, last, model, colormap, common.language, padded],
        [depth, shown, last, legend, wrong, result],
        stream_every=STREAM_EVERY,
        time_limit=LIVE_SECONDS,
        concurrency_limit=1,
        show_progress="hidden",
        api_visibility="private",
        preprocess=False,
    )


def _shape(common: Common, where: str, model: gr.Dropdown) -> gr.Checkbox:
    """The choice to pad what moves, while the model of a tab is of a fixed shape."""
    padded = common.shape(where, **common.shape_of(model.value, ENGLISH))
    told_of = (lambda *chosen: gr.update(**common.shape_of(*chosen)), [model, common.language])
    quiet = {"api_visibility": "private", "show_progress": "hidden", "preprocess": False}
    model.change(*told_of, padded, **quiet)
    common.retold.append((*told_of, padded))
    return padded


def _rate(last: tuple[float, float | None] | None) -> tuple[float, float | None]:
    """When a frame was shown, and the seconds between frames lately; None after the first one."""
    now = time.monotonic()
    if last is None:
        return now, None
    before, seconds = last
    passed = now - before
    if seconds is not None:
        passed = RATE_MEMORY * seconds + (1 - RATE_MEMORY) * passed
    return now, passed


def _said_rate(last: tuple[float, float | None]) -> Sentence | None:
    """The frames per second of :func:`_rate`; None while there is no second frame."""
    return Sentence("rate", {"rate": f"{1 / last[1]:.1f}"}) if last[1] else None
