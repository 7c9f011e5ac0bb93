"""Names of what is predicted: every input has its own, whatever the inputs are called.

Usually they are the input's, without its ending. Inputs that would share them get names with their
endings; from several folders into one, folders of their own. What is there already and is not of
the same input is never replaced: the picture ``0001.jpg`` may have a ``0001_depth.png`` beside it
that is its true depth.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from system.files import read_json

logger = logging.getLogger(__name__)

ABOUT = "disp.json"  # the end of the file that says what the others are, and of what
SOURCE = "source"  # its key that says of what: a path, seen from the file
# Ends of all that an input's files may be called.
PICTURE_ENDS = (
    *(ABOUT, "disp.npy", "disp.jpeg", "disp.png", "depth.png", "depth.npy"),
    *("side.jpeg", "cloud.ply", "mesh.glb"),
)
VIDEO_ENDS = (ABOUT, "disp.mp4", "disp.webm", "depth")
ENDS = PICTURE_ENDS + VIDEO_ENDS


@dataclass(frozen=True)
class Place:
    """Where the files of an input go: ``folder/stem_END``, for several ends."""

    source: Path
    folder: Path
    stem: str

    def path(self, end: str) -> Path:
        """The file with an end, such as ``disp.npy``."""
        return self.folder / f"{self.stem}_{end}"

    @cached_property
    def seen_source(self) -> str:
        """The input's path, seen from the folder, so that both can be moved together."""
        source, folder = _absolute(self.source), self.folder.resolve()
        try:
            return Path(os.path.relpath(source, folder)).as_posix()
        except ValueError:  # another drive
            return source.as_posix()


def places_of(inputs: Sequence[Path], output: Path | None) -> list[Place]:
    """A place for each input, no two of which share a file, on any file system.

    Args:
        inputs: files; one that is given twice has one place.
        output: folder for all of them; None for beside each.
    """
    inputs = list({_absolute(path): path for path in inputs}.values())
    parents = [path.parent for path in inputs]
    own = cache(_own)  # many are in a few folders
    if output is None:
        folders = parents
    elif len(set(map(own, parents))) > 1 and _clashes(path.stem for path in inputs):
        folders = [output / below for below in _below_common(parents)]
    else:
        folders = [output] * len(inputs)
    keys = [(own(folder), _folded(path.stem)) for folder, path in zip(folders, inputs)]
    often, taken = Counter(keys), {(own(path.parent), _folded(path.name)) for path in inputs}
    places = {}
    # Names without their endings first: others give way to them.
    for index in sorted(range(len(inputs)), key=lambda index: often[keys[index]] > 1):
        path, folder = inputs[index], folders[index]
        alone = [path.stem] if often[keys[index]] == 1 else []
        for stem in itertools.chain(alone, _longer_names(path)):
            files = {(keys[index][0], _folded(f"{stem}_{end}")) for end in ENDS}
            if not files & taken:
                break
        taken |= files
        places[index] = Place(path, folder, stem)
    return [places[index] for index in range(len(inputs))]


def new_recording(folder: Path, camera: int, ending: str) -> Path:
    """A file for what a camera will see, which is of no earlier recording: they stay."""
    for number in itertools.count(1):
        stem = f"camera{camera}" + (f"-{number}" if number > 1 else "")
        path = folder / f"{stem}_disp.{ending}"
        if not os.path.lexists(path):
            return path
    raise AssertionError


def free_place(place: Place, ends: Iterable[str]) -> Place:
    """A place as it is, or with another stem where a file of other origin would be replaced.

    Args:
        place: that is wanted.
        ends: of the files that are to be written.
    """
    ends = list(ends)
    key = hashlib.sha256(place.seen_source.encode()).hexdigest()[:8]
    others = (replace(place, stem=stem) for stem in _longer_names(place.source, key))
    found = next(each for each in itertools.chain([place], others) if _is_free(each, ends))
    if found != place:
        words = "%s_*: is of another input, or no prediction, and is kept; that of %s is %s_*"
        logger.warning(words, place.folder / place.stem, place.source, found.stem)
    return found


def _is_free(place: Place, ends: Iterable[str]) -> bool:
    """Whether nothing is there, or what is there is said to be of the same input."""
    if not any(os.path.lexists(place.path(end)) for end in {ABOUT, *ends}):
        return True
    try:
        about = read_json(place.path(ABOUT))
    except (OSError, ValueError):
        return False
    if not isinstance(about, dict):
        return False
    # Older versions did not say the source; what they wrote has their other keys.
    return about.get(SOURCE, place.seen_source if "model" in about else None) == place.seen_source


def _longer_names(path: Path, *more: str) -> Iterator[str]:
    """The full name of a file, then with more behind it, then with numbers."""
    yield path.name
    yield from (f"{path.name}-{each}" for each in itertools.chain(more, itertools.count(2)))


def _below_common(folders: Sequence[Path]) -> list[Path]:
    """The folders, seen from the lowest folder that all are in."""
    whole = [folder.resolve() for folder in folders]
    try:
        common = os.path.commonpath(whole)
        return [Path(os.path.relpath(folder, common)) for folder in whole]
    except ValueError:  # several drives: each is a folder
        return [Path(p.drive.strip(":\\/").replace("\\", "_"), *p.parts[1:]) for p in whole]


def _clashes(names: Iterable[str]) -> bool:
    return max(Counter(map(_folded, names)).values(), default=0) > 1


def _own(folder: Path) -> str:
    """What tells a folder from others, on file systems that take small letters for large ones."""
    return _folded(str(folder.resolve()))


def _absolute(path: Path) -> Path:
    """A file's path from the root; a link to a file is an input of its own."""
    return path.parent.resolve() / path.name


def _folded(name: str) -> str:
    """A name as all file systems take it: some know neither case nor how letters are composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
