"""Predicted disparities as ``.npy`` files [N,h,w]: saving them as they come, reading them back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from errors import InputError
from files import written_whole


def save_disparities(
    disparities: Iterable[np.ndarray], path: Path, count: int
) -> Iterator[np.ndarray]:
    """Pass ``count`` disparities [h,w] on, and write them to ``path`` as float32 [count,h,w].

    They go to the disk one by one, so that memory does not grow; the file is there when the last
    one has been passed on.
    """
    with written_whole(path) as temporary, temporary.open("wb") as file:
        for index, disparity in enumerate(disparities):
            if index == 0:
                shape = (count, *disparity.shape)
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(disparity.astype("<f4").tobytes())
            yield disparity


def load_disparities(path: Path, count: int) -> np.ndarray:
    """Open saved scaled disparities [count,h,w] of any size; they are read when asked for.

    Raises:
        InputError: the file is missing, damaged, a pickle, or not ``count`` maps of real numbers.
    """
    try:
        disparities = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"--ext_disp_to_eval {path}: no such file") from None
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"--ext_disp_to_eval {path}: no readable .npy file ({error})") from error
    if not isinstance(disparities, np.ndarray) or disparities.dtype.kind != "f":
        raise InputError(f"--ext_disp_to_eval {path}: must be one .npy array of real numbers")
    if disparities.ndim != 3 or len(disparities) != count or disparities.size == 0:
        raise InputError(
            f"--ext_disp_to_eval {path}: has shape {list(disparities.shape)}; needs [{count}, "
            f"height, width], one scaled disparity map per test image of --eval_split"
        )
    return disparities
