"""From where a mesh of a picture fills its box: from where the picture was taken, about."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

HEAD = struct.Struct("<4sIII4s")  # of a GLB and its first chunk, which holds JSON
TAN_HALF_VIEW = math.tan(0.4)  # of the viewer, which sees 0.8 radians from top to bottom
LEAST_ASPECT = 1.5  # of the box, width by height


def viewing_distance(path: Path, degrees: float) -> float | None:
    """How far from the middle of a mesh to stand; None for an empty mesh.

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
    return -middle[2] * share
