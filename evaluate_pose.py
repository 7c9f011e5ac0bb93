"""Measure a pose network on KITTI odometry: five-frame error, whole trajectory, drift."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.kitti_odom import frame_times, pose_file, sequence_images
from errors import InputError, run_command
from evaluation.images import image_batches
from evaluation.odometry import snippet_errors
from evaluation.trajectory import (
    absolute_error,
    align,
    chain,
    drift,
    read_trajectory,
    relative_poses,
    scaled,
    write_kitti,
    write_tum,
)
from evaluation.trajectory_plot import plot_trajectories
from files import make_writable_folder, written_whole
from networks.model_zoo import named_model
from options import EvaluatePoseOptions, parse
from prediction.pose_predictor import PosePredictor, pairwise_poses


def main(argv: Sequence[str] | None = None) -> None:
    """Predict a sequence's poses, compare them, write trajectories and result."""
    options = parse(EvaluatePoseOptions, argv)
    sequence = int(options.eval_split.rpartition("_")[2])
    paths = sequence_images(options.data_path, sequence)
    truth = read_trajectory(pose_file(options.data_path, sequence))
    if len(truth) != len(paths):
        raise InputError(
            f"{pose_file(options.data_path, sequence)}: holds {len(truth)} poses for the "
            f"{len(paths)} images of sequence {sequence}"
        )
    folder = options.load_weights_folder or named_model(options.model_name)
    predictor = PosePredictor.from_folder(folder, options.device)
    info = predictor.info
    out = options.eval_out_dir or options.load_weights_folder or Path()
    make_writable_folder(out, "give another place with --eval_out_dir")

    size = (info.width, info.height, options.batch_size, options.num_workers)
    frames = tqdm(image_batches(paths, *size), total=-(-len(paths) // options.batch_size))
    local = pairwise_poses(predictor, frames)
    metric = info.metric and not options.eval_mono
    if metric:
        local = scaled(local, info.metres_per_unit)
    errors = snippet_errors(relative_poses(truth), local)
    trajectory = chain(local)
    alignment = align(trajectory[:, :3, 3], truth[:, :3, 3], with_scale=not metric)
    trajectory = scaled(trajectory, alignment.scale)
    alignment = align(trajectory[:, :3, 3], truth[:, :3, 3], with_scale=False)
    result = {
        "sequence": sequence,
        "frames": len(paths),
        "scale": "metres of the model" if metric else "fitted to the truth",
        "five_frame_error": {"mean": float(np.mean(errors)), "std": float(np.std(errors))},
        "absolute_error_metres": absolute_error(trajectory, truth, alignment),
    }
    drifts = drift(trajectory, truth)
    if drifts is not None:
        result["drift"] = {"percent": drifts[0], "degrees_per_100_m": drifts[1]}
    name = f"odom_{sequence:02d}"
    write_kitti(out / f"{name}_kitti.txt", trajectory)
    times = frame_times(options.data_path, sequence, len(paths))
    write_tum(out / f"{name}_tum.txt", trajectory, times)
    plot_trajectories(alignment.apply(trajectory[:, :3, 3]), truth[:, :3, 3], out / f"{name}.png")
    with written_whole(out / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(report(result))
    print(f"wrote {out / name}.json, .png, _kitti.txt and _tum.txt")


def report(result: dict) -> str:
    """The result as text for people."""
    five = result["five_frame_error"]
    lines = [
        f"sequence {result['sequence']}: {result['frames']} frames, scale {result['scale']}",
        f"five-frame error {five['mean']:.4f} +- {five['std']:.4f} m (each snippet scaled)",
        f"absolute trajectory error {result['absolute_error_metres']:.3f} m after alignment",
    ]
    if "drift" in result:
        values = result["drift"]
        lines.append(
            f"drift {values['percent']:.2f} %, {values['degrees_per_100_m']:.2f} degrees per 100 m"
        )
    else:
        lines.append("drift: not measured, the sequence is shorter than 100 m")
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
