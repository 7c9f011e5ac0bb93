"""Check the project against figures of the published implementation.

    python -m tests.parity FILE.npz [--kitti_root DIR] [--fast]

Prints one line per figure (name, got, expected, deviation, verdict) and exits with 1 if one is off
or missing.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from system import cpu_math

# Before Paddle is loaded: other instructions round otherwise, which a single pixel of SSIM and the
# third step of a training show. Set the variable to compare those (docs/performance.md).
os.environ.setdefault(cpu_math.VARIABLE, cpu_math.DEFAULT)

from system.errors import InputError, run_command
from tests.parity_convnext import check_convnext
from tests.parity_depth_anything import check_depth_anything
from tests.parity_kitti_eval import check_kitti_eval
from tests.parity_midas import check_midas, seed_of
from tests.parity_monodepth2 import check_monodepth2
from training.cpu.fast_paths import fast_paths


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="golden arrays, laid out like the committed ones")
    parser.add_argument("--kitti_root", type=Path, help="KITTI raw folder of the file's drive")
    parser.add_argument(
        "--fast",
        action="store_true",
        help="training steps as on CPUs: oneDNN's convolutions, fused kernels (needs Numba)",
    )
    args = parser.parse_args()
    if not args.file.is_file():
        raise InputError(f"{args.file}: no such file")
    with np.load(args.file, allow_pickle=False) as file:
        arrays = dict(file)

    if "seed" in arrays and "image/0" in arrays:
        if args.fast and not (fast_paths().onednn and fast_paths().kernels):
            raise InputError("--fast: neither oneDNN nor Numba may be missing, nor Paddle on a GPU")
        figures = check_monodepth2(arrays, args.fast)
    elif "drive" in arrays:
        if args.kitti_root is None:
            raise InputError("--kitti_root: needed to check this file against its LiDAR sweeps")
        figures = check_kitti_eval(arrays, args.kitti_root)
    elif any(key.startswith("convnext_") for key in arrays):
        figures = check_convnext(arrays, seed_of(args.file.name))
    elif any(key.startswith("gradient/pretrained") for key in arrays):
        figures = check_depth_anything(arrays, seed_of(args.file.name))
    elif "resize/in_wh" in arrays:
        figures = check_midas(arrays, seed_of(args.file.name))
    else:
        raise InputError(f"{args.file}: holds no figures that are known here")

    total = off = 0
    for figure in figures:
        print(figure, flush=True)
        total += 1
        off += not figure.ok
    print(f"{total} figures, {off} off")
    return 1 if off or not total else 0


if __name__ == "__main__":
    run_command(main)
