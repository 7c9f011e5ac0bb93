"""Export the ground truth of a split's test images, which evaluate_depth.py measures against."""

from __future__ import annotations

from options import ExportOptions, parse
from system.errors import run_command


def main() -> None:
    """Parse the command line, export, and say where the ground truth is."""
    options = parse(ExportOptions)
    # What is refused needs none of these.
    from datasets.splits import load_split, split_folder
    from evaluation.ground_truth import KINDS, ground_truth_file, ground_truth_kind
    from evaluation.ground_truth_export import export_ground_truth, lines_on_disk

    lines = load_split(options.split, "test")
    split_name = split_folder(options.split).resolve().name
    kind = ground_truth_kind(split_name, options.camera_depth)
    target = ground_truth_file(options.split, options.gt_path)
    held = lines
    if options.allow_missing:
        held = lines_on_disk(options.data_path, lines, kind)
    whole = len(held) == len(lines)
    count = f"{len(lines)}" if whole else f"{len(held)} of {len(lines)}"
    print(f"{options.split}: {count} images, {KINDS[kind]}")
    export_ground_truth(options.data_path, held, kind, target, options.num_workers, whole)
    print(f"wrote {target}" if whole else f"wrote {target}, with {count} images")


if __name__ == "__main__":
    run_command(main)
