"""Measure a pose network on KITTI odometry: five-frame error, whole trajectory, drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from options import Conflicts, DeviceOptions, ModelOptions, option, parse
from system.errors import InputError, run_command
from weight_files.published import MODELS


@dataclass(frozen=True)
class EvaluatePoseOptions(ModelOptions, DeviceOptions):
    """Measure the pose network of a model on KITTI odometry."""

    model_name: Optional[str] = option(
        None, "published model to use instead, fetched on its first use", choices=MODELS
    )
    data_path: Path = option(Path("kitti_odom"), "folder with sequences/NN and poses/NN.txt")
    eval_split: str = option("odom_9", "sequence", choices=("odom_9", "odom_10"))
    eval_mono: bool = option(False, "fit the scale to the truth, for models with a unit too")
    batch_size: int = option(16, "pairs predicted at once", minimum=1)
    num_workers: int = option(4, "threads that load the images; 0 loads in between", minimum=0)
    eval_out_dir: Optional[Path] = option(
        None, "folder for what is written; without it, that of the weights or the current one"
    )

    def conflicts(self) -> Conflicts:
        """Anything but one model of motion."""
        return super().conflicts(f"one of {', '.join(MODELS)}")


def main(argv: Sequence[str] | None = None) -> None:
    """Predict a sequence's poses, compare them, write trajectories and result."""
    options = parse(EvaluatePoseOptions, argv)
    # What is refused imports no Paddle.
    from tqdm import tqdm

    from datasets.kitti_odom import frame_times, pose_file, sequence_images
    from evaluation import odometry
    from evaluation.protocols import image_batches
    from evaluation.result_files import INPUTS, inputs_of, own_name, words_of
    from prediction.predictor import PosePredictor, pairwise_poses
    from system.files import make_writable_folder, write_json
    from weight_files.download import find_model

    sequence = int(options.eval_split.rpartition("_")[2])
    paths = sequence_images(options.data_path, sequence)
    truth = odometry.read_trajectory(pose_file(options.data_path, sequence))
    if len(truth) != len(paths):
        raise InputError(
            f"{pose_file(options.data_path, sequence)}: holds {len(truth)} poses for the "
            f"{len(paths)} images of sequence {sequence}"
        )
    folder = find_model(options.load_weights_folder, options.model_name)
    predictor = PosePredictor.from_folder(folder, options.device)
    info = predictor.info
    out = options.eval_out_dir or options.load_weights_folder or Path()
    make_writable_folder(out, "give another place with --eval_out_dir")

    size = (info.width, info.height, options.batch_size, options.num_workers)
    frames = tqdm(image_batches(paths, *size), total=-(-len(paths) // options.batch_size))
    local = pairwise_poses(predictor, frames)
    metric = info.metric and not options.eval_mono
    if metric:
        local = odometry.scaled(local, info.metres_per_unit)
    figures, trajectory, aligned = odometry.measure(local, truth, with_scale=not metric)
    result = {
        "sequence": sequence,
        "frames": len(paths),
        "scale": "metres of the model" if metric else "fitted to the truth",
        **figures,
    }
    inputs = inputs_of(options)
    mark = ("_mono" if options.eval_mono else "") + words_of(options)
    name = own_name(out, f"odom_{sequence:02d}{mark}", inputs)
    odometry.write_kitti(out / f"{name}_kitti.txt", trajectory)
    times = frame_times(options.data_path, sequence, len(paths))
    odometry.write_tum(out / f"{name}_tum.txt", trajectory, times)
    odometry.plot_trajectories(aligned, truth[:, :3, 3], out / f"{name}.png")
    write_json(out / f"{name}.json", {**result, INPUTS: inputs})
    print(odometry.report(result))
    print(f"wrote {out / name}.json, .png, _kitti.txt and _tum.txt")


if __name__ == "__main__":
    run_command(main)
