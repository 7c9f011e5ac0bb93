"""Cameras: what they see, how that changes with the size of a picture, and ``camera.json``.

Intrinsics are [3, 3] in pixels, with the centre of the first pixel at (0, 0).

``camera.json``, of pixels:
``{"image_size": [1280, 720], "fx": 900, "fy": 900, "cx": 639.5, "cy": 359.5}``.
Of an angle: ``{"image_size": [1280, 720], "horizontal_fov_degrees": 70}``.
With a second camera to the right, both rectified, also
``"stereo": {"left": "left", "right": "right", "baseline_metres": 0.12}``: names of folders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datasets.pictures import LONGEST_SIDE
from system.errors import InputError
from system.files import read_json

CAMERA_FILE = "camera.json"
POSSIBLE_DEGREES = (10, 160)  # that a camera sees from left to right
USUAL_DEGREES = (20, 150)  # of a car's camera
ASSUMED_DEGREES = 70.0  # a phone's main camera; a dashboard camera has more
ASPECT_OF_PIXELS = (0.67, 1.5)  # of the two focal lengths
MOST_ASPECT_CHANGE = 0.02
LARGEST_NORMALISED = 5  # a focal length in image widths
LARGEST_MILLIMETRES = 60
LARGEST_NUMBER = 1e9  # in a file
PIXEL_KEYS = ("fx", "fy", "cx", "cy")
ANGLE_KEY = "horizontal_fov_degrees"


@dataclass(frozen=True)
class StereoFolders:
    """Where the frames of a rectified pair of cameras lie, and how far apart these are."""

    left: str
    right: str
    baseline_metres: float


@dataclass(frozen=True)
class Camera:
    """A camera without distortion."""

    K: np.ndarray  # intrinsics [3, 3], pixels, with the centre of the first pixel at (0, 0)
    image_size: tuple[int, int]  # (width, height) of the pictures that these are of
    source: str = ""  # where this is known from, in words
    mirror: bool = True  # whether a flip of the picture mirrors the principal point
    stereo: StereoFolders | None = None  # the second camera, if there is one

    def resized(self, size: tuple[int, int]) -> Camera:
        """The same camera, of its pictures brought to (width, height).

        Raises:
            InputError: they were cropped, too, so that its intrinsics do not hold.
        """
        aspect, own = size[0] / size[1], self.image_size[0] / self.image_size[1]
        if abs(aspect / own - 1) > MOST_ASPECT_CHANGE:
            raise InputError(
                f"{self.source}: is of {self.image_size[0]}x{self.image_size[1]} pictures, and "
                f"these have {size[0]}x{size[1]}: another aspect ratio, so they were cropped or "
                "turned; give the camera of these pictures"
            )
        return self.stretched(size)

    def stretched(self, size: tuple[int, int]) -> Camera:
        """Like :meth:`resized`, in any aspect ratio, of pictures that were stretched to it.

        Resizing keeps a picture's border, which lies half a pixel outside the first pixel centre:
        a point at x moves to (x + 0.5) * scale - 0.5.
        """
        x, y = (to / of for to, of in zip(size, self.image_size))
        scaling = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
        return replace(self, K=scaling @ self.K, image_size=size)

    def flipped(self) -> Camera:
        """The same camera, of its pictures mirrored left to right: x becomes width - 1 - x."""
        if not self.mirror:
            return self
        K = self.K.copy()
        K[0, 2] = self.image_size[0] - 1 - K[0, 2]
        return replace(self, K=K)


def published_camera(width: int, height: int) -> Camera:
    """The one camera that the published training assumes for all of KITTI.

    It is not mirrored when the picture is: its principal point is the middle of the picture.
    """
    K = [[0.58 * width, 0, 0.5 * width], [0, 1.92 * height, 0.5 * height], [0, 0, 1]]
    return Camera(np.array(K), (width, height), "published", mirror=False)


def camera_of_angle(size: tuple[int, int], degrees: float, source: str) -> Camera:
    """A camera with square pixels that sees ``degrees`` from left to right.

    Raises:
        InputError: no such camera takes pictures like these.
    """
    low, high = POSSIBLE_DEGREES
    if not low <= degrees <= high:
        raise InputError(
            f"{source}: {degrees:g} degrees across; cameras see {low} to {high}: is it in radians, "
            "or the angle of something else?"
        )
    width, height = size
    focal = width / 2 / math.tan(math.radians(degrees) / 2)
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    return Camera(K, size, source)


def camera_of_pixels(
    size: tuple[int, int], fx: float, fy: float, cx: float, cy: float, source: str
) -> Camera:
    """A camera by its focal lengths and principal point in pixels of ``size`` (width, height).

    Raises:
        InputError: these cannot be; the message names the likely mistake.
    """
    width, height = size
    mistake = _mistake(width, height, fx, fy, cx, cy)
    if mistake is not None:
        raise InputError(f"{source}: fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}: {mistake}")
    return Camera(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], float), size, source)


def _mistake(  # noqa: PLR0911 - one line per mistake
    width: int, height: int, fx: float, fy: float, cx: float, cy: float
) -> str | None:
    """What is wrong with intrinsics of a picture of this size, and why, likely; None if nothing."""
    if min(fx, fy) <= 0:
        return "focal lengths must be positive; drop the sign, mirror the pictures instead"
    if max(fx, fy) <= LARGEST_NORMALISED:
        return (
            "focal lengths look like shares of the picture's size; multiply fx and cx by "
            f"{width}, fy and cy by {height}"
        )
    low, high = POSSIBLE_DEGREES
    angle = 2 * math.degrees(math.atan(width / 2 / fx))
    if not low <= angle <= high:
        if max(fx, fy) <= LARGEST_MILLIMETRES:
            return (
                "focal lengths look like millimetres; divide them by the sensor's width in "
                f"millimetres and multiply by {width}"
            )
        return (
            f"this camera would see {angle:.0f} degrees across; are they of pictures of another "
            f"size than {width}x{height}?"
        )
    if not (0 <= cx <= width and 0 <= cy <= height):
        if 0 <= cy <= width and 0 <= cx <= height:
            return f"the principal point lies outside {width}x{height}; are cx and cy swapped?"
        return (
            f"the principal point lies outside {width}x{height}; is it of pictures of another "
            "size, or measured from their middle?"
        )
    if max(cx, cy) <= 1:
        return (
            f"the principal point looks like shares of the picture's size; multiply cx by {width} "
            f"and cy by {height}"
        )
    if not ASPECT_OF_PIXELS[0] <= fx / fy <= ASPECT_OF_PIXELS[1]:
        return "the two focal lengths differ too much; mixed units, or of pictures of another shape"
    return None


def read_camera_file(path: Path) -> Camera:
    """Read ``camera.json``.

    Raises:
        InputError: it is missing, damaged, incomplete, or of an impossible camera.
    """
    try:
        fields = read_json(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; docs/own-data.md says what goes into it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(fields, dict):
        raise InputError(f"{path}: must hold one JSON object")
    known = {"image_size", *PIXEL_KEYS, ANGLE_KEY, "stereo"}
    unknown = sorted(fields.keys() - known)
    if unknown:
        raise InputError(f"{path}: unknown {', '.join(unknown)}; there are {', '.join(known)}")
    size = _size(fields.get("image_size"), path)
    given = [key for key in PIXEL_KEYS if key in fields]
    if ANGLE_KEY in fields and given:
        raise InputError(
            f"{path}: holds {ANGLE_KEY} and {', '.join(given)}; a camera is given by one or by the "
            "others"
        )
    if ANGLE_KEY in fields:
        camera = camera_of_angle(size, _number(fields, ANGLE_KEY, path), str(path))
    else:
        values = (_number(fields, key, path) for key in PIXEL_KEYS)
        camera = camera_of_pixels(size, *values, str(path))
    return replace(camera, stereo=_stereo(fields.get("stereo"), path))


def _size(value: object, path: Path) -> tuple[int, int]:
    ok = isinstance(value, list) and len(value) == 2
    if not ok or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in value):
        raise InputError(
            f"{path}: image_size must be [width, height] in pixels of the pictures that the "
            f"camera's numbers are of, not {str(value)[:80]}"
        )
    if max(value) > LONGEST_SIDE:
        raise InputError(f"{path}: image_size: no picture has more than {LONGEST_SIDE} on a side")
    return value[0], value[1]


def _number(fields: dict, key: str, path: Path) -> float:
    value = fields.get(key)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not abs(value) <= LARGEST_NUMBER:
        raise InputError(
            f"{path}: {key} must be a number, not {str(value)[:80]}; give {', '.join(PIXEL_KEYS)} "
            f"in pixels, or {ANGLE_KEY}"
        )
    return float(value)


def _stereo(value: object, path: Path) -> StereoFolders | None:
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"left", "right", "baseline_metres"}:
        raise InputError(f"{path}: stereo must have left, right and baseline_metres")
    baseline = _number(value, "baseline_metres", path)
    if not 0.01 <= baseline <= 5:
        raise InputError(
            f"{path}: a baseline of {baseline:g} m; it is the distance between the two cameras in "
            "metres (not millimetres), positive"
        )
    folders = (value["left"], value["right"])
    if not all(isinstance(f, str) and f for f in folders) or folders[0] == folders[1]:
        raise InputError(f"{path}: stereo's left and right must be names of two folders")
    return StereoFolders(*folders, baseline)
