"""Published weights by name: fetched once, checked, converted, and kept in a cache folder.

``MONODEPTH_HOME`` names the cache folder; ``MONODEPTH_MIRROR`` a URL that serves the same files
under the same names, for those who cannot reach the original ones.

Downloads are by hand: Python's own library does not go on where one stopped, and those that do
come with more than the eighty lines that it takes.
"""

from __future__ import annotations

import http.client
import logging
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote

from networks.kinds import MODULES
from system.command_line import path_of
from system.errors import InputError
from system.files import sha256
from system.locks import locked
from weight_files.model_info import INFO_FILE
from weight_files.published import (
    DEPTH_MODELS,
    IMAGENET,
    IMAGENET_URL,
    MODELS,
    MODELS_URL,
    OFFICIAL_FILES,
)
from weight_files.reading import SUFFIXES

logger = logging.getLogger(__name__)

ATTEMPTS = 3
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 30
CHUNK = 1 << 18
LARGEST = 2 << 30  # bytes of all files of an archive together; the published models have 0.2 GB


def cache_folder() -> Path:
    """The folder that published weights are kept in: ``MONODEPTH_HOME``, or the user's cache."""
    given = os.environ.get("MONODEPTH_HOME")
    if given:
        return path_of(given)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "monodepth"


def find_model(load_weights_folder: Path | None, model_name: str | None) -> Path:
    """The weights folder that the options of those names ask for, fetched where it is published."""
    return load_weights_folder or named_model(model_name)


def named_model(name: str) -> Path:
    """The weights folder of a published model, made on its first use.

    Raises:
        InputError: no such model, or it cannot be fetched; what to do by hand is said.
    """
    if name not in DEPTH_MODELS:
        known = ", ".join(DEPTH_MODELS)
        raise InputError(f"--model_name {name}: no published model; known are {known}")
    folder = cache_folder() / "models" / name
    if not (folder / INFO_FILE).is_file():
        with _alone(name):
            if not (folder / INFO_FILE).is_file():  # another process was as fast
                _make_model(name, folder)
    return folder


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Wait until no other process fetches what has that name."""
    folder = cache_folder() / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / f".{name}.lock", f"waiting for another process that fetches {name}"):
        yield


def _make_model(name: str, folder: Path) -> None:
    from weight_files.conversion import convert_folder, convert_official  # noqa: PLC0415 - Paddle

    downloads = cache_folder() / "downloads"
    if name in OFFICIAL_FILES:
        official = OFFICIAL_FILES[name]
        file, known = downloads / official.name, official.sha256
        fetch(_url(official.url, file.name), file, known and Checksum("sha256", known))
        convert_official(file, folder, name, official.kind)
    else:
        archive = downloads / f"{name}.zip"
        fetch(_url(MODELS_URL, archive.name), archive, Checksum("md5", MODELS[name]))
        unpacked = folder.with_name(f".{name}.unpacked")
        shutil.rmtree(unpacked, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        named = unpacked / name  # the folder's name becomes that of the model
        named.mkdir(parents=True)
        try:
            unpack(archive, named, [f"{module}.pth" for module in MODULES])
            convert_folder(named, folder, "safetensors", {})
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
    logger.info("%s: fetched, checked and kept in %s", name, folder)


def imagenet_file(encoder: str) -> Path:
    """The file of an encoder trained on ImageNet, fetched on its first use.

    Args:
        encoder: such as ``resnet18``.

    Raises:
        InputError: none is known, or it cannot be fetched.
    """
    if encoder not in IMAGENET:
        raise InputError(
            f"--weights_init pretrained: known for {', '.join(IMAGENET)}; give the path of a file "
            f"of a {encoder} with --weights_init PATH"
        )
    folder = cache_folder() / "downloads"
    names = IMAGENET[encoder]
    name = next((name for name in names if (folder / name).is_file()), names[0])
    checksum = Checksum("sha256", name.rsplit("-", 1)[1].split(".")[0])
    with nullcontext() if (folder / name).is_file() else _alone(name):
        fetch(_url(IMAGENET_URL, name), folder / name, checksum)
    return folder / name


def find_weights_file(path: Path) -> Path:
    """``path``, or the file whose name only lacks one of the known suffixes.

    Raises:
        InputError: there is none.
    """
    candidates = [path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES)]
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise InputError(
            f"--weights_init {path}: no such file, with none of {', '.join(SUFFIXES)} either; "
            "give pretrained, scratch, or the path of a ResNet's weights"
        )
    return found


def _url(base: str, name: str) -> str:
    mirror = os.environ.get("MONODEPTH_MIRROR")
    return (mirror.rstrip("/") + "/" if mirror else base) + quote(name)


class Checksum(NamedTuple):
    """What is known of a file's content: the start of its hash, in hexadecimal digits."""

    algorithm: str
    start: str

    def fits(self, path: Path) -> bool:
        """Whether a file has that hash."""
        return sha256(path, self.algorithm).startswith(self.start)


