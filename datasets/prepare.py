"""Make training data of videos or folders of frames: extract, choose, hold out, list.

python -m datasets.prepare drive.mp4 data/drive --horizontal_fov 70
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from datasets.camera_file import CAMERA_FILE, Camera, camera_of_angle, read_camera_file
from datasets.footage import ROTATION, Selection, Selector, choose_stride, measure_step, small_grey
from datasets.kitti import read_image
from datasets.own_frames import FOLDER_OF_SIDE, PREPARED, SPLITS, frame_path, prepared_folder
from errors import InputError, run_command
from files import locked

logger = logging.getLogger(__name__)

PICTURES = {".jpg", ".jpeg", ".png"}
VIDEOS = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"}
LOOKED_AT = 200  # frames that the stride is found from
VALIDATION = 0.1  # of each piece of footage, at its end
FEWEST_FRAMES = 10
THUMBNAILS = (6, 5)  # columns, rows of the contact sheet
THUMBNAIL_WIDTH = 240


@dataclass(frozen=True)
class Footage:
    """Frames in the order of time: a video file, or a folder of pictures.

    Attributes:
        path: of it.
        right: of the right camera's, in the same order, or None.
    """

    path: Path
    right: Path | None = None

    def frames(self, right: bool = False) -> Iterator[np.ndarray]:
        """The frames, uint8 RGB [H, W, 3].

        Raises:
            InputError: one cannot be read.
        """
        path = self.right if right else self.path
        if path.is_dir():
            for picture in pictures_in(path):
                yield read_image(picture)
            return
        capture = cv2.VideoCapture(str(path))
        if not capture.isOpened():
            raise InputError(
                f"{path}: cannot be opened as a video; convert it, as with "
                "ffmpeg -i IN -c:v libx264 OUT.mp4"
            )
        try:
            while True:
                ok, frame = capture.read()
                if not ok:
                    return
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            capture.release()

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """The frames, each with the right camera's if there is one.

        Raises:
            InputError: one cannot be read, or the two cameras have not as many.
        """
        if self.right is None:
            yield from ((frame, None) for frame in self.frames())
            return
        others = self.frames(right=True)
        for frame in self.frames():
            other = next(others, None)
            if other is None or other.shape != frame.shape:
                raise InputError(
                    f"{self.right}: must have as many frames as {self.path}, of the same size"
                )
            yield frame, other


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their names."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def find_footage(source: Path, camera: Camera | None) -> list[Footage]:
    """The videos and folders of pictures that a path names; of a folder, those in it.

    Raises:
        InputError: there are none, or the right camera's are missing.
    """
    if source.is_file():
        return [Footage(source)]
    if not source.is_dir():
        raise InputError(f"{source}: no such video or folder")
    if camera is not None and camera.stereo is not None:
        left, right = source / camera.stereo.left, source / camera.stereo.right
        return [
            Footage(footage.path, _partner(footage.path, left, right))
            for footage in find_footage(left, None)
        ]
    if pictures_in(source):
        return [Footage(source)]
    found = [
        Footage(path)
        for path in sorted(source.iterdir())
        if path.suffix.lower() in VIDEOS or (path.is_dir() and pictures_in(path))
    ]
    if not found:
        raise InputError(
            f"{source}: holds neither pictures ({', '.join(sorted(PICTURES))}) nor folders of "
            f"them nor videos ({', '.join(sorted(VIDEOS))})"
        )
    return found


def _partner(path: Path, left: Path, right: Path) -> Path:
    partner = right / path.relative_to(left) if path != left else right
    if not partner.exists():
        raise InputError(f"{partner}: the right camera's frames of {path} are missing")
    return partner


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


def held_out(clips: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Cut clips into those to train on and, of the last tenth of the frames, those to validate."""
    total = sum(map(len, clips))
    left = max(3, round(VALIDATION * total))
    train, validation = [list(clip) for clip in clips], []
    while left > 0 and train:
        clip = train.pop()
        if len(clip) - left >= 3:
            train.append(clip[:-left])
            clip = clip[-left:]
        validation.insert(0, clip)
        left -= len(clip)
    if not train:  # one short clip: half and half
        clip = validation.pop()
        train.append(clip[: len(clip) // 2])
        validation.append(clip[len(clip) // 2 :])
    return train, validation


class Writer:
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
            for side, image in (("l", frame), ("r", right)):
                if image is not None:
                    self._save(frame_path(self.out, clip, index, side, "jpg"), image, footage)
            if 0 < index < length - 1:
                self.lines[part].append(f"{clip} {index} l")
                if right is not None:
                    self.lines[part].append(f"{clip} {index} r")
                self.thumbnails.append((f"{part} {clip} {index}", self._thumbnail(frame)))

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

    @staticmethod
    def _thumbnail(frame: np.ndarray) -> np.ndarray:
        height = round(frame.shape[0] * THUMBNAIL_WIDTH / frame.shape[1])
        return cv2.resize(frame, (THUMBNAIL_WIDTH, height), interpolation=cv2.INTER_AREA)

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
        (self.out / CAMERA_FILE).write_text(json.dumps(fields, indent=2) + "\n")
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
    writer = Writer(new, max_width)
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


def _add(footage: Footage, writer: Writer, stride: int | None) -> None:
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
