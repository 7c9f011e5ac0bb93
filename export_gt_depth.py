"""Export the ground truth of a split's test images, which evaluate_depth.py measures against."""

from __future__ import annotations

from options import ExportOptions, parse
from system.errors import run_command


def main() -> None:
    """Parse the command line, export, and say where the ground truth is."""
    options = parse(ExportOptions)
    # What is refused needs none of these.
    from datasets.splits import load_split, split_folder
    from evaluation import ground_truth

    lines = load_split(options.split, "test")
    split_name = split_folder(options.split).resolve().name
    kind = ground_truth.ground_truth_kind(split_name, options.camera_depth)
    target = ground_truth.ground_truth_file(options.split, options.gt_path)
    print(f"{options.split}: {len(lines)} images, {ground_truth.KINDS[kind]}")
    ground_truth.export_ground_truth(options.data_path, lines, kind, target, options.num_workers)
    print(f"wrote {target}")


if __name__ == "__main__":
    run_command(main)
