"""Pictures that are named on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets.pictures import PICTURES
from system.errors import InputError

# Ends of the names of what predictions write, so that it is not predicted in its turn.
OUTPUT_ENDINGS = ("_disp.jpeg", "_disp.png", "_depth.png", "_side.jpeg")
GLOB = set("*?[")


def find_inputs(paths: Sequence[Path], extension: str | None) -> list[Path]:
    """The files that paths on a command line name: files, folders of pictures, patterns.

    In a folder, and for a pattern, only pictures count, or only files with ``extension`` (in any
    case), in the order of their names, and no output of an earlier run.

    Raises:
        InputError: a path does not exist, or names no picture, or two files differ only in their
            endings, so that one's outputs would replace the other's.
    """
    found = dict.fromkeys(file for path in paths for file in _files_of(path, extension))
    by_stem: dict[Path, Path] = {}
    for file in found:
        other = by_stem.setdefault(file.with_suffix(""), file)
        if other != file:
            raise InputError(
                f"{other} and {file.name}: their predictions would have the same name; rename one"
                + ("" if extension else ", or choose an ending with --ext")
            )
    return list(found)


def _files_of(path: Path, extension: str | None) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir() and not GLOB & set(path.name):
        raise InputError(f"--image_path {path}: there is no such file or folder; check the path")
    suffixes = {"." + extension.lower().lstrip(".")} if extension else PICTURES
    found = sorted(
        file
        for file in (path.iterdir() if path.is_dir() else path.parent.glob(path.name))
        if file.suffix.lower() in suffixes
        and not file.name.endswith(OUTPUT_ENDINGS)
        and file.is_file()
    )
    if not found:
        kind = f"that ends in .{extension.lstrip('.')}" if extension else "in it"
        raise InputError(
            f"--image_path {path}: has no picture {kind}; "
            "name another ending with --ext, as in --ext png"
        )
    return found
