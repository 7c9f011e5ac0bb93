"""Clips of neighbouring frames as a data set: which are held out, and how all is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from datasets.camera_file import CAMERA_FILE, Camera
from datasets.footage_files import Footage
from datasets.own_frames import FOLDER_OF_SIDE, SPLITS, frame_path
from errors import InputError

VALIDATION = 0.1  # of each piece of footage, at its end
THUMBNAILS = (6, 5)  # columns, rows of the contact sheet
THUMBNAIL_WIDTH = 240


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
