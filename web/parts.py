"""What the tabs of the page are made of: texts that follow the language, choices, messages."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any, Callable

import gradio as gr
import numpy as np

from options import COLORMAPS
from prediction.visualise import COLORMAP, colorize, legend_ticks
from web.jobs import Jobs
from web.refusals import Refusal
from web.words import ENGLISH, TAGS, Sentence, say

LETTER, SCALE = 9.0, 520  # pixels: of a letter, and the width of a scale on which ticks find room
STOPS = 16  # colours of a scale


@dataclass
class Translated:
    """Makes components whose texts follow the language, and knows each one's attribute and word."""

    texts: dict[Any, tuple[str, str, dict[str, object]]] = field(default_factory=dict)

    def __call__(
        self,
        kind: Callable[..., Any],
        key: str,
        attribute: str = "label",
        values: dict[str, object] | None = None,
        **properties: Any,
    ) -> Any:
        """A component that says a word in one of its attributes, and has that word for an id."""
        text, properties = say(ENGLISH, key, **(values or {})), {"elem_id": key, **properties}
        component = kind(**{attribute: text}, **properties)
        self.texts[component] = (attribute, key, values or {})
        return component

    def updates(self, language: str) -> list[Any]:
        """What all of them say in a language."""
        return [
            gr.update(**{attribute: say(language, key, **values)})
            for attribute, key, values in self.texts.values()
        ]


@dataclass(frozen=True)
class Common:
    """What all tabs have: the work, the texts, the language.

    Attributes:
        retold: functions that tell again, with inputs and outputs, when the language changes.
    """

    jobs: Jobs
    word: Translated
    language: gr.Radio
    retold: list[tuple[Callable[..., Any], list[Any], Any]] = field(default_factory=list)

    def choices(self, where: str) -> tuple[gr.Dropdown, gr.Dropdown]:
        """The choice of the model and of the colours, of a tab."""
        names = list(self.jobs.models)
        with gr.Row():
            model = self.word(
                gr.Dropdown,
                "model",
                choices=names,
                value=names[0],
                min_width=100,
                elem_id=f"{where}_model",
            )
            colormap = self.word(
                gr.Dropdown,
                "colormap",
                choices=list(COLORMAPS),
                value=COLORMAP,
                min_width=100,
                elem_id=f"{where}_colormap",
            )
        return model, colormap

    def shape(self, where: str, **properties: Any) -> gr.Checkbox:
        """The choice to pad, in a tab, what a model would squeeze."""
        return self.word(gr.Checkbox, "keep_aspect", elem_id=f"{where}_keep_aspect", **properties)

    def shape_of(self, model: object, language: object) -> dict[str, Any]:
        """How that choice is shown for a model: only those of a fixed shape squeeze anything."""
        size = told(self.jobs.fixed_shape)(model, language)
        info = "" if size is None else say(language, "squeezed", size=size)
        return {"visible": size is not None, "info": info}


def message(where: str) -> gr.HTML:
    """A place for what is wrong, that takes no room until something is."""
    return gr.HTML(visible=False, elem_id=where, elem_classes="message")


def said(sentence: Sentence | None) -> Any:
    """A sentence in a :func:`message`, none for None."""
    if sentence is None:
        return gr.update(value="", visible=False)
    return gr.update(value=f'<p role="alert">{spoken(sentence)}</p>', visible=True)


def spoken(*parts: Sentence) -> str:
    """Sentences as HTML, in all languages: the style shows that of the page."""
    return "".join(
        f'<span class="said" lang="{tag}">'
        f"{html.escape(' · '.join(part.said(language) for part in parts))}</span>"
        for language, tag in TAGS.items()
    )


def told(job: Callable[..., Any]) -> Callable[..., Any]:
    """A job whose refusals programs get as errors."""

    def call(*given: Any) -> Any:
        try:
            return job(*given)
        except Refusal as error:
            raise gr.Error(str(error), print_exception=False) from error

    return call


def path_of(file: Any) -> Any:
    """The path of an uploaded file, as Gradio describes one."""
    if isinstance(file, dict) and isinstance(file.get("video"), dict):
        file = file["video"]
    return file.get("path") if isinstance(file, dict) else None


def scale(
    colormap: str, far: float | None, near: float | None, more: Sentence | None = None
) -> str:
    """The colours from far to near, as HTML: with round distances where they have a unit.

    Args:
        colormap: one of :data:`options.COLORMAPS`.
        far: metres of the darkest colour; None without a unit, or beyond all measure.
        near: of the brightest one; None without a unit.
        more: what else is said, such as a rate.
    """
    colormap = colormap if colormap in COLORMAPS else COLORMAP
    colors = colorize(np.linspace(0, 1, STOPS)[None], 0, 1, colormap)[0]
    stops = ", ".join(f"rgb({r}, {g}, {b})" for r, g, b in colors)
    left, right = spoken(Sentence("far")), spoken(Sentence("near"))
    unit = Sentence("depth_axis" if near is None else "metres")
    middle = spoken(unit) if more is None else spoken(unit, more)
    marks = "".join(
        f'<span class="tick" style="left: {place:.1%}">'
        f'<span style="transform: translateX(-{place:.0%})">{text}</span></span>'
        for place, text in _ticks(far, near)
    )
    return (
        f'<div class="scale"><div class="ends"><span>{left}</span><span>{middle}</span>'
        f"<span>{right}</span></div>"
        f'<div class="bar" style="background: linear-gradient(to right, {stops})"></div>'
        f'<div class="ticks">{marks}</div></div>'
    )


def _ticks(far: float | None, near: float | None) -> list[tuple[float, str]]:
    """Places in [0, 1], from far to near, and texts of round distances; the ends without any."""
    if near is None:
        return []
    low, high = (0.0 if far is None else 1 / far), 1 / near
    ticks = legend_ticks(low, high, SCALE, "", lambda text: LETTER * len(text))
    if len(ticks) > 1:
        return [(column / (SCALE - 1), text) for column, text in ticks]
    return [(0.0, "∞" if far is None else f"{far:.3g}"), (1.0, f"{near:.3g}")]
