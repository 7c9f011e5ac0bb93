"""Depth in OpenEXR files, through OpenCV where it has them, else through the package OpenEXR."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from errors import InputError

# OpenCV reads EXR only where it is told to, before it is loaded.
os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")

import cv2

# Names that programs give the channel of depth, its layer left out; grey pictures have R, G and B.
DEPTH_CHANNELS = ("Z", "Y", "V", "R")


def read_exr(path: Path) -> np.ndarray:
    """The depth channel of an EXR file, float32 [H, W], or [H, W, C] of equal channels.

    Raises:
        InputError: nothing that reads EXR is installed, or the file is damaged or has no depth.
    """
    if cv2.haveImageWriter("depth.exr"):
        values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if values is None:
            raise InputError(f"{path}: cannot be read as EXR; it is damaged or of another kind")
        return values
    try:
        import OpenEXR  # noqa: PLC0415 - an extra
    except ImportError:
        raise InputError(
            f"{path}: this OpenCV ({cv2.__version__}) is built without EXR; install the package "
            "that reads it: pip install OpenEXR, or convert such files to .npy"
        ) from None
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as EXR ({error})") from error
    return depth_channel(channels, path).astype(np.float32)


def depth_channel(channels: Mapping[str, np.ndarray], path: Path) -> np.ndarray:
    """The one of an EXR file's channels that is depth, by its name.

    Raises:
        InputError: none has such a name, and there are several.
    """
    if len(channels) == 1:
        return next(iter(channels.values()))
    for wanted in DEPTH_CHANNELS:
        found = [name for name in channels if name.rpartition(".")[2].upper() == wanted]
        if len(found) == 1:
            return channels[found[0]]
    raise InputError(
        f"{path}: holds the channels {', '.join(sorted(channels))}; one of them must be named "
        f"{', '.join(DEPTH_CHANNELS[:-1])} or {DEPTH_CHANNELS[-1]}"
    )
