"""DIODE (Vasiljevic et al., 2019): pictures with depth in metres, and masks of where it is valid.

``{val,train}/{indoors,outdoor}/scene_*/scan_*/NAME.png`` with ``NAME_depth.npy`` [H, W, 1] and
``NAME_depth_mask.npy`` [H, W], 1 where valid.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from datasets.rgbd import DepthNote, read_depth
from errors import InputError
from evaluation.depth_set import DepthSet, Sample, Source, check_partners

DEPTH, MASK = "_depth.npy", "_depth_mask.npy"


def looks_like_diode(path: Path) -> bool:
    """Whether a folder, or one below it, holds masks of depth."""
    return path.is_dir() and any(path.rglob(f"*{MASK}"))


def open_diode(source: Source) -> DepthSet:
    """All pictures of DIODE below a folder.

    Raises:
        InputError: a picture, depth map or mask lacks the other two, or none is there.
    """
    folder = source.data_path
    found: dict[str, set[str]] = {}
    for ending in (".png", MASK, DEPTH):
        for path in sorted(folder.rglob(f"*{ending}")):
            name = path.relative_to(folder).as_posix()[: -len(ending)]
            found.setdefault(name, set()).add(ending)
    alone = [
        folder / f"{name}{ending}"
        for name, endings in sorted(found.items())
        if len(endings) < 3
        for ending in sorted(endings)
    ]
    check_partners(folder, alone, f"NAME.png needs NAME{DEPTH} and NAME{MASK} beside it")
    if not found:
        raise InputError(f"{folder}: holds no NAME.png with NAME{DEPTH} and NAME{MASK}")
    samples = [
        Sample(name, folder / f"{name}.png", partial(read_masked, folder, name))
        for name in sorted(found)
    ]
    return DepthSet("diode", samples, note="metres, where the mask is 1")


def read_masked(folder: Path, name: str) -> np.ndarray:
    """Depth float32 [H, W] in metres, 0 where the mask is not 1.

    Raises:
        InputError: a file is damaged, or the mask is of another size.
    """
    depth = read_depth(folder / f"{name}{DEPTH}", DepthNote())
    path = folder / f"{name}{MASK}"
    try:
        mask = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as a mask ({error})") from error
    if mask.ndim == 3:
        mask = mask[..., 0]
    if mask.shape != depth.shape:
        raise InputError(
            f"{path}: has shape {list(mask.shape)}, the depth {list(depth.shape)}; they must be of "
            "one size"
        )
    return np.where(mask == 1, depth, 0)
