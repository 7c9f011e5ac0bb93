"""Cameras that pictures tell of by themselves: the focal length in their EXIF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from datasets.camera import MOST_ASPECT_CHANGE, Camera
from datasets.pictures import DAMAGE, EXIF, PARTS_OF_PNG, open_picture, picture_size
from system.errors import InputError

FOCAL, FOCAL_IN_35MM, ZOOM = 0x920A, 0xA405, 0xA404  # millimetres, likewise, a factor
STORED_SIZE = (0xA002, 0xA003)  # width, height that the camera wrote
PLANE_RESOLUTION, PLANE_UNIT = 0xA20E, 0xA210  # pixels a unit of the sensor
MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # of its units; inches without one
DIAGONAL_35MM = math.hypot(36, 24)  # what the lengths for 35 mm film are compared by
POSSIBLE_DEGREES = (0.5, 170)  # across; beyond, the numbers are wrong
LOOKED_AT = 20  # of the frames of a folder
MOST_APART = 0.02  # focal lengths of one camera, as a share


def camera_of_exif(path: Path) -> Camera | None:
    """The camera of a picture by its EXIF, of the picture's size as it is seen.

    By the focal length for 35 mm film, compared by the diagonal; else by focal length and
    resolution of the sensor. The principal point is taken to be the middle.

    Returns:
        None where it says neither, where it was cropped, or where the numbers cannot be.
    """
    try:
        size = picture_size(path)
        with path.open("rb") as file, open_picture(file) as picture:
            if picture.format == "PNG" and not picture.info.keys() & PARTS_OF_PNG:
                return None  # Pillow would decode it to look behind the pixels
            tags = picture.getexif().get_ifd(EXIF)
    except (InputError, *DAMAGE):  # reading it says what is wrong
        return None
    stored = [_number(tags.get(tag)) for tag in STORED_SIZE]
    longer, shorter = max(size), min(size)
    if None not in stored:
        change = longer / shorter * min(stored) / max(stored)
        if abs(change - 1) > MOST_ASPECT_CHANGE:
            return None
    focal, focal_in_35mm = _number(tags.get(FOCAL)), _number(tags.get(FOCAL_IN_35MM))
    resolution = _number(tags.get(PLANE_RESOLUTION))
    unit = MILLIMETRES.get(tags.get(PLANE_UNIT, 2))
    if focal_in_35mm is not None:
        pixels = focal_in_35mm * math.hypot(*size) / DIAGONAL_35MM
        source = f"EXIF: a focal length of {focal_in_35mm:g} mm for 35 mm film"
    elif None not in (focal, resolution, unit) and (_number(tags.get(ZOOM)) or 1) == 1:
        pixels = focal * resolution / unit * longer / (longer if None in stored else max(stored))
        source = f"EXIF: a focal length of {focal:g} mm, {resolution / unit:.4g} pixels a mm"
    else:
        return None
    degrees = 2 * math.degrees(math.atan(size[0] / 2 / pixels))
    if not POSSIBLE_DEGREES[0] <= degrees <= POSSIBLE_DEGREES[1]:
        return None
    K = [[pixels, 0, (size[0] - 1) / 2], [0, pixels, (size[1] - 1) / 2], [0, 0, 1]]
    return Camera(np.array(K), size, f"{source}, {degrees:.0f} degrees across")


def camera_of_frames(paths: Sequence[Path]) -> Camera | None:
    """The one camera that frames tell of by their EXIF; some of them are looked at.

    Returns:
        None where one says nothing.

    Raises:
        InputError: they were taken with different focal lengths.
    """
    places = sorted({round(p) for p in np.linspace(0, len(paths) - 1, min(LOOKED_AT, len(paths)))})
    first = None
    for path in (paths[place] for place in places):
        camera = camera_of_exif(path)
        if camera is None:
            return None
        first = first or (path, camera)
        shares = [each.K[0, 0] / max(each.image_size) for each in (first[1], camera)]
        if abs(shares[1] / shares[0] - 1) > MOST_APART:
            raise InputError(
                f"{first[0]} and {path}: were taken with different focal lengths "
                f"({first[1].source}; {camera.source}); the frames of a ride must be of one: put "
                "those of each into a folder of their own"
            )
    return None if first is None else first[1]


def _number(value: object) -> float | None:
    """A positive number of EXIF, which writes 0, and 0 / 0, for what is unknown."""
    try:
        number = float(value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if 0 < number < math.inf else None
