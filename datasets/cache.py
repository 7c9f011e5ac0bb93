"""Decode and resize the frames of a split once, into a folder that training reads from.

python -m datasets.cache --data_path kitti --split eigen_zhou --use_stereo --cache_dir DIR [--plan]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from datasets.arguments import data_parser
from datasets.frame_store import build_store, plan_store, seconds_per_frame, store_folder
from datasets.frames import FrameFiles
from datasets.items import STEREO, make_items
from datasets.layouts import LAYOUTS
from datasets.splits import load_split
from errors import InputError, run_command

PARTS = ("train", "val")


def needed_paths(args: argparse.Namespace) -> list[Path]:
    """The frames that training on a split reads.

    Raises:
        InputError: the split or some of the frames are not there.
    """
    source_ids = (*args.frame_ids[1:], *((STEREO,) if args.use_stereo else ()))
    paths: dict[Path, None] = {}
    for part in PARTS:
        items = make_items(
            args.data_path,
            load_split(args.split, part),
            source_ids,
            args.height,
            args.width,
            args.png or None,
            layout=LAYOUTS[args.dataset],
            resize=args.resize,
        )
        paths.update(dict.fromkeys(items.all_paths()))
    return list(paths)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, say what it takes, and build."""
    parser = data_parser("python -m datasets.cache", __doc__.splitlines()[0])
    parser.add_argument("--cache_dir", type=Path, required=True, help="folder of the cache")
    parser.add_argument("--plan", action="store_true", help="say what it would take, and stop")
    args = parser.parse_args(arguments)
    if not args.data_path.is_dir():
        raise InputError(f"--data_path {args.data_path}: no such folder")
    files = FrameFiles(args.height, args.width, args.resize)
    folder = store_folder(args.cache_dir, args.data_path, files)
    paths = needed_paths(args)
    plan = plan_store(folder, args.data_path, files, paths)
    threads = max(1, args.num_workers)
    hours = len(plan.missing) * seconds_per_frame(plan, files) / threads / 3600
    print(f"{plan}; about {hours:.2f} hours with {threads} threads on as many cores")
    if not args.plan:
        build_store(folder, args.data_path, files, paths, threads)


if __name__ == "__main__":
    run_command(main)
