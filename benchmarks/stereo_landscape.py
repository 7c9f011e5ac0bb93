"""What the stereo loss of a wall at one depth is, for all depths: why S alone starts slowly.

    python -m benchmarks.stereo_landscape DATA --split DATA/splits

For each constant sigmoid disparity it prints the shift in pixels between the two images, their
mean photometric error, and the share of pixels where the warped image beats the unwarped one:
auto-masking leaves the others without a gradient.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import paddle

from datasets.conventions import NOMINAL_BASELINE, disp_to_depth
from datasets.items import make_items
from datasets.loader import make_batch
from datasets.splits import load_split
from system.errors import run_command
from training.objective import photometric_error, warp_sources

SIGMOIDS = (0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03, 0.02, 0.01)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_path", type=Path)
    parser.add_argument("--split", required=True)
    parser.add_argument("--height", type=int, default=96)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--items", type=int, default=48)
    args = parser.parse_args()
    lines = load_split(args.split, "train")
    lines = lines[:: max(1, len(lines) // args.items)][: args.items]
    items = make_items(args.data_path, lines, ("s",), args.height, args.width, augment=False)
    batch = make_batch(items, 0, range(len(items)))
    target = paddle.to_tensor(batch["target"]).astype("float32") / 255
    source = paddle.to_tensor(batch["sources"][:, 0]).astype("float32") / 255
    K, pose = paddle.to_tensor(batch["K"]), paddle.to_tensor(batch["T_stereo"])
    unwarped = photometric_error(source, target, ssim=True)
    size, mean = f"{args.width}x{args.height}", float(unwarped.mean())
    print(f"{len(items)} pairs of {size}; unwarped {mean:.4f}")
    print("disparity  depth, m  shift, px   error  warped wins")
    for sigmoid in SIGMOIDS:
        disp = paddle.full([len(items), 1, args.height, args.width], sigmoid)
        _, depth = disp_to_depth(disp, 0.1, 100.0)
        with paddle.no_grad():
            (warped,) = warp_sources([source], depth, K, [pose])
            error = photometric_error(warped, target, ssim=True)
        units = float(depth[0, 0, 0, 0])
        shift = np.mean(batch["K"][:, 0, 0]) * NOMINAL_BASELINE / units
        metres = units * items.baseline_metres / NOMINAL_BASELINE
        wins = float((error < unwarped).astype("float32").mean())
        print(f"{sigmoid:9.2f} {metres:9.2f} {shift:10.1f} {float(error.mean()):7.4f} {wins:12.1%}")


if __name__ == "__main__":
    run_command(main)
