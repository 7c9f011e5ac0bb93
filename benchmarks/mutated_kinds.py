"""The files that people bring, and who reads each: what :mod:`benchmarks.mutations` mutates."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import cv2
import numpy as np
import paddle
from PIL import Image
from safetensors.numpy import save_file

from benchmarks.mutators import ANYWHERE, IN_JSON, IN_PICTURES, IN_TEXT, Mutator
from datasets import kitti_odom, prepare, splits
from datasets.camera import read_camera_file
from datasets.depth_files import MILLIMETRES, depth_size, read_depth
from datasets.items import make_items
from datasets.kitti import sweep_path
from datasets.pictures import picture_size
from datasets.rgbd import read_note
from datasets.splits import load_split, read_split_file
from datasets.streets.generate import StreetSettings, generate_streets
from evaluation.depth_layouts import open_nyu, read_masked
from evaluation.depth_set import read_labels
from evaluation.ground_truth import FORWARD, frame_depth, open_ground_truth
from evaluation.ground_truth_export import export_ground_truth
from evaluation.metric_depth import load_disparities
from evaluation.odometry import read_trajectory
from networks.monodepth import Architecture
from options import DemoOptions, EvaluateOptions, TrainOptions, parse, to_json
from prediction.alignment import alignment_json, read_alignment, read_sparse_depth
from prediction.depth_map import ScaleShift
from prediction.export import Export, metadata
from prediction.files import predict_files
from prediction.predictor import DepthPredictor, Predictor
from system.errors import InputError
from system.files import write_sums
from training.checkpoint import OPTIMISER_FILE, PROGRESS_FILE, load_checkpoint
from training.run_folder import OPTIONS_FILE, changed_options, starting_options
from weight_files.conversion import convert_file
from weight_files.folder import open_model
from weight_files.model_info import INFO_FILE, ModelInfo
from weight_files.torch_files import write_torch

HEIGHT, WIDTH = 64, 96  # that the model of the trials is given
TRACE = "executed"  # what a mutated file may not leave behind
DRIVES = StreetSettings(width=160, height=64, train_drives=1, val_drives=1, test_drives=1, frames=4)


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: of the kind; what comes before a slash is its group.
        path: below the folder of the trials; what is there is sound.
        read: what a command does with the file, given that folder.
        mutators: of such files.
    """

    name: str
    path: str
    read: Callable[[Path], object]
    mutators: Sequence[Mutator] = ANYWHERE


def make_sound_files(folder: Path) -> None:
    """Write a sound file of every kind into a new folder, which may hold ``streets`` already."""
    if not (folder / "streets").exists():
        generate_streets(folder / "streets", DRIVES, 1)
    for name in ("weights", "model", "pictures", "videos", "depth", "json", "odometry", "lists"):
        (folder / name).mkdir()
    _write_weights(folder / "weights", folder / TRACE)
    _write_model(folder / "model")
    _write_pictures(folder / "pictures")
    _write_videos(folder / "videos")
    _write_depth(folder / "depth")
    _write_truth(folder)
    _write_json(folder / "json")
    _write_texts(folder)


