"""Predict a camera's trajectory; measure it on KITTI odometry: five-frame error, whole, drift."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

from options import (
    Conflicts,
    DeviceOptions,
    EvaluateOptions,
    Form,
    ModelOptions,
    TrainOptions,
    option,
    parse,
)
from system.errors import InputError, run_command
from weight_files.published import MODELS

if TYPE_CHECKING:
    import numpy as np

    from datasets.footage.finding import Footage

SEQUENCE = Form("odom_N with the number of a sequence, 0 to 21", r"odom_(0?\d|1\d|2[01])")
LAST_WITH_POSES = 10
PICTURES_PER_SECOND = 10  # of a folder of pictures, as KITTI's


@dataclass(frozen=True)
class EvaluatePoseOptions(ModelOptions, DeviceOptions):
    """Predict a trajectory with the pose network of a model, and measure it where it is known."""

    model_name: Optional[str] = option(
        None, "published model to use instead, fetched on its first use", choices=MODELS
    )
    data_path: Path = option(Path("kitti_odom"), "folder with sequences/NN and poses/NN.txt")
    eval_split: str = option(
        "odom_9", "sequence; without its file of poses, it is predicted only", form=SEQUENCE
    )
    image_path: Optional[Path] = option(
        None, "predict the trajectory of this video or folder of pictures instead"
    )
    stride: int = option(
        1, "take every so many frames of --image_path; KITTI has 10 a second", minimum=1
    )
    eval_mono: bool = option(False, "fit the scale to the truth, for models with a unit too")
    batch_size: int = option(16, "pairs predicted at once", minimum=1)
    num_workers: int = option(4, "threads that load the images; 0 loads in between", minimum=0)
    eval_out_dir: Optional[Path] = option(
        None, "folder for what is written; without it, that of the weights or the current one"
    )

    def conflicts(self) -> Conflicts:
        """Anything but one model of motion."""
        yield from super().conflicts(f"one of {', '.join(MODELS)}")
        if self.image_path is None:
            yield from self.changed(["stride"], "is for --image_path; leave it out")


class Frames(NamedTuple):
    """Frames in the order of time, and what is known of them."""

    name: str  # of the files that are written
    about: dict[str, Any]  # for the result
    count: int | None  # None where only reading tells
    # From (width, height) to RGB uint8 [B, height, width, 3].
    batches: Callable[[int, int], Iterable[np.ndarray]]
    seconds: np.ndarray | float  # of each, or between two
    truth: np.ndarray | None = None  # the true trajectory [N,4,4], metres


def frames_of_sequence(options: EvaluatePoseOptions) -> Frames:
    """A sequence of KITTI odometry.

    Raises:
        InputError: images are missing, or its poses are not as many.
    """
    from datasets.kitti_odom import frame_times, pose_file, sequence_images
    from evaluation.odometry import read_trajectory
    from evaluation.protocols import image_batches

    sequence = int(options.eval_split.rpartition("_")[2])
    paths, poses = sequence_images(options.data_path, sequence), None
    file = pose_file(options.data_path, sequence)
    # Those of the first eleven are public; without them something is missing.
    if sequence <= LAST_WITH_POSES or file.is_file():
        poses = read_trajectory(file)
        if len(poses) != len(paths):
            raise InputError(
                f"{file}: holds {len(poses)} poses for the {len(paths)} images of sequence "
                f"{sequence}"
            )
    times = frame_times(options.data_path, sequence, len(paths))
    how = {"batch_size": options.batch_size, "num_workers": options.num_workers}
    batches = functools.partial(image_batches, paths, **how)
    about = {"sequence": sequence}
    return Frames(f"odom_{sequence:02d}", about, len(paths), batches, times, poses)


def frames_of_footage(options: EvaluatePoseOptions) -> Frames:
    """A video, or a folder of pictures.

    Raises:
        InputError: there is none, or there are several.
    """
    from datasets.footage.finding import find_footage
    from datasets.footage.video import Video

    found = find_footage(options.image_path, None)
    # A folder of frames stays one, whatever else lies in folders of it.
    footage = next((each for each in found if each.path == options.image_path), found[0])
    if len(found) > 1 and footage.path != options.image_path:
        names = ", ".join(each.path.name for each in found[:3])
        raise InputError(f"--image_path {options.image_path}: holds {names}, …; name one of them")
    path = footage.path
    rate = PICTURES_PER_SECOND if path.is_dir() else Video(path).rate
    about = {"footage": str(path), "stride": options.stride}
    batches = functools.partial(resized_batches, footage, options.stride, options.batch_size)
    return Frames(path.stem, about, None, batches, options.stride / rate)


def resized_batches(
    footage: Footage, stride: int, batch_size: int, width: int, height: int
) -> Iterator[np.ndarray]:
    """Every ``stride``-th frame of footage, resized as pictures are to predict."""
    import itertools

    import numpy as np
    from PIL import Image

    kept = map(Image.fromarray, itertools.islice(footage.frames(), 0, None, stride))
    resized = (np.asarray(frame.resize((width, height), Image.LANCZOS)) for frame in kept)
    while batch := list(itertools.islice(resized, batch_size)):
        yield np.stack(batch)


def main(argv: Sequence[str] | None = None) -> None:
    """Predict the poses, compare them where they are known, write trajectories and result."""
    options = parse(EvaluatePoseOptions, argv, others=[TrainOptions, EvaluateOptions])
    # What is refused imports no Paddle.
    import numpy as np
    from tqdm import tqdm

    from evaluation import odometry
    from evaluation.result_files import INPUTS, inputs_of, own_name, words_of
    from prediction.poses import PosePredictor, pairwise_poses
    from system.files import make_writable_folder, write_json
    from weight_files.download import find_model

    source = frames_of_sequence if options.image_path is None else frames_of_footage
    frames = source(options)
    folder = find_model(options.load_weights_folder, options.model_name)
    predictor = PosePredictor.from_folder(folder, options.device)
    info = predictor.info
    out = options.eval_out_dir or options.load_weights_folder or Path()
    make_writable_folder(out, "give another place with --eval_out_dir")

    total = None if frames.count is None else -(-frames.count // options.batch_size)
    batches = frames.batches(width=info.width, height=info.height)
    local = pairwise_poses(predictor, tqdm(batches, "predicting", total, unit="batch"))
    metric = info.metric and not (options.eval_mono and frames.truth is not None)
    if metric:
        local = odometry.scaled(local, info.metres_per_unit)
    result: dict[str, Any] = {**frames.about, "frames": len(local) + 1}
    positions = None
    if frames.truth is not None:
        figures, trajectory, positions = odometry.measure(
            local, frames.truth, with_scale=not metric
        )
        result["scale"] = "metres of the model" if metric else "fitted to the truth"
        result.update(figures)
    else:
        trajectory = odometry.chain(local)
        result["scale"] = "metres of the model" if metric else "of the model, without a unit"
        result["length"] = odometry.length(trajectory)
    inputs = inputs_of(options)
    mark = ("_mono" if options.eval_mono else "") + words_of(options)
    name = own_name(out, f"{frames.name}{mark}", inputs)
    odometry.write_kitti(out / f"{name}_kitti.txt", trajectory)
    seconds = frames.seconds
    if isinstance(seconds, float):
        seconds = seconds * np.arange(len(trajectory))
    odometry.write_tum(out / f"{name}_tum.txt", trajectory, seconds)
    unit = "m" if metric or frames.truth is not None else "without a unit"
    truth = None if frames.truth is None else frames.truth[:, :3, 3]
    shown = trajectory[:, :3, 3] if positions is None else positions
    odometry.plot_trajectories(shown, truth, out / f"{name}.png", unit)
    write_json(out / f"{name}.json", {**result, INPUTS: inputs})
    print(odometry.report(result))
    print(f"wrote {out / name}.json, .png, _kitti.txt and _tum.txt")


if __name__ == "__main__":
    run_command(main)
