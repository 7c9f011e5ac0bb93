"""Export the ground truth of a split's test images, which evaluate_depth.py measures against."""

from __future__ import annotations

from datasets.splits import load_split, split_folder
from errors import run_command
from evaluation.ground_truth import KINDS, ground_truth_file
from evaluation.ground_truth_export import export_ground_truth, ground_truth_kind
from options import ExportOptions, parse


def main() -> None:
    """Parse the command line, export, and say where the ground truth is."""
    options = parse(ExportOptions)
    lines = load_split(options.split, "test")
    kind = ground_truth_kind(split_folder(options.split).resolve().name, options.camera_depth)
    target = ground_truth_file(options.split, options.gt_path)
    print(f"{options.split}: {len(lines)} images, {KINDS[kind]}")
    export_ground_truth(options.data_path, lines, kind, target, options.num_workers)
    print(f"wrote {target}")


if __name__ == "__main__":
    run_command(main)
