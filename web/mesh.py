"""From where a mesh of a picture fills its box: from where the picture was taken, or behind."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

HEAD = struct.Struct("<4sIII4s")  # of a GLB and its first chunk, which holds JSON
TAN_HALF_VIEW = math.tan(0.4)  # of the viewer, which sees 0.8 radians from top to bottom
LEAST_ASPECT = 1.5  # of the box, width by height


def viewpoint(path: Path, degrees: float) -> tuple[float, float, float] | None:
    """Where to stand, seen from the middle of a mesh, at which one looks; None for an empty mesh.

    In degrees around it (90: in front of it), degrees from straight above, and the distance: a
    street's middle is high above the camera, and to one side.

    Args:
        path: GLB that is seen from (0, 0, 0) along -z.
        degrees: that the camera saw from left to right.
    """
    with path.open("rb") as file:
        length = HEAD.unpack(file.read(HEAD.size))[3]
        accessors = json.loads(file.read(length)).get("accessors")
    if not accessors:
        return None
    low, high = (accessors[0][key] for key in ("min", "max"))
    middle = [(one + other) / 2 for one, other in zip(low, high)]
    across = math.tan(math.radians(degrees) / 2)
    tall = max(abs(low[1]), abs(high[1])) / -middle[2]
    share = max(1.0, across / (LEAST_ASPECT * TAN_HALF_VIEW), tall / TAN_HALF_VIEW)
    x, y, z = (-each for each in middle)
    distance = math.hypot(x, y, z)
    around, above = math.degrees(math.atan2(z, x)), math.degrees(math.acos(y / distance))
    return around, above, distance * share
