"""The options of ``train.py`` that the programs about data take too."""

from __future__ import annotations

import argparse
from pathlib import Path

from datasets.frames import AREA, LANCZOS
from datasets.layouts import LAYOUTS


def data_parser(prog: str, description: str) -> argparse.ArgumentParser:
    """A parser that knows which frames of which data are meant."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data_path", type=Path, default=Path("kitti_data"), help="the data")
    parser.add_argument("--dataset", default="kitti", choices=tuple(LAYOUTS), help="as training")
    parser.add_argument("--split", default="eigen_zhou", help="name of a split, or a folder")
    parser.add_argument("--frame_ids", type=int, nargs="+", default=[0, -1, 1], help="as training")
    parser.add_argument("--use_stereo", action="store_true", help="as training")
    parser.add_argument("--png", action="store_true", help="as training")
    parser.add_argument("--height", type=int, default=192, help="as training")
    parser.add_argument("--width", type=int, default=640, help="as training")
    parser.add_argument("--resize", default=AREA, choices=(AREA, LANCZOS), help="as training")
    parser.add_argument("--num_workers", type=int, default=4, help="as training")
    return parser
