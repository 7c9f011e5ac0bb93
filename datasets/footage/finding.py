"""Finding footage: the videos and folders of frames that a path means, and which are pairs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasets.camera import CAMERA_FILE, Camera
from datasets.folders import (
    LeftOut,
    in_words,
    list_folder,
    moments,
    order_doubt,
    path_key,
    say_left_out,
)
from datasets.footage import VIDEOS
from datasets.footage.video import Video
from datasets.layouts import PREPARED, prepared_folder
from datasets.pictures import PICTURES, read_picture, time_taken
from system.errors import InputError

FEWEST_FRAMES = 10  # that a piece of footage is of use with
LOCK = ".prepare.lock"  # of a folder that is being prepared
OWN = frozenset({CAMERA_FILE, PREPARED, LOCK})
# Folders beside the frames that hold something else of them, in small letters.
NO_FRAMES = (
    *("depth", "depths", "depth_map", "disp", "disparity", "labels", "mask", "masks", "semantic"),
    *("segmentation", "thumbnails", "thumbs", "velodyne_points", "proj_depth"),
)
SHOWN = 3  # files in a message


@dataclass(frozen=True)
class Footage:
    """Frames in the order of time: a video file, or the pictures of a folder."""

    path: Path  # of it
    right: Path | None = None  # of the right camera's, of the same moments, or None

    def frames(self, right: bool = False) -> Iterator[np.ndarray]:
        """The frames, uint8 RGB [H, W, 3]; see :meth:`pairs`."""
        return (frame for frame, _, _ in _timed(self.right if right else self.path))

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """The frames, each with the right camera's if there is one.

        Raises:
            InputError: one cannot be read, or the two cameras' are not of the same moments or size.
        """
        if self.right is None:
            yield from zip(self.frames(), itertools.repeat(None))
            return
        apart = None  # seconds that one video starts after the other
        nothing = (None, 0.0, 0.0)
        both = itertools.zip_longest(_timed(self.path), _timed(self.right), fillvalue=nothing)
        for number, ((left, at, tolerance), (right, other_at, _)) in enumerate(both):
            if left is None or right is None or left.shape != right.shape:
                raise InputError(
                    f"{self.right}: must have as many frames as {self.path}, of the same size"
                )
            apart = other_at - at if apart is None else apart
            if abs(other_at - at - apart) > tolerance:
                raise InputError(
                    f"{self.right}: its frame {number} is of {other_at:.3f} s, that of {self.path} "
                    f"of {at:.3f} s: not of the same moment; record both cameras in step, or bring "
                    "both videos to one constant rate, as with ffmpeg -i IN -r 30 OUT.mp4"
                )
            yield left, right


def _timed(path: Path) -> Iterator[tuple[np.ndarray, float, float]]:
    """The frames of a path, each with its second and how far another may be from that."""
    if path.is_dir():  # whose pictures were matched by their names
        yield from ((read_picture(picture), 0.0, 0.0) for picture in pictures_in(path))
        return
    video = Video(path)
    for frame in video.frames():
        yield frame, video.seconds, 0.5 / video.rate


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, in order."""
    return list_folder(folder, PICTURES, OWN).files


def find_footage(source: Path, camera: Camera | None) -> list[Footage]:
    """The videos and folders of pictures that a path means; what else is there is said.

    Of a folder it is its pictures, its videos and those of the folders in it.

    Raises:
        InputError: there are none, their order is not clear, or they do not match those of the
            right camera.
    """
    if camera is not None and camera.stereo is not None and source.is_dir():
        return _find_pairs(source, camera.stereo.left, camera.stereo.right)
    return _find(source)


def _find(source: Path) -> list[Footage]:
    if source.is_file() and source.suffix.lower() in PICTURES - {".gif"}:
        raise InputError(f"{source}: is one picture; name a video, or the folder of the frames")
    if source.is_file():
        return [Footage(source)]
    if not source.is_dir():
        raise InputError(f"{source}: no such video or folder")
    left_out: LeftOut = {}
    found = _pieces(source, left_out, set())
    if not found:
        others = f"; left out: {in_words(left_out)}" if left_out else ""
        raise InputError(
            f"{source}: holds neither pictures ({', '.join(sorted(PICTURES))}) nor folders of "
            f"them nor videos ({', '.join(sorted(VIDEOS))}){others}"
        )
    say_left_out(source, left_out)
    for path in found:
        if path.is_dir():
            check_order(path)
    return [Footage(path) for path in found]


def pieces_of(source: Path) -> list[Path]:
    """The videos and the folders with pictures of a folder; of what is left out, nothing is said.

    Empty where there is no such folder.
    """
    return _pieces(source, {}, set()) if source.is_dir() else []


