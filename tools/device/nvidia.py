"""What NVIDIA's driver says, and whether it, the card and a build of Paddle go together."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from tools.choose_paddle import DRIVER_11, DRIVER_12, PUBLIC_CARDS, PUBLIC_GPU, spelled

Version = tuple[int, int]
FIELDS = ("name", "driver_version", "memory.total", "compute_cap")  # drivers before 510: but one
# The oldest driver for programs of a CUDA, by NVIDIA's table of minor version compatibility.
OLDEST_DRIVERS = {11: spelled(DRIVER_11), 12: spelled(DRIVER_12), 13: "580.65"}
# Compute capabilities that builds were made for, of versions that do not say so themselves.
CAPABILITIES = {"2.6": PUBLIC_CARDS}
OLD_BUILD = f"{PUBLIC_GPU} (CUDA 11.8, cards of {' to '.join(map(spelled, PUBLIC_CARDS))})"
NEW_BUILD = "Paddle 3 from Paddle's own index"
SECONDS = 60  # that nvidia-smi may take; a driver that hangs is one that does not work


@dataclass(frozen=True)
class Card:
    """A GPU as nvidia-smi knows it; ``capability`` is None where an old driver does not say."""

    name: str
    driver: str
    mebibytes: int
    capability: Version | None


@dataclass(frozen=True)
class Driver:
    """What nvidia-smi said.

    Attributes:
        cards: that it sees.
        cuda: the newest CUDA that it is for; None where it does not say.
        problem: why there is none; empty where there is.
    """

    cards: Sequence[Card] = ()
    cuda: Version | None = None
    problem: str = ""


@dataclass(frozen=True)
class Build:
    """A build of Paddle: its version, its CUDA (None: for CPUs), the capabilities it is for."""

    version: str
    cuda: Version | None
    capabilities: tuple[Version, Version] | None = None


def read_driver() -> Driver:
    """Ask nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return Driver(problem="there is no nvidia-smi, and so no NVIDIA driver")
    for fields in (FIELDS, FIELDS[:-1]):
        code, said = _nvidia_smi(f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")
        if code == 0:
            _, header = _nvidia_smi()
            return Driver(parse_cards(said), cuda_of_header(header))
    lines = [line for line in said.splitlines() if line.strip()] or ["nothing"]
    return Driver(problem=f"the NVIDIA driver does not work; nvidia-smi says: {lines[-1]}")


def _nvidia_smi(*words: str) -> tuple[int, str]:
    try:
        done = subprocess.run(
            ["nvidia-smi", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stdout


def parse_cards(text: str) -> list[Card]:
    """The cards of nvidia-smi's answer to a query of :data:`FIELDS`, of which the last may lack."""
    cards = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) < 3:
            continue
        name, driver, memory, *more = parts
        megabytes = int(memory) if memory.isdecimal() else 0
        cards.append(Card(name, driver, megabytes, version_of(more[0]) if more else None))
    return cards


def cuda_of_header(text: str) -> Version | None:
    """The CUDA version in the header of nvidia-smi's table."""
    found = re.search(r"CUDA Version:\s*(\d+\.\d+)", text)
    return version_of(found.group(1)) if found else None


def version_of(text: object) -> Version | None:
    """The first two numbers of a version; None for what is none."""
    found = re.match(r"(\d+)\.(\d+)", str(text))
    return (int(found.group(1)), int(found.group(2))) if found else None


def in_words(version: Version | None) -> str:
    """A version as people write it."""
    return "unknown" if version is None else f"{version[0]}.{version[1]}"


def problem_of(build: Build, driver: Driver, card: Card | None) -> str:
    """Why a build of Paddle cannot use a card with a driver, and what to do; empty if it can."""
    if driver.problem:
        return f"{driver.problem}; install NVIDIA's driver, or use --device cpu"
    if build.cuda is None:
        return (
            f"this Paddle ({build.version}) is made for CPUs; `make venv` takes one for GPUs here, "
            "or pip install paddlepaddle-gpu (docs/gpu.md)"
        )
    if driver.cuda is not None and driver.cuda[0] < build.cuda[0]:
        number = card.driver if card else "there"
        least = OLDEST_DRIVERS.get(build.cuda[0], "a newer one")
        older = f", or install {OLD_BUILD}" if driver.cuda[0] == 11 else ""
        return (
            f"the driver {number} is for CUDA {in_words(driver.cuda)} at most, and this Paddle "
            f"({build.version}) was made with CUDA {in_words(build.cuda)}; update the driver "
            f"({least} or newer){older}"
        )
    if card is None:
        return "the driver sees no card; look at CUDA_VISIBLE_DEVICES, and at nvidia-smi"
    return _problem_of_capability(build, card)


def _problem_of_capability(build: Build, card: Card) -> str:
    if card.capability is None or build.capabilities is None:
        return ""
    oldest, newest = build.capabilities
    what = f"{card.name} (compute capability {in_words(card.capability)})"
    made = f"this Paddle ({build.version}) was made for {in_words(oldest)} to {in_words(newest)}"
    # Code for 8.6 runs on 8.9, and none for 8 on 9.
    if card.capability[0] > newest[0]:
        return f"{what} is too new: {made}; install {NEW_BUILD} (docs/gpu.md)"
    if card.capability < oldest:
        return f"{what} is too old: {made}; install {OLD_BUILD}, or use --device cpu"
    return ""
