"""Published weights by name: fetched once, checked, converted, and kept in a cache folder.

``MONODEPTH_HOME`` names the cache folder; ``MONODEPTH_MIRROR`` a URL that serves the same files
under the same names, for those who cannot reach the original ones.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

from errors import InputError
from networks.conversion import convert_folder, convert_midas
from networks.model_info import INFO_FILE
from networks.parameter_names import MODULES
from weight_files.archives import unpack
from weight_files.download import Checksum, fetch
from weight_files.published import (
    DEPTH_MODELS,
    MIDAS,
    MIDAS_FILE,
    MIDAS_URL,
    MODELS,
    MODELS_URL,
    RESNETS,
    RESNETS_URL,
)

logger = logging.getLogger(__name__)


def cache_folder() -> Path:
    """The folder that published weights are kept in: ``MONODEPTH_HOME``, or the user's cache."""
    given = os.environ.get("MONODEPTH_HOME")
    if given:
        return Path(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "monodepth"


def named_model(name: str) -> Path:
    """The weights folder of a published model, made on its first use.

    Raises:
        InputError: no such model, or it cannot be fetched; what to do by hand is said.
    """
    if name not in DEPTH_MODELS:
        known = ", ".join(DEPTH_MODELS)
        raise InputError(f"--model_name {name}: no published model; known are {known}")
    folder = cache_folder() / "models" / name
    if (folder / INFO_FILE).is_file():
        return folder
    if name == MIDAS:
        file = cache_folder() / "downloads" / MIDAS_FILE
        fetch(_url(MIDAS_URL, MIDAS_FILE), file, None)
        convert_midas(file, folder, name)
        logger.info("%s: fetched, checked and kept in %s", name, folder)
        return folder
    archive = cache_folder() / "downloads" / f"{name}.zip"
    fetch(_url(MODELS_URL, f"{name}.zip"), archive, Checksum("md5", MODELS[name]))
    unpacked = folder.with_name(f".{name}.unpacked")
    shutil.rmtree(unpacked, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    unpacked.mkdir(parents=True)
    try:
        unpack(archive, unpacked, [f"{module}.pth" for module in MODULES])
        named = unpacked / name  # the folder's name becomes that of the model
        named.mkdir()
        for path in unpacked.glob("*.pth"):
            path.rename(named / path.name)
        convert_folder(named, folder, "safetensors", {})
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    logger.info("%s: fetched, checked and kept in %s", name, folder)
    return folder


def imagenet_file(num_layers: int) -> Path:
    """The file of a ResNet trained on ImageNet, fetched on its first use.

    Raises:
        InputError: none of that depth is known, or it cannot be fetched.
    """
    if num_layers not in RESNETS:
        known = ", ".join(map(str, RESNETS))
        raise InputError(
            f"--weights_init pretrained: known for --num_layers {known}; give the path of a file "
            f"of a ResNet-{num_layers} with --weights_init PATH"
        )
    folder = cache_folder() / "downloads"
    names = RESNETS[num_layers]
    name = next((name for name in names if (folder / name).is_file()), names[0])
    checksum = Checksum("sha256", name.rsplit("-", 1)[1].split(".")[0])
    fetch(_url(RESNETS_URL, name), folder / name, checksum)
    return folder / name


def _url(base: str, name: str) -> str:
    mirror = os.environ.get("MONODEPTH_MIRROR")
    return (mirror.rstrip("/") + "/" if mirror else base) + quote(name)
