"""Downloads that can be stopped and gone on with, and are not used before they are checked."""

from __future__ import annotations

import hashlib
import http.client
import logging
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from errors import InputError

logger = logging.getLogger(__name__)

ATTEMPTS = 3
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 30
CHUNK = 1 << 18


class Checksum(NamedTuple):
    """What is known of a file's content: the start of its hash, in hexadecimal digits."""

    algorithm: str
    start: str

    def fits(self, path: Path) -> bool:
        """Whether a file has that hash."""
        digest = hashlib.new(self.algorithm)
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest().startswith(self.start)


def fetch(url: str, target: Path, checksum: Checksum | None) -> None:
    """Download ``url`` to ``target`` unless it is there already; either way, check its content.

    Without a ``checksum`` only its length is, as far as the server says it.

    What has arrived is kept beside ``target`` when the connection breaks, and gone on with.

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
    for attempt in range(ATTEMPTS):
        try:
            _go_on(url, part)
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


def _go_on(url: str, part: Path) -> None:
    """Append to ``part`` what is still to come of ``url``.

    Raises:
        OSError, http.client.HTTPException: the connection failed or broke.
    """
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if done and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # it is all there; the checksum tells whether it is right
        raise
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            done = 0  # the server sends it all, from the start
        left = response.headers.get("Content-Length")
        total = done + int(left) if left else None
        with part.open("ab" if done else "wb") as file:
            with tqdm(
                total=total, initial=done, unit="B", unit_scale=True, desc=url.rsplit("/", 1)[1]
            ) as bar:
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
            if total is not None and file.tell() < total:
                raise http.client.IncompleteRead(b"", total - file.tell())
