"""Make training data of videos or folders of frames: extract, choose, hold out, list.

python -m datasets.prepare drive.mp4 data/drive --horizontal_fov 70
"""

from __future__ import annotations

import argparse
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from datasets.camera_file import CAMERA_FILE, Camera, camera_of_angle, read_camera_file
from datasets.clips import ClipWriter, held_out
from datasets.footage import ROTATION, Selection, Selector, choose_stride, measure_step, small_grey
from datasets.footage_files import Footage, find_footage
from datasets.own_frames import PREPARED, prepared_folder
from errors import InputError, run_command
from files import locked

logger = logging.getLogger(__name__)

LOOKED_AT = 200  # frames that the stride is found from
FEWEST_FRAMES = 10


def stride_of(footage: Footage) -> int:
    """How many frames apart neighbours should be."""
    motions, before = [], None
    for number, frame in enumerate(footage.frames()):
        if number == LOOKED_AT:
            break
        grey = small_grey(frame)
        if before is not None:
            motions.append(measure_step(before, grey).motion)
        before = grey
    return choose_stride(motions)


def select(footage: Footage, stride: int) -> tuple[Selection, int]:
    """Choose among every ``stride``-th frame; also returns how many frames there are."""
    selector, number = Selector(), -1
    for number, frame in enumerate(tqdm(footage.frames(), f"looking at {footage.path.name}")):
        if number % stride == 0:
            selector.see(number, small_grey(frame))
    return selector.finish(), number + 1


def find_camera(source: Path, file: Path | None, degrees: float | None) -> Camera | None:
    """The camera that was named, or the one beside the footage; None when only an angle is known.

    Raises:
        InputError: there is none.
    """
    if file is not None:
        return read_camera_file(file)
    beside = (source if source.is_dir() else source.parent) / CAMERA_FILE
    if degrees is None:
        if not beside.is_file():
            raise InputError(
                f"{beside}: no such file; describe the camera in it (docs/own-data.md), or give "
                "its horizontal angle of view, as in --horizontal_fov 70"
            )
        return read_camera_file(beside)
    return None


def prepare(
    source: Path,
    out: Path,
    camera_file: Path | None = None,
    degrees: float | None = None,
    stride: int | None = None,
    max_width: int | None = 1280,
) -> None:
    """Make a data folder ``out`` of footage; it is there whole, or not at all.

    Raises:
        InputError: the footage or camera cannot be used, or ``out`` is there already.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; remove it, or choose another folder")
    camera = find_camera(source, camera_file, degrees)
    new = out.with_name(f".{out.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    writer = ClipWriter(new, max_width)
    try:
        new.mkdir(parents=True)
        for footage in find_footage(source, camera):
            _add(footage, writer, stride)
        if not writer.lines["train"] or not writer.lines["val"]:
            raise InputError(
                f"{source}: leaves {len(writer.lines['train'])} frames to train on and "
                f"{len(writer.lines['val'])} to validate with; film longer, and keep moving"
            )
        if camera is None:
            camera = camera_of_angle(writer.size, degrees, "--horizontal_fov")
        writer.finish(camera)
        new.rename(out)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    train, val = (len(writer.lines[part]) for part in ("train", "val"))
    logger.info("%s: %d items to train on, %d to validate with", out, train, val)
    logger.info("look at %s, then train:", out / "contact_sheet.jpg")
    stereo = " --use_stereo" if camera.stereo else ""
    logger.info("python train.py --dataset frames --data_path %s%s --model_name mine", out, stereo)


def prepared(data_path: Path) -> Path:
    """The prepared frames of a folder, made below it on its first use.

    Raises:
        InputError: its footage or camera cannot be used, or it cannot be written to.
    """
    if not data_path.is_dir():
        raise InputError(f"--data_path {data_path}: no such folder")
    folder = prepared_folder(data_path)
    if folder is not None:
        return folder
    try:
        with locked(data_path / ".prepare.lock", f"{data_path}: another process prepares it"):
            folder = prepared_folder(data_path)
            if folder is None:
                folder = data_path / PREPARED
                prepare(data_path, folder)
    except OSError as error:
        raise InputError(
            f"{data_path}: cannot be written to ({error.strerror}); run python -m "
            f"datasets.prepare {data_path} OUT, and train with --data_path OUT"
        ) from error
    return folder


def _add(footage: Footage, writer: ClipWriter, stride: int | None) -> None:
    """Choose frames of one piece of footage, say which, and write them."""
    stride = stride or stride_of(footage)
    selection, count = select(footage, stride)
    kept = sum(map(len, selection.clips))
    logger.info(
        "%s: %d frames, %s taken: %d kept in %d clips; dropped %d still, %d blurred, %d "
        "without neighbours; %d cuts",
        footage.path,
        count,
        "all" if stride == 1 else f"one in {stride}",
        kept,
        len(selection.clips),
        selection.still,
        selection.blurred,
        selection.short,
        selection.cuts,
    )
    if kept < FEWEST_FRAMES:
        logger.warning("%s: left out, %d frames are too few", footage.path, kept)
        return
    if selection.parallax < ROTATION:
        logger.warning(
            "%s: the camera seems to turn without moving on, or to look at one flat surface; "
            "depth cannot be learnt from that",
            footage.path,
        )
    train, validation = held_out(selection.clips)
    writer.write(footage, train, "train")
    writer.write(footage, validation, "val")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and prepare."""
    parser = argparse.ArgumentParser(
        prog="python -m datasets.prepare", description=__doc__.splitlines()[0]
    )
    parser.add_argument("source", type=Path, help="a video, or a folder of videos or frames")
    parser.add_argument("out", type=Path, help="folder to make")
    parser.add_argument("--camera", type=Path, help="camera.json; without it, the one in SOURCE")
    parser.add_argument("--horizontal_fov", type=float, help="degrees, in the place of a camera")
    parser.add_argument("--stride", type=int, help="take every so many frames; found if not given")
    parser.add_argument("--max_width", type=int, default=1280, help="of the frames that are kept")
    args = parser.parse_args(arguments)
    if args.stride is not None and args.stride < 1:
        raise InputError(f"--stride {args.stride}: must be at least 1; leave it out")
    if args.max_width < 64:
        raise InputError(f"--max_width {args.max_width}: must be at least 64; try 1280")
    prepare(args.source, args.out, args.camera, args.horizontal_fov, args.stride, args.max_width)


if __name__ == "__main__":
    run_command(main)
