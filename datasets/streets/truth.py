"""The exact depth and the objects of pictures that ``python -m datasets.streets`` wrote.

They are not in its files: the same settings give the same streets, so they are rendered when asked
for.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from datasets.splits import SplitLine
from datasets.streets.generate import (
    COMPLETE,
    RENDERER_VERSION,
    StreetSettings,
    list_drives,
    load_street,
)
from datasets.streets.render import View, render_view
from datasets.streets.sensors import kitti_camera, right_camera_pose
from system.errors import InputError
from system.files import read_json


def read_settings(streets: Path) -> StreetSettings:
    """The settings of generated streets, from the file in their folder that tells them.

    Raises:
        InputError: the folder holds no finished streets, or those of another renderer.
    """
    file = streets / COMPLETE
    if not file.is_file():
        raise InputError(
            f"{streets}: holds no finished streets (no {COMPLETE}); make them with "
            f"python -m datasets.streets {streets}"
        )
    content = read_json(file)
    names = {setting.name for setting in fields(StreetSettings)}
    if not isinstance(content, dict) or content.keys() != names | {"renderer_version"}:
        raise InputError(f"{file}: does not hold the settings of generated streets")
    version = content.pop("renderer_version")
    if version != RENDERER_VERSION:
        raise InputError(
            f"{streets}: was rendered by version {version} of the renderer, this is version "
            f"{RENDERER_VERSION}; generate the streets anew in another folder"
        )
    return StreetSettings(**content)


def true_view(settings: StreetSettings, line: SplitLine) -> View:
    """Exact depth and objects of the picture of a split's line.

    Raises:
        InputError: there is no such picture in streets of these settings.
    """
    drive = {drive.folder: drive for drive in list_drives(settings)}.get(line.folder)
    if drive is None or not 0 <= line.frame < settings.frames:
        raise InputError(f"{line.folder} {line.frame}: the streets have no such frame")
    street = load_street(settings, drive)
    pose = street.poses[line.frame]
    if line.side == "r":
        pose = right_camera_pose(pose)
    return render_view(street, line.frame, pose, kitti_camera(settings.width, settings.height))
