"""How the page looks and is served: components, what each of them calls, and in which language."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from typing import Any

import fastapi
import gradio as gr

from web.jobs import Jobs
from web.names import script
from web.parts import Common, Translated, spoken
from web.picture_tab import EXAMPLE_NAMES, picture_tab
from web.video_tab import live_tab, video_tab
from web.words import CHINESE, ENGLISH, WORDS, Sentence, say

logger = logging.getLogger(__name__)

STYLE = Path(__file__).with_name("page.css")
CALLS = Path(__file__).with_name("calls.js")
DEVICES = Path(__file__).with_name("devices.js")
KEPT_SESSIONS = 256  # Gradio keeps what they hold
# Fonts of the reader's own system: nothing is fetched.
FONT = ["system-ui", "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", "sans-serif"]
MONO = ["ui-monospace", "Consolas", "monospace"]
# The language that the reader's browser asks for.
GREETING = f"() => /^zh/i.test(navigator.language) ? '{CHINESE}' : '{ENGLISH}'"
REMOVE = (600, 7200)  # Gradio's own removal, every so many seconds of files older than so many
TIDY_EVERY = 600  # seconds


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
        theme=gr.themes.Default(
            font=FONT, font_mono=MONO, text_size="sm", spacing_size="sm", radius_size="sm"
        ).set(
            body_text_color_subdued="*neutral_500",
            block_info_text_color="*neutral_500",
            checkbox_border_color="*neutral_500",
            checkbox_border_color_dark="*neutral_500",
        ),
        css=STYLE.read_text(encoding="utf-8"),
        head="".join(f"<script>{each}</script>" for each in _scripts()),
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


def _scripts() -> list[str]:
    """What runs before Gradio."""
    told = {key: spoken(Sentence(key)) for key in ("no_camera", "no_paste")}
    devices = DEVICES.read_text(encoding="utf-8").replace("__SAID__", json.dumps(told))
    return [CALLS.read_text(encoding="utf-8"), devices]


def keep_tidy(jobs: Jobs) -> None:
    """Remove old files every now and then, as long as the process lives."""

    def tidy() -> None:
        while not ended.wait(TIDY_EVERY):
            jobs.tidy()

    ended = threading.Event()
    threading.Thread(target=tidy, daemon=True).start()


def build_page(jobs: Jobs, waiting: int, running: int, megabytes: int = 50) -> gr.Blocks:
    """The page.

    Args:
        jobs: what it calls.
        waiting: requests in the queue at most.
        running: pictures predicted at once.
        megabytes: of an upload, which it says.
    """
    word = Translated()
    with Page(title="Depth", analytics_enabled=False, delete_cache=REMOVE, fill_width=True) as page:
        with gr.Row(elem_id="head"):
            with gr.Column(scale=1, min_width=200):
                word(gr.Markdown, "title", "value")
                word(gr.Markdown, "intro", "value")
            language = word(
                gr.Radio, "language", choices=list(WORDS), value=ENGLISH, container=False, scale=0
            )
        common = Common(jobs, word, language)
        with word(gr.Tab, "picture_tab"):
            picture_tab(common, running)
        with word(gr.Tab, "video_tab"):
            left = video_tab(common, megabytes)
        with word(gr.Tab, "live_tab"):
            live_tab(common)
        quiet = {"api_visibility": "private", "show_progress": "hidden"}
        updates = {each: word.updates(each) for each in WORDS}
        # The script comes first: Gradio does what belongs to one event in order.
        named = {"js": script(EXAMPLE_NAMES, updates), **quiet}
        gr.on([page.load, language.change], None, language, list(word.texts), **named)
        for function, inputs, outputs in common.retold:
            language.change(function, inputs, outputs, preprocess=False, **quiet)
        page.load(None, None, language, js=GREETING, **quiet)
        page.unload(left)
    # Not api_open: calls past the queue would be as many at once as anybody likes.
    page.queue(max_size=waiting, default_concurrency_limit=8, api_open=False)
    return page
