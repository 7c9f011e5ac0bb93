"""Models made for other runtimes, kept beside the weights that they were made from."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import Callable

from networks.model_info import DEPTH_MODULES, INFO_FILE
from networks.model_zoo import cache_folder
from networks.published_folder import find_module
from networks.weights import read_info

logger = logging.getLogger(__name__)

FOLDER = "exported"
EXPORT_VERSION = 3  # raised when the graph changes, so that older exports are made anew


def exported(weights: Path, kind: str, build: Callable[[Path], None], anew: bool = False) -> Path:
    """The folder with a kind of export of a weights folder, built when it is not there.

    It lies in the weights folder or, when that cannot be written to, in the cache folder, and
    carries in its name what the weights hold: exports of other weights are removed.

    Args:
        weights: the weights folder.
        kind: what is exported, a word.
        build: fills an empty folder.
        anew: whether to build it though it is there.
    """
    name = f"{kind}-{digest(weights)[:16]}"
    places = [weights / FOLDER, cache_folder() / FOLDER]
    for place in places:
        if (place / name).is_dir() and not anew:
            return place / name
    for place in places:
        new = place / f".{name}.{os.getpid()}"
        try:
            new.mkdir(parents=True)
        except OSError:
            if place == places[-1]:
                raise
            continue
        break
    logger.info("making %s, once for these weights", place / name)
    try:
        build(new)
        if place == places[0]:
            for old in place.glob(f"{kind}-*"):
                shutil.rmtree(old, ignore_errors=True)
        if anew:
            shutil.rmtree(place / name, ignore_errors=True)
        try:
            new.rename(place / name)
        except OSError:
            if not (place / name).is_dir():  # another process was as fast
                raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return place / name


def digest(weights: Path) -> str:
    """What tells the depth network of a weights folder from every other one."""
    modules = DEPTH_MODULES[read_info(weights).kind]
    paths = [weights / INFO_FILE, *(find_module(weights, name) for name in modules)]
    total = hashlib.sha256(str(EXPORT_VERSION).encode())
    for path in paths:
        content = path.read_bytes() if path is not None and path.is_file() else b""
        total.update(hashlib.sha256(content).digest())
    return total.hexdigest()
