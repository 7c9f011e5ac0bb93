"""What the page's components are called, and what Gradio says by itself, in the reader's words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from web.words import CHINESE, GRADIO, TAGS, WORDS, say

SCRIPT = Path(__file__).with_name("names.js")
FAILURES = ("malformed", "broken")  # what Gradio is given to say of them may be there already
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


def script(examples: Mapping[str, str], updates: Mapping[str, list[Any]]) -> str:
    """The script that puts all of this into the page, as Gradio runs it.

    Args:
        examples: words of the examples, by elements of the page as of :data:`NAMES`.
        updates: what the script gives to Gradio, by language.
    """
    texts = {
        language: {**_texts(language, {**NAMES, **examples}), "updates": updates[language]}
        for language in TAGS
    }
    return SCRIPT.read_text(encoding="utf-8").replace("__TEXTS__", json.dumps(texts))


def _texts(language: str, names: Mapping[str, str]) -> dict[str, object]:
    failures = [
        ("|".join(re.escape(words[key]) for words in WORDS.values()), say(language, key))
        for key in FAILURES
    ]
    return {
        "lang": TAGS[language],
        "title": say(language, "title").lstrip("# "),
        "names": {selector: say(language, word) for selector, word in names.items()},
        "words": failures + [(pattern, ours[language == CHINESE]) for pattern, *ours in GRADIO],
        "unseen": say(language, "unseen"),
    }