def _pieces(folder: Path, left_out: LeftOut, seen: set[Path]) -> list[Path]:
    """The videos and the folders with pictures in a folder, itself and those below it included."""
    if folder.resolve() in seen:  # by a link that leads back
        return []
    seen.add(folder.resolve())
    listing = list_folder(folder, PICTURES | VIDEOS, OWN)
    for reason, paths in listing.left_out.items():
        left_out.setdefault(reason, []).extend(paths)
    inside = [path for path in listing.files if path.suffix.lower() in VIDEOS]
    for each in listing.folders:
        if each.name.casefold() in NO_FRAMES:
            left_out.setdefault("no folder of frames, by the name", []).append(each)
        elif prepared_folder(each) == each:
            left_out.setdefault("prepared already", []).append(each)
        else:
            inside.extend(_pieces(each, left_out, seen))
    pictures = [path for path in listing.files if path.suffix.lower() in PICTURES]
    if inside and 0 < len(pictures) < FEWEST_FRAMES:
        reason = f"too few pictures ({FEWEST_FRAMES} are needed), beside other footage"
        left_out.setdefault(reason, []).extend(pictures)
        pictures = []
    inside.sort(key=lambda path: path_key(path.relative_to(folder)))
    return [folder, *inside] if pictures else inside


def check_order(folder: Path) -> None:
    """Refuse pictures whose order nobody can tell, by their names and the times in them.

    Raises:
        InputError: names what is not clear.
    """
    paths = pictures_in(folder)
    doubt = order_doubt(paths) or _time_doubt(paths)
    if doubt is not None:
        raise InputError(
            f"{folder}: the order of its {len(paths)} pictures is not clear: {doubt}; put the "
            "frames of each camera and ride into a folder of their own, numbered by time"
        )


def _time_doubt(paths: Sequence[Path]) -> str | None:
    """Where pictures that say when they were taken are not in that order."""
    last = None
    for path, taken in zip(paths, map(time_taken, paths)):
        if taken is None:
            return None
        if last is not None and taken < last[1]:
            return (
                f"{last[0].name} comes before {path.name} by its name, but was taken after it "
                f"({last[1]}, {taken})"
            )
        last = path, taken
    return None


def _find_pairs(source: Path, left: str, right: str) -> list[Footage]:
    """The left camera's footage, each piece with the right camera's of the same moments."""
    left, right = (name.replace("\\", "/") for name in (left, right))  # of Windows
    others = list_folder(source, (), OWN | {Path(name).parts[0] for name in (left, right)})
    beside = {"in none of the cameras' folders": others.folders} if others.folders else {}
    say_left_out(source, {**others.left_out, **beside})
    lefts, rights = (_find(source / name) for name in (left, right))
    if len(lefts) == len(rights) == 1:
        (one,), (other,) = lefts, rights
        return [_paired(one, other)]
    roots = source / left, source / right
    paths = [[footage.path for footage in found] for found in (lefts, rights)]
    keys = [
        moments([str(path.relative_to(root).parent / path.stem) for path in found])
        for root, found in zip(roots, paths)
    ]
    _check_match(roots, paths, keys)
    return [_paired(one, other) for one, other in zip(lefts, rights)]


def _paired(left: Footage, right: Footage) -> Footage:
    """Both as one, if their pictures are of the same moments by the numbers in their names."""
    if left.path.is_dir() != right.path.is_dir():
        raise InputError(f"{left.path} and {right.path}: one is a video, the other a folder")
    if left.path.is_dir():
        pictures = [pictures_in(footage.path) for footage in (left, right)]
        keys = [moments([path.stem for path in paths]) for paths in pictures]
        _check_match((left.path, right.path), pictures, keys)
    return replace(left, right=right.path)


def _check_match(
    roots: Sequence[Path], paths: Sequence[Sequence[Path]], keys: Sequence[Sequence[object]]
) -> None:
    """Refuse files of two cameras that do not belong together one by one.

    Args:
        roots: folder of the left and of the right camera.
        paths: of their files, in order.
        keys: of each file, what is the same for both cameras.
    """
    if list(keys[0]) == list(keys[1]):
        return
    alone = [
        path
        for files, own, others in zip(paths, keys, map(set, reversed(keys)))
        for path, key in zip(files, own)
        if key not in others
    ]
    shown = ", ".join(str(path) for path in alone[:SHOWN]) + (", …" if alone[SHOWN:] else "")
    raise InputError(
        f"{roots[1]}: must have as many frames as {roots[0]}, of the same moments by the numbers "
        f"in their names; {len(alone)} have no partner: {shown}; add these, or take them out"
    )