class _Call:
    """Pickles as a call that leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


def _write_weights(folder: Path, trace: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {"encoder.conv1.weight": (4, 3, 7, 7), "encoder.bn1.running_mean": (4,)}
    shapes.update({f"decoder.{n}.conv.weight": (2, 4, 3, 3) for n in range(20)})
    arrays = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
    write_torch(folder / "zip.pth", arrays)
    save_file(arrays, folder / "own.safetensors")
    for protocol in (2, 4):
        (folder / f"paddle{protocol}.pdparams").write_bytes(pickle.dumps(arrays, protocol))
    hostile = pickle.dumps({**arrays, "more": _Call(trace)}, 2)
    (folder / "hostile.pdparams").write_bytes(hostile)
    with zipfile.ZipFile(folder / "hostile.pth", "w") as archive:
        archive.writestr("archive/data.pkl", hostile)
    try:
        import h5py  # noqa: PLC0415 - an extra
    except ImportError:
        return
    with h5py.File(folder / "hdf5.h5", "w") as file:
        for name, array in arrays.items():
            packed = {"compression": "gzip"} if array.ndim > 1 else {}
            file.create_dataset(name.replace(".", "/"), data=array, **packed)


def _write_model(folder: Path) -> None:
    """A weights folder whose networks are none; who reads it asks for its description alone."""
    model = Architecture(source_ids=(-1, 1, "s"))
    (folder / INFO_FILE).write_text(ModelInfo(model, HEIGHT, WIDTH, name="trial").to_json())
    save_file({"weight": np.zeros((2, 3), np.float32)}, folder / "depth.safetensors")
    checkpoint = shutil.copytree(folder, folder.with_name("checkpoint"))  # without checksums
    write_sums(folder)
    save_file({}, checkpoint / OPTIMISER_FILE)
    progress = {"epoch": 1, "step_in_epoch": 0, "step": 0, "best_loss": 0.5}
    (checkpoint / PROGRESS_FILE).write_text(json.dumps(progress))


def _scene(width: int, height: int) -> np.ndarray:
    """A picture uint8 RGB [height, width, 3]."""
    rng = np.random.default_rng(1)
    small = Image.fromarray(rng.integers(0, 256, (12, 20, 3), np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def _write_pictures(folder: Path) -> None:
    scene = Image.fromarray(_scene(200, 120))
    exif = Image.Exif()
    exif[0x0112] = 6
    scene.save(folder / "photo.jpg", exif=exif, icc_profile=b"profile" * 50)
    scene.save(folder / "progressive.jpg", progressive=True)
    scene.save(folder / "plain.png")
    scene.quantize(16).save(folder / "palette.png", transparency=3)
    scene.convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(np.asarray(scene.convert("L")).astype(np.uint16) * 257).save(
        folder / "deep.png"
    )
    for name, how in {
        "a.webp": {},
        "a.gif": {"save_all": True, "append_images": [scene] * 3},
    }.items():
        scene.save(folder / name, **how)
    for name, how in {"a.bmp": {}, "a.tif": {}, "packed.tif": {"compression": "tiff_lzw"}}.items():
        scene.save(folder / name, **how)


def _write_videos(folder: Path) -> None:
    for name, codec in (
        ("a.mp4", "mp4v"),
        ("a.avi", "MJPG"),
        ("a.webm", "VP80"),
        ("a.mkv", "mp4v"),
    ):
        writer = cv2.VideoWriter()
        if not writer.open(str(folder / name), cv2.VideoWriter_fourcc(*codec), 10.0, (96, 64)):
            continue
        scene = _scene(400, 64)
        for number in range(14):
            writer.write(np.ascontiguousarray(scene[:, 10 * number : 10 * number + 96, ::-1]))
        writer.release()


def _write_depth(folder: Path) -> None:
    metres = np.linspace(1, 30, 64 * 96, dtype=np.float32).reshape(64, 96)
    np.save(folder / "a.npy", metres)
    np.save(folder / "whole.npy", (1000 * metres).astype(np.uint16))
    np.savez_compressed(folder / "dense.npz", depth=metres)
    index = np.arange(0, metres.size, 7)
    shape = np.array(metres.shape)
    np.savez(folder / "sparse.npz", index=index, depth=metres.ravel()[index], shape=shape)
    cv2.imwrite(str(folder / "a.png"), (1000 * metres).astype(np.uint16))
    np.save(folder / "disparities.npy", np.stack([metres] * 3))
    np.save(folder / "scan_depth.npy", metres)
    np.save(folder / "scan_depth_mask.npy", np.ones_like(metres))
    if cv2.haveImageWriter("a.exr"):
        cv2.imwrite(str(folder / "a.exr"), metres)


def _write_truth(folder: Path) -> None:
    streets = folder / "streets"
    lines = load_split(str(streets / "splits"), "test")
    export_ground_truth(streets, lines, FORWARD, streets / "splits" / "gt_depths.npz", 0)
    maps = [frame_depth(streets, line, FORWARD) for line in lines]
    ragged = np.empty(len(maps), object)
    ragged[:] = maps
    np.savez_compressed(folder / "depth" / "published.npz", data=ragged)
    np.savez_compressed(folder / "depth" / "stacked.npz", data=np.stack(maps))
    try:
        import h5py  # noqa: PLC0415 - an extra
    except ImportError:
        return
    with h5py.File(folder / "depth" / "nyu.mat", "w") as file:
        file["images"] = np.zeros((2, 3, 640, 480), np.uint8)
        file.create_dataset("rawDepths", data=np.ones((2, 640, 480), np.float32), compression=1)


def _write_json(folder: Path) -> None:
    camera = {"image_size": [200, 120], "fx": 150, "fy": 150, "cx": 99.5, "cy": 59.5}
    camera["stereo"] = {"left": "left", "right": "right", "baseline_metres": 0.12}
    (folder / "camera.json").write_text(json.dumps(camera))
    (folder / "angle.json").write_text(
        json.dumps({"image_size": [200, 120], "horizontal_fov_degrees": 70})
    )
    (folder / "depth.json").write_text(json.dumps({"kind": "depth", "metres_per_step": 0.001}))
    (folder / "alignment.json").write_text(alignment_json(ScaleShift(2.0, 0.1), 0.05, 20, "trial"))
    (folder / OPTIONS_FILE).write_text(to_json(_train_options(folder)))


def _train_options(folder: Path) -> TrainOptions:
    return parse(TrainOptions, ["--model_name", "a", "--log_dir", str(folder), "--resume"])


def _write_texts(folder: Path) -> None:
    images = [f"2011_09_26/a_sync/image_02/data/{n:010d}.jpg" for n in range(20)]
    (folder / "lists" / "images.txt").write_text("\n".join(images))
    labels = "\n".join("a.jpg\n5,6,7,8,>,200,120\n9,9,50,60,<,200,120" for _ in range(4))
    (folder / "lists" / "labels.csv").write_text(labels)
    odometry = folder / "odometry"
    for number in (2, 3):
        (odometry / f"image_{number}").mkdir()
        Image.fromarray(_scene(200, 120)).save(odometry / f"image_{number}" / "000000.png")
    rows = {f"P{n}": [150, 0, 100, -8.1 * n, 0, 150, 60, 0, 0, 0, 1, 0] for n in range(4)}
    text = "".join(f"{key}: {' '.join(map(str, row))}\n" for key, row in rows.items())
    (odometry / "calib.txt").write_text(text)
    pose = "1 0 0 {0} 0 1 0 0 0 0 1 {0}\n"
    (odometry / "poses.txt").write_text("".join(pose.format(n / 10) for n in range(30)))
    times = odometry / "sequences" / "09" / "times.txt"
    times.parent.mkdir(parents=True)
    times.write_text("".join(f"{n / 10:e}\n" for n in range(30)))


def kinds(folder: Path) -> list[Kind]:
    """The kinds of files that :func:`make_sound_files` wrote into a folder."""
    found = [*_of_models(), *_of_pictures(), *_of_depth(), *_of_texts(), _of_sweeps(folder)]
    return [kind for kind in found if (folder / kind.path).is_file()]


def _convert(path: str, folder: Path) -> None:
    target = folder / "converted.safetensors"
    target.unlink(missing_ok=True)
    convert_file(folder / path, target, "safetensors")


def _describe(folder: Path) -> None:
    opened = open_model(folder / "model")
    metadata(opened.info, Export("onnx"))
    opened.read("depth")


def _resume(folder: Path) -> None:
    load_checkpoint(folder / "checkpoint", paddle.nn.Layer(), SimpleNamespace(set_state_dict=id))


def _begin(folder: Path) -> None:
    options = _train_options(folder)
    changed_options(folder / "json" / OPTIONS_FILE, options)
    starting_options(folder / "json", options)


def _of_models() -> Iterator[Kind]:
    names = ("zip.pth", "own.safetensors", "paddle2.pdparams", "paddle4.pdparams", "hdf5.h5")
    for name in (*names, "hostile.pdparams", "hostile.pth"):
        path = f"weights/{name}"
        yield Kind(path, path, partial(_convert, path))
    yield Kind("json/model", f"model/{INFO_FILE}", _describe, IN_JSON)
    yield Kind("weights/sums", "model/SHA256SUMS", _describe, IN_TEXT)
    yield Kind("json/progress", f"checkpoint/{PROGRESS_FILE}", _resume, IN_JSON)
    yield Kind("weights/optimiser", f"checkpoint/{OPTIMISER_FILE}", _resume)
    yield Kind("json/options", f"json/{OPTIONS_FILE}", _begin, IN_JSON)


def _predictor() -> DepthPredictor:
    """A predictor whose network says how red a picture is."""

    def red(images: np.ndarray) -> np.ndarray:
        return images[..., 0].astype(np.float32) / 255

    info = ModelInfo(Architecture(source_ids=("s",)), HEIGHT, WIDTH, name="trial")
    engine = SimpleNamespace(name="trial", disparity=red)
    return DepthPredictor(Predictor(engine, info))


def _predict(path: str, folder: Path) -> None:
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    words = ["--image_path", str(folder / path), "--load_weights_folder", "w", "--output", str(out)]
    failures = predict_files(_predictor(), [folder / path], parse(DemoOptions, words))
    if failures:
        raise InputError(failures[0])


def _look(path: str, folder: Path) -> None:
    picture_size(folder / path)
    _predict(path, folder)


def _prepare(path: str, folder: Path) -> None:
    out = folder / "prepared"
    shutil.rmtree(out, ignore_errors=True)
    prepare.prepare(folder / path, out, degrees=70)


def _of_pictures() -> Iterator[Kind]:
    names = ("photo.jpg", "progressive.jpg", "plain.png", "palette.png", "alpha.png", "deep.png")
    for name in (*names, "a.webp", "a.gif", "a.bmp", "a.tif", "packed.tif"):
        path = f"pictures/{name}"
        yield Kind(path, path, partial(_look, path), IN_PICTURES)
    for name in ("a.mp4", "a.avi", "a.webm", "a.mkv"):
        path = f"videos/{name}"
        yield Kind(path, path, partial(_predict, path))
        yield Kind(f"{path}, prepared", path, partial(_prepare, path))


def _truth_of(path: str, folder: Path) -> None:
    lines = load_split(str(folder / "streets" / "splits"), "test")
    with open_ground_truth(folder / path, lines) as truth:
        for index in range(len(truth)):
            truth[index].mean()


def _depth_of(path: str, folder: Path) -> None:
    depth_size(folder / path, MILLIMETRES)
    read_depth(folder / path, MILLIMETRES)
    read_sparse_depth(folder / path, "millimetres", (64, 96))


def _masked(folder: Path) -> None:
    read_masked(folder / "depth", "scan")


def _nyu(folder: Path) -> None:
    words = ["--task", "relative", "--load_weights_folder", "w", "--data_path"]
    depth_set = open_nyu(parse(EvaluateOptions, [*words, str(folder / "depth" / "nyu.mat")]))
    for sample in depth_set.samples:
        sample.picture()
        sample.read_depth()


def _of_depth() -> Iterator[Kind]:
    for name in ("a.npy", "whole.npy", "dense.npz", "sparse.npz", "a.png", "a.exr"):
        path = f"depth/{name}"
        yield Kind(f"truth/{name}", path, partial(_depth_of, path), IN_PICTURES)
    for name in ("published.npz", "stacked.npz"):
        yield Kind(f"truth/{name}", f"depth/{name}", partial(_truth_of, f"depth/{name}"))
    own = "streets/splits/gt_depths.npz"
    yield Kind("truth/own.npz", own, partial(_truth_of, own))
    yield Kind("truth/mask", "depth/scan_depth_mask.npy", _masked)
    yield Kind("truth/nyu.mat", "depth/nyu.mat", _nyu)
    yield Kind(
        "truth/disparities",
        "depth/disparities.npy",
        lambda folder: load_disparities(folder / "depth" / "disparities.npy", 3).mean(),
    )


def _frames(folder: Path) -> None:
    """What export and training read of a drive."""
    streets = folder / "streets"
    for part in ("train", "test"):
        lines = load_split(str(streets / "splits"), part)
        items = make_items(streets, lines, ("s",), HEIGHT, WIDTH)
        items.item(0, 0)
        frame_depth(streets, lines[0], FORWARD)


def _convert_list(path: str, folder: Path) -> None:
    target = folder / "converted.txt"
    splits.convert_file(folder / path, target)
    read_split_file(target)


def _of_texts() -> Iterator[Kind]:
    day = "streets/2000_01_01"
    for name in ("calib_cam_to_cam.txt", "calib_velo_to_cam.txt"):
        yield Kind(f"calibration/{name}", f"{day}/{name}", _frames, IN_TEXT)
    for part in ("train", "test"):
        path = f"streets/splits/{part}_files.txt"
        yield Kind(f"split/{part}", path, _frames, IN_TEXT)
    yield Kind(
        "split/images", "lists/images.txt", partial(_convert_list, "lists/images.txt"), IN_TEXT
    )
    yield Kind(
        "split/labels",
        "lists/labels.csv",
        lambda folder: read_labels(folder / "lists" / "labels.csv"),
        IN_TEXT,
    )
    odometry: dict[str, tuple[str, Callable[[Path], object]]] = {
        "calib": ("calib.txt", lambda folder: kitti_odom.read_calibration(folder / "odometry")),
        "poses": ("poses.txt", lambda folder: read_trajectory(folder / "odometry" / "poses.txt")),
        "times": (
            "sequences/09/times.txt",
            lambda folder: kitti_odom.frame_times(folder / "odometry", 9, 30),
        ),
    }
    for name, (path, read) in odometry.items():
        yield Kind(f"calibration/odometry {name}", f"odometry/{path}", read, IN_TEXT)
    for name in ("camera", "angle"):
        yield Kind(
            f"calibration/{name}.json",
            f"json/{name}.json",
            lambda folder, name=name: read_camera_file(folder / "json" / f"{name}.json").resized(
                (100, 60)
            ),
            IN_JSON,
        )
    yield Kind("json/depth", "json/depth.json", lambda folder: read_note(folder / "json"), IN_JSON)
    yield Kind(
        "json/alignment",
        "json/alignment.json",
        lambda folder: read_alignment(folder / "json" / "alignment.json", "trial"),
        IN_JSON,
    )


def _of_sweeps(folder: Path) -> Kind:
    streets = folder / "streets"
    first = load_split(str(streets / "splits"), "test")[0]
    path = sweep_path(streets, first.folder, first.frame).relative_to(folder)
    return Kind("truth/sweep", path.as_posix(), _frames)
