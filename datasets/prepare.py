"""Make training data of videos or folders of frames: extract, choose, hold out, list.

python -m datasets.prepare drive.mp4 data/drive --horizontal_fov 70
"""

from __future__ import annotations

import argparse
import glob
import itertools
import logging
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from datasets.camera import CAMERA_FILE, Camera, camera_of_angle, read_camera_file
from datasets.exif import camera_of_frames
from datasets.footage.advice import too_few, training_line
from datasets.footage.finding import (
    FEWEST_FRAMES,
    LOCK,
    Footage,
    find_footage,
    pictures_in,
    pieces_of,
)
from datasets.footage.selection import (
    ROTATION,
    choose_stride,
    held_out,
    measure_step,
    select,
    shift_between,
    small_grey,
)
from datasets.layouts import FOLDER_OF_SIDE, PREPARED, SPLITS, clip_frame_path, prepared_folder
from system.command_line import path_of
from system.errors import InputError, run_command
from system.files import folder_written_whole, json_text
from system.locks import locked
from system.terminal import offer_verbose

logger = logging.getLogger(__name__)

LOOKED_AT = 200  # frames that the stride is found from
COMPARED_PAIRS = 10  # of the frames of two cameras, which of them is the left one
MOST_PAIRS = 0.2  # quantile of the pairs from which on all must agree
LEAST_SHIFT = 0.002  # in widths, that tells the left camera from the right one
LARGEST_SHIFT_DOWN = 0.02  # in heights, of rectified pairs
THUMBNAILS = (6, 5)  # columns, rows of the contact sheet
THUMBNAIL_WIDTH = 240


