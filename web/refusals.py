"""What cannot be done, in words that the page can say in each of its languages."""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets.pictures import LONGEST_SIDE, MOST_PIXELS
from system.errors import InputError
from web.words import ENGLISH, WORDS, Sentence

logger = logging.getLogger(__name__)

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
REASON = "why_{}"  # the word of :data:`web.words.WORDS` for a kind of InputError


class Refusal(Exception):
    """Something that cannot be done, said in the language of who asked for it.

    Args:
        language: of who asked.
        key, values: of the :class:`Sentence`.
    """

    def __init__(self, language: object, key: str, **values: object) -> None:
        self.sentence = Sentence(key, values)
        super().__init__(self.sentence.said(language))


@contextmanager
def resources(language: object) -> Iterator[None]:
    """Refuse work that this computer has no memory or no room on its disk for."""
    try:
        yield
    except Exception as error:
        lacking = _lacking(error)
        if lacking is None:
            raise
        logger.warning("refused: %s", error)
        raise Refusal(language, lacking) from error


def _lacking(error: BaseException | None) -> str | None:
    """What an error, or what caused it, says is used up: a word; None for other errors."""
    while error is not None:
        if getattr(error, "errno", None) in FULL_DISK:
            return "no_room"
        if isinstance(error, MemoryError):
            return "no_memory"
        error = error.__cause__
    return None


def reason(error: InputError, file: Path, folder: Path, pixels: int) -> Sentence | str:
    """Why a visitor's file cannot be used: a sentence, or the error's own words.

    Args:
        error: about the file.
        file: of the visitor.
        folder: of the page's own files; visitors know no paths.
        pixels: that the page takes at most.
    """
    is_empty = file.is_file() and not file.stat().st_size
    key = REASON.format("empty" if is_empty else error.kind)
    if key in WORDS[ENGLISH]:
        return Sentence(key, {"limit": millions(min(pixels, MOST_PIXELS)), "side": LONGEST_SIDE})
    own, separator = re.escape(str(folder) + os.sep), re.escape(os.sep)
    return re.sub(rf"{own}(?:[\w.-]+{separator})*", "", str(error))


def millions(count: int) -> str:
    """A number of millions."""
    return f"{count / 1e6:g}"
