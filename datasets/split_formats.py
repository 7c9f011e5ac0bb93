"""Lists of frames as other projects write them, made into lines ``folder frame side``.

Each form is a row of :data:`FORMS`. Paths may have ``\\`` in the place of ``/``, and whatever comes
before the day's folder in a path is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Callable

from system.errors import InputError

SIDE_OF_CAMERA = {"02": "l", "03": "r"}
MOST_DIGITS = 10  # of the number of a frame, as KITTI writes it
SHOWN = 3  # lines that are named in a refusal
NO_DEPTH = "None"  # in BTS's lists

# A path of KITTI raw; a drive of one's own may have another name.
IMAGE = re.compile(
    r"(?:.*/)?(?P<folder>[^/\s]+/[^/\s]+)/image_(?P<camera>\d\d)/data/(?P<frame>[0-9]{1,10})"
    r"\.(?:jpg|jpeg|png)",
    re.IGNORECASE,
)
DEPTH = re.compile(
    r"(?:.*/)?(?P<drive>[^/\s]+)/proj_depth/groundtruth/image_(?P<camera>\d\d)/(?P<frame>[0-9]{1,10})\.png",
    re.IGNORECASE,
)
# A folder of frames that SfMLearner prepares: drive and camera in one name.
PREPARED = re.compile(
    r"(?:.*/)?(?P<drive>(?P<day>\d{4}_\d\d_\d\d)_drive_\d{4}_sync)_(?P<camera>\d\d)"
)
NUMBER = re.compile(r"\d+(?:\.\d+)?")


class _Unclear(ValueError):
    """A line has the form of a list, but contradicts itself."""


@dataclass(frozen=True)
class Converted:
    """A list of frames.

    Attributes:
        lines: ``folder frame side``, in the order of the list.
        form: what the list was taken for, in words.
        without_depth: lines that name no depth, in a list that names depth.
    """

    lines: list[str]
    form: str
    without_depth: int


def _own(words: list[str]) -> str | None:
    if len(words) != 3 or not is_frame(words[1]) or words[2] not in ("l", "r"):
        return None
    return " ".join(words)


def _sfmlearner(words: list[str]) -> str | None:
    match = PREPARED.fullmatch(words[0])
    if match is None or len(words) != 2 or not is_frame(words[1]):
        return None
    return f"{match['day']}/{match['drive']} {words[1]} {_side(match['camera'])}"


def _pair(words: list[str]) -> str | None:
    first, second = (IMAGE.fullmatch(words[i]) if i < len(words) else None for i in (0, 1))
    if len(words) != 2 or first is None or second is None:
        return None
    if first["folder"] != second["folder"] or int(first["frame"]) != int(second["frame"]):
        raise _Unclear("its two images are not of the same frame")
    if _side(first["camera"]) == _side(second["camera"]):
        raise _Unclear("its two images are of the same camera")
    return _line(first)


def _image(words: list[str]) -> str | None:
    match = IMAGE.fullmatch(words[0]) if len(words) == 1 else None
    return _line(match) if match else None


def _with_depth(words: list[str]) -> str | None:
    image = IMAGE.fullmatch(words[0])
    if len(words) != 3 or image is None or not NUMBER.fullmatch(words[2]):
        return None
    if words[1] == NO_DEPTH:
        return _line(image)
    depth = DEPTH.fullmatch(words[1])
    if depth is None:
        return None
    drive = image["folder"].rpartition("/")[2]
    if (drive, image["camera"], int(image["frame"])) != (
        depth["drive"],
        depth["camera"],
        int(depth["frame"]),
    ):
        raise _Unclear("its image and its depth are not of the same frame")
    return _line(image)


# What a form is called, and its function from the words of a line to ours, or to None.
FORMS: tuple[tuple[str, Callable[[list[str]], str | None]], ...] = (
    ("lines of this form already: folder, frame, side", _own),
    ("SfMLearner's: folder of a drive and camera, frame", _sfmlearner),
    ("Monodepth's: the images of a stereo pair, the first being the target", _pair),
    ("paths of images", _image),
    ("BTS's: image, improved depth, focal length", _with_depth),
)


def convert(lines: Iterable[str], source: str) -> Converted:
    """Make lines ``folder frame side`` of a list of frames in any of :data:`FORMS`.

    Args:
        lines: of the list; empty ones are left out.
        source: of the lines, for messages.

    Raises:
        InputError: there is no line, or lines are of no form or of another one than the first.
    """
    made: list[str] = []
    refused: list[tuple[int, str, str]] = []
    form = None
    without_depth = 0
    for number, line in enumerate(lines, start=1):
        words = line.replace("\\", "/").split()
        if not words:
            continue
        try:
            found = _read(words)
        except _Unclear as error:
            refused.append((number, line, str(error)))
            continue
        if found is None:
            refused.append((number, line, "is of no known form"))
        elif form is not None and found[0] != form:
            refused.append((number, line, f"is not of the form of the lines before ({form})"))
        else:
            form, converted = found
            made.append(converted)
            without_depth += NO_DEPTH in words
    if refused:
        number, line, why = refused[0]
        others = [str(other) for other, *_ in refused[1 : SHOWN + 1]]
        dots = ", …" if len(refused) > SHOWN + 1 else ""
        rest = f"; {len(refused) - 1} more: line {', '.join(others)}{dots}" if others else ""
        raise InputError(
            f"{source}, line {number}: '{line.strip()[:120]}' {why}{rest}; known are "
            f"{'; '.join(name for name, _ in FORMS)}"
        )
    if form is None:
        raise InputError(f"{source}: empty; there is nothing to convert")
    return Converted(made, form, without_depth)


def _read(words: list[str]) -> tuple[str, str] | None:
    """The form of a line and what it becomes; None if it has none."""
    for form, converted_by in FORMS:
        line = converted_by(words)
        if line is not None:
            return form, line
    return None


def _line(image: re.Match[str]) -> str:
    return f"{image['folder']} {image['frame']} {_side(image['camera'])}"


def _side(camera: str) -> str:
    if camera not in SIDE_OF_CAMERA:
        raise _Unclear(f"is of camera {camera}; training knows the colour cameras 02 and 03")
    return SIDE_OF_CAMERA[camera]


def is_frame(word: str) -> bool:
    """Whether a word is the number of a frame."""
    return word.isascii() and word.isdecimal() and len(word) <= MOST_DIGITS
