"""What engines need, made once and kept beside the weights that it was made from.

Under a name that says all that decides it, and with checksums, so that what is found is what was
made.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Callable, TypeVar

from datasets.pictures import READING_VERSION
from system.errors import InputError
from system.files import folder_written_whole, is_whole, write_sums
from system.paddle_package import installed_paddle
from weight_files.download import cache_folder
from weight_files.folder import OpenedModel

logger = logging.getLogger(__name__)

FOLDER, INT8 = "exported", "int8"
EXPORT_VERSION = 5  # raised when the graph changes, so that older exports are made anew

Made = TypeVar("Made")


def while_there(find: Callable[[bool], Path], use: Callable[[Path], Made]) -> Made:
    """What ``use`` makes of an export, of which training may replace the weights folder meanwhile.

    Args:
        find: finds or makes the export; is told whether it must last, outside of that folder.
        use: opens it.
    """
    path = find(False)
    try:
        return use(path)
    except Exception:
        if path.exists():
            raise
    return use(find(True))


def exported(
    opened: OpenedModel,
    kind: str,
    build: Callable[[Path], None],
    anew: bool = False,
    lasting: bool = False,
) -> Path:
    """The folder with a kind of export of a model, built when it is not there.

    It lies in the weights folder or, when that cannot be written to, in the cache folder. Its name
    says what decides it: the weights, what is known of the model, and the versions of what makes
    it. Exports of other weights are removed, a damaged one is made anew. Without Paddle, which
    makes them, one of any version is taken.

    Args:
        opened: the model.
        kind: what is exported, a word.
        build: fills an empty folder.
        anew: whether to build it though it is there.
        lasting: whether it lies in the cache folder anyway, which nobody replaces.

    Raises:
        OSError: there is no place for it.
        InputError: it is not there, and Paddle is not either.
    """
    versions = [EXPORT_VERSION]
    if kind == INT8:  # fitted to pictures
        versions.append(READING_VERSION)
    digest = opened.digest(" ".join(map(str, versions)))[:16]
    name = f"{kind}-{digest}-paddle{installed_paddle() or '*'}"
    beside, apart = opened.folder / FOLDER, cache_folder() / FOLDER
    places = [apart] if lasting else [beside, apart]
    if not anew:
        there = (path for place in places for path in sorted(place.glob(name)))
        found = next(filter(is_whole, there), None)
        if found is not None:
            return found
    if installed_paddle() is None:
        raise InputError(
            f"{opened.folder}: has no model for this engine in {FOLDER}, and Paddle, which makes "
            "it, is not installed; pip install -r requirements.txt, or take the whole folder from "
            "where it was predicted with"
        )
    if not lasting:
        with suppress(OSError):  # then the other place is tried
            beside.mkdir(exist_ok=True)
    logger.info("making %s, once for these weights", (beside if beside.is_dir() else apart) / name)
    # Elsewhere: training may replace the weights folder while it is built.
    with tempfile.TemporaryDirectory() as temporary:
        new = Path(temporary, kind)
        new.mkdir()
        build(new)
        made = _keep(new, name, places, anew)
    for old in beside.glob(f"{kind}-*"):
        if old.name != name:
            shutil.rmtree(old, ignore_errors=True)
    return made


def _keep(new: Path, name: str, places: Sequence[Path], anew: bool) -> Path:
    """Copy a folder, with checksums, to the first place that takes it, unless it is there."""
    for place in places:
        made = place / name
        if is_whole(made) and not anew:  # another process was as fast
            return made
        try:
            # Not the weights folder itself, which may be away for a moment.
            place.mkdir(parents=place.parent == cache_folder(), exist_ok=True)
            with folder_written_whole(made, replace=True, parents=False) as copy:
                shutil.copytree(new, copy, copy_function=shutil.copyfile, dirs_exist_ok=True)
                write_sums(copy)
            return made
        except OSError as error:
            refusal = error
    raise refusal
