"""What the page's components are called, and what Gradio says by itself, in the reader's words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from web.words import CHINESE, ENGLISH, GRADIO, say

SCRIPT = Path(__file__).with_name("names.js")
TAGS = {ENGLISH: "en", CHINESE: "zh-CN"}
# Elements that have no name of their own, and the word that is their name.
NAMES = {
    "#language": "language",
    "#picture_tab": "picture_tab",
    "#video_tab": "video_tab",
    "#live_tab": "live_tab",
    "#picture img": "picture",
    "#picture video": "camera",
    "#slider img": "slider",
    "#slider [data-testid=slider]": "handle",
    "[id$=_model] [role=listbox]": "model",
    "[id$=_colormap] [role=listbox]": "colormap",
    "#view canvas": "view",
    "#video video": "video",
    "#video_depth video": "video_depth",
    "#camera video": "camera",
    "#camera_depth img": "camera_depth",
}


def script(examples: Mapping[str, str]) -> str:
    """The script that puts all of this into the page, as Gradio runs it.

    Args:
        examples: words of the examples, by elements of the page as of :data:`NAMES`.
    """
    texts = {language: _texts(language, {**NAMES, **examples}) for language in TAGS}
    return SCRIPT.read_text(encoding="utf-8").replace("__TEXTS__", json.dumps(texts))


def _texts(language: str, names: Mapping[str, str]) -> dict[str, object]:
    return {
        "lang": TAGS[language],
        "names": {selector: say(language, word) for selector, word in names.items()},
        "words": [(pattern, ours[language == CHINESE]) for pattern, *ours in GRADIO],
        "unseen": say(language, "unseen"),
    }