def fetch(url: str, target: Path, checksum: Checksum | None) -> None:
    """Download ``url`` to ``target`` unless it is there already; either way, check its content.

    Without a ``checksum`` only its length is, as far as the server says it.

    What has arrived is kept beside ``target`` when the connection breaks, and gone on with: later
    too where a ``checksum`` tells whether it became one file, else while the server has the same.

    Raises:
        InputError: there is no network, or the content is not what it should be.
    """
    if target.is_file():
        if checksum is not None and not checksum.fits(target):
            raise InputError(
                f"{target}: damaged, its {checksum.algorithm} does not start with "
                f"{checksum.start}; remove it, and fetch it anew from {url}"
            )
        return
    part = target.with_name(f"{target.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    if checksum is None:
        part.unlink(missing_ok=True)
    state: dict[str, str] = {}
    for attempt in range(ATTEMPTS):
        try:
            _go_on(url, part, state)
            break
        except (OSError, http.client.HTTPException, ValueError) as error:
            if attempt + 1 == ATTEMPTS or not _may_pass(error):
                raise InputError(
                    f"{url}: cannot be downloaded ({error}); try again, or fetch it on another "
                    f"machine and put it at {target}"
                ) from error
            logger.warning("%s: the connection broke (%s); going on", url, error)
            time.sleep(PAUSE_SECONDS)
    if checksum is not None and not checksum.fits(part):
        part.unlink()
        raise InputError(
            f"{url}: what came is not the file that it should be (its {checksum.algorithm} does "
            f"not start with {checksum.start}); it was removed; try again, or put the right file "
            f"at {target}"
        )
    part.replace(target)


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may go better."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500
    if isinstance(error, urllib.error.URLError):
        return False  # no network, or no such host
    return isinstance(error, (ConnectionError, TimeoutError, http.client.HTTPException))


def _go_on(url: str, part: Path, state: dict[str, str]) -> None:
    """Append to ``part`` what is still to come of ``url``; all of it, if the file there changed.

    Args:
        url: of the file.
        part: what has come of it.
        state: header that names the state of the file there; it is noted, and asked for again.

    Raises:
        OSError, http.client.HTTPException: the connection failed or broke.
    """
    done = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={done}-", **state} if done else {}
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if done and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # it is all there; the checksum tells whether it is right
        raise
    from tqdm import tqdm  # noqa: PLC0415 - nothing is fetched most of the time

    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            done = 0  # the server sends it all, from the start
            tag = response.headers.get("ETag", "")
            named = tag if tag.startswith('"') else response.headers.get("Last-Modified")
            state.update({"If-Range": named} if named else {})
        left = response.headers.get("Content-Length")
        total = done + int(left) if left else None
        name = url.rsplit("/", 1)[1]
        with part.open("ab" if done else "wb") as file:
            with tqdm(total=total, initial=done, unit="B", unit_scale=True, desc=name) as bar:
                while chunk := response.read(CHUNK):
                    bar.update(file.write(chunk))
            if total is not None and file.tell() < total:
                raise http.client.IncompleteRead(b"", total - file.tell())


def unpack(archive: Path, folder: Path, names: Collection[str]) -> None:
    """Write those files of a zip that have one of ``names`` into ``folder``, without subfolders.

    Raises:
        InputError: the archive is damaged, holds paths that lead out of it or one name twice, or
            is larger unpacked than any model.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            members = [info for info in content.infolist() if not info.is_dir()]
            for name in (info.filename for info in members):
                path = PurePosixPath(name.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
                    raise InputError(
                        f"{archive}: refused, it names a path outside of its folder: {name!r}"
                    )
            wanted = [info for info in members if PurePosixPath(info.filename).name in names]
            found = [PurePosixPath(info.filename).name for info in wanted]
            if len(set(found)) < len(found):
                raise InputError(f"{archive}: holds a file of weights twice: {sorted(found)}")
            if sum(info.file_size for info in wanted) > LARGEST:
                raise InputError(f"{archive}: would unpack to more than {LARGEST >> 30} GiB")
            for name, info in zip(found, wanted):
                # Reading stops at the stated size, and compares the checksum there.
                with content.open(info) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, RuntimeError, EOFError) as error:
        raise InputError(f"{archive}: damaged, or no zip archive ({error})") from error
    except OSError as error:
        if error.filename is not None or error.errno is not None:
            raise
        raise InputError(f"{archive}: damaged ({error})") from error