class ClipWriter:
    """Writes clips of frames, their lists, camera and contact sheet into a new folder."""

    def __init__(self, out: Path, max_width: int | None) -> None:
        self.out, self.max_width = out, max_width
        self.size: tuple[int, int] | None = None
        self.lines: dict[str, list[str]] = {"train": [], "val": []}
        self.thumbnails: list[tuple[str, np.ndarray]] = []
        self.clips = 0

    def write(self, footage: Footage, clips: Sequence[Sequence[int]], part: str) -> None:
        """Write the frames of some clips, whose inner ones become targets of a part."""
        place = {}
        for clip in clips:
            for index, number in enumerate(clip):
                place[number] = (f"clip_{self.clips:03d}", index, len(clip))
            self.clips += 1
        for number, (frame, right) in enumerate(footage.pairs()):
            if number not in place:
                continue
            clip, index, length = place[number]
            target = 0 < index < length - 1
            for side, image in (("l", frame), ("r", right)):
                if image is not None:
                    self._save(clip_frame_path(self.out, clip, index, side, "jpg"), image, footage)
                    if target:
                        self.lines[part].append(f"{clip} {index} {side}")
            if target:
                size = (THUMBNAIL_WIDTH, round(frame.shape[0] * THUMBNAIL_WIDTH / frame.shape[1]))
                small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
                self.thumbnails.append((f"{part} {clip} {index}", small))

    def _save(self, path: Path, image: np.ndarray, footage: Footage) -> None:
        height, width = image.shape[:2]
        if self.max_width is not None and width > self.max_width:
            height, width = round(height * self.max_width / width), self.max_width
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        self.size = self.size or (width, height)
        if (width, height) != self.size:
            raise InputError(
                f"{footage.path}: has frames of {width}x{height}, the others {self.size[0]}x"
                f"{self.size[1]}; one camera makes frames of one size: prepare them separately"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path, quality=95)

    def finish(self, camera: Camera) -> None:
        """Write what belongs to all clips."""
        resized = camera.resized(self.size)
        fields = {
            "image_size": list(self.size),
            **dict(zip(("fx", "fy", "cx", "cy"), resized.K[[0, 1, 0, 1], [0, 1, 2, 2]].tolist())),
        }
        if camera.stereo is not None:
            fields["stereo"] = {
                "left": FOLDER_OF_SIDE["l"],
                "right": FOLDER_OF_SIDE["r"],
                "baseline_metres": camera.stereo.baseline_metres,
            }
        (self.out / CAMERA_FILE).write_text(json_text(fields))
        (self.out / SPLITS).mkdir()
        for part, lines in self.lines.items():
            (self.out / SPLITS / f"{part}_files.txt").write_text("\n".join(lines) + "\n")
        self._contact_sheet().save(self.out / "contact_sheet.jpg", quality=90)

    def _contact_sheet(self) -> Image.Image:
        columns, rows = THUMBNAILS
        count = min(columns * rows, len(self.thumbnails))
        chosen = np.linspace(0, len(self.thumbnails) - 1, count).astype(int)
        height = self.thumbnails[0][1].shape[0] + 14
        sheet = Image.new("RGB", (columns * THUMBNAIL_WIDTH, -(-count // columns) * height))
        draw = ImageDraw.Draw(sheet)
        for place, index in enumerate(chosen):
            label, picture = self.thumbnails[index]
            corner = (place % columns * THUMBNAIL_WIDTH, place // columns * height)
            sheet.paste(Image.fromarray(picture), (corner[0], corner[1] + 14))
            draw.text((corner[0] + 3, corner[1] + 1), label, fill=(255, 255, 255))
        return sheet


def stride_of(footage: Footage) -> int:
    """How many frames apart neighbours should be."""
    greys = [small_grey(frame) for frame in itertools.islice(footage.frames(), LOOKED_AT)]
    return choose_stride([measure_step(*pair).motion for pair in zip(greys, greys[1:])])


def camera_of_footage(source: Path, file: Path | None, degrees: float | None) -> Camera | None:
    """The camera that was named, or beside the footage, or that the frames' EXIF tells of.

    None when only an angle is known.

    Raises:
        InputError: there is none, or the frames tell of several.
    """
    if file is None:
        if degrees is not None:
            return None
        file = (source if source.is_dir() else source.parent) / CAMERA_FILE
        if not file.is_file():
            pieces = pieces_of(source)
            videos = any(piece.is_file() for piece in pieces)
            frames = [] if videos else [p for piece in pieces for p in pictures_in(piece)]
            stated = camera_of_frames(frames)
            if stated is not None:
                logger.info("%s: no %s; taken is %s", source, CAMERA_FILE, stated.source)
                return stated
            raise InputError(
                f"{file}: no such file; describe the camera in it (docs/own-data.md), or give "
                "its horizontal angle of view, as in --horizontal_fov 70"
            )
    return read_camera_file(file)


def prepare(
    source: Path,
    out: Path,
    camera_file: Path | None = None,
    degrees: float | None = None,
    stride: int | None = None,
    max_width: int | None = 1280,
) -> str:
    """Make a data folder ``out`` of footage; it is there whole, or not at all.

    Returns:
        A command that trains on it.

    Raises:
        InputError: the footage or camera cannot be used, or ``out`` is there already.
    """
    if out.exists():
        raise InputError(f"{out}: is there already; remove it, or choose another folder")
    camera = camera_of_footage(source, camera_file, degrees)
    for left in out.parent.glob(f".{glob.escape(out.name)}.*.new"):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    found = find_footage(source, camera)
    with folder_written_whole(out) as new:
        writer = ClipWriter(new, max_width)
        for footage in found:
            _add(footage, writer, stride)
        if not writer.lines["train"] or not writer.lines["val"]:
            raise InputError(
                f"{source}: leaves {len(writer.lines['train'])} frames to train on and "
                f"{len(writer.lines['val'])} to validate with; film longer, and keep moving"
            )
        if camera is None:
            camera = camera_of_angle(writer.size, degrees, "--horizontal_fov")
        writer.finish(camera)
    train, val = (len(writer.lines[part]) for part in ("train", "val"))
    logger.info("%s: %d items to train on, %d to validate with", out, train, val)
    few = too_few(train)
    if few is not None:
        logger.warning("%s: %s", out, few)
    return training_line(out, writer.size, train, camera.stereo is not None)


def prepared(data_path: Path) -> Path:
    """The prepared frames of a folder, made below it on its first use.

    Raises:
        InputError: its footage or camera cannot be used, or it cannot be written to.
    """
    if not data_path.is_dir():
        raise InputError(f"--data_path {data_path}: no such folder")
    if prepared_folder(data_path) is None:
        try:
            with locked(data_path / LOCK, f"{data_path}: another process prepares it"):
                if prepared_folder(data_path) is None:
                    prepare(data_path, data_path / PREPARED)
        except OSError as error:
            raise InputError(
                f"{data_path}: cannot be written to ({error.strerror}); run python -m "
                f"datasets.prepare {shlex.quote(str(data_path))} OUT, then train on it with "
                "--data_path OUT"
            ) from error
    return prepared_folder(data_path)


def check_cameras(footage: Footage) -> None:
    """Look whether the left camera is the left one, and whether rows of a pair match.

    Raises:
        InputError: it is the right one.
    """
    some = itertools.islice(footage.pairs(), 0, LOOKED_AT, LOOKED_AT // COMPARED_PAIRS)
    shifts = [shift_between(*map(small_grey, pair)) for pair in some]
    across, down = np.transpose(shifts)
    down = np.median(down)
    if np.quantile(across, MOST_PAIRS) > LEAST_SHIFT:
        raise InputError(
            f"{footage.path} and {footage.right}: things lie further right in the right camera's "
            "frames, so that it is the left one; swap left and right in camera.json"
        )
    if abs(down) > LARGEST_SHIFT_DOWN:
        logger.warning(
            f"{footage.path} and {footage.right}: things lie {abs(down):.1%} of the height "
            f"{'lower' if down > 0 else 'higher'} in the right camera's frames; the pairs are not "
            "rectified, or not of the same moment"
        )


def _add(footage: Footage, writer: ClipWriter, stride: int | None) -> None:
    """Choose frames of one piece of footage, say which, and write them."""
    stride = stride or stride_of(footage)
    if footage.right is not None:
        check_cameras(footage)
    selection = select(tqdm(footage.frames(), f"looking at {footage.path.name}"), stride)
    kept = sum(map(len, selection.clips))
    taken = "all" if stride == 1 else f"one in {stride}"
    logger.info(
        f"{footage.path}: {selection.frames} frames, {taken} taken: {kept} kept in "
        f"{len(selection.clips)} clips; dropped {selection.still} still, {selection.blurred} "
        f"blurred, {selection.short} without neighbours; {selection.cuts} cuts"
    )
    if kept < FEWEST_FRAMES:
        logger.warning("%s: left out, %d frames are too few", footage.path, kept)
        return
    if selection.parallax < ROTATION:
        logger.warning(
            f"{footage.path}: the camera seems to turn without moving on, or to look at one flat "
            "surface; depth cannot be learnt from that"
        )
    for clips, part in zip(held_out(selection.clips), ("train", "val")):
        writer.write(footage, clips, part)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and prepare."""
    parser = argparse.ArgumentParser(
        prog="python -m datasets.prepare", description=__doc__.splitlines()[0]
    )
    offer_verbose(parser)
    parser.add_argument("source", type=path_of, help="a video, or a folder of videos or frames")
    parser.add_argument("out", type=path_of, help="folder to make")
    parser.add_argument("--camera", type=path_of, help="camera.json; without it, the one in SOURCE")
    parser.add_argument("--horizontal_fov", type=float, help="degrees, in the place of a camera")
    parser.add_argument("--stride", type=int, help="take every so many frames; found if not given")
    parser.add_argument("--max_width", type=int, default=1280, help="of the frames that are kept")
    args = parser.parse_args(arguments)
    if args.stride is not None and args.stride < 1:
        raise InputError(f"--stride {args.stride}: must be at least 1; leave it out")
    if args.max_width < 64:
        raise InputError(f"--max_width {args.max_width}: must be at least 64; try 1280")
    how = (args.camera, args.horizontal_fov, args.stride, args.max_width)
    line = prepare(args.source, args.out, *how)
    logger.info("look at %s, then train:\n%s", args.out / "contact_sheet.jpg", line)


if __name__ == "__main__":
    run_command(main)
