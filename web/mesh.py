"""From where a mesh of a picture fills its box: from where the picture was taken, or behind."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

HEAD = struct.Struct("<4sIII4s")  # of a GLB and its first chunk, which holds JSON
CHUNK = struct.Struct("<I4s")  # the head of the second, which begins with the vertices
TAN_HALF_VIEW = math.tan(0.4)  # of the viewer, which sees 0.8 radians from top to bottom
LEAST_ASPECT = 1.5  # of the box, width by height
SEEN = 0.99  # of the vertices; the nearest corners would move all else far away


def viewpoint(path: Path) -> tuple[float, float, float] | None:
    """Where to stand, seen from the middle of a mesh, at which one looks; None for an empty mesh.

    In degrees around it (90: in front of it), degrees from straight above, and the distance: a
    street's middle is high above the camera, and to one side.

    Args:
        path: GLB that is seen from (0, 0, 0) along -z.
    """
    with path.open("rb") as file:
        accessors = _accessors(file)
        if not accessors:
            return None
        file.seek(CHUNK.size, 1)
        vertices = np.fromfile(file, "<f4", 3 * accessors[0]["count"]).reshape(-1, 3)
    middle = np.mean([accessors[0][key] for key in ("min", "max")], axis=0)
    distance = float(np.linalg.norm(middle))
    ahead = middle / distance
    right = np.cross(ahead, (0, 1, 0))
    right /= np.linalg.norm(right)
    deep, aside, above = np.stack([ahead, right, np.cross(right, ahead)]) @ vertices.T
    needed = np.maximum(abs(aside) / LEAST_ASPECT, abs(above)) / TAN_HALF_VIEW
    behind = max(0.0, float(np.quantile(needed - deep, SEEN)))
    x, y, z = -middle
    around, from_above = math.degrees(math.atan2(z, x)), math.degrees(math.acos(y / distance))
    return around, from_above, distance + behind


def is_empty(path: Path) -> bool:
    """Whether there is nothing to see in a GLB, as in that of a single pixel."""
    with path.open("rb") as file:
        return not _accessors(file)


def _accessors(file: BinaryIO) -> list[dict[str, Any]]:
    """What the head of a GLB says of its numbers; the file is at its end then."""
    length = HEAD.unpack(file.read(HEAD.size))[3]
    return json.loads(file.read(length)).get("accessors", [])
