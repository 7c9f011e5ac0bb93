"""Which build of Paddle ``make venv`` installs, by this machine's cards, driver and reach.

Writes a requirements file to the output, and says why on the other stream. Runs before anything is
installed: with Python's own library only.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GPU_INDEX = "https://www.paddlepaddle.org.cn/packages/stable/cu126/"
# CUDA 12.6 cannot compile for cards of compute capability 10 and above, 12.8 is the first that can.
GPU_INDEX_BLACKWELL = "https://www.paddlepaddle.org.cn/packages/stable/cu129/"
BLACKWELL = (10, 0)
OLDEST_CARD = (6, 0)  # with which Paddle's table of cards begins
# The newest build for GPUs on the public index, of CUDA 11.8: cards and Python that it is made for.
PUBLIC_GPU = "paddlepaddle-gpu==2.6.2"
PUBLIC_CARDS = ((6, 1), (8, 6))
PUBLIC_PYTHON = ((3, 9), (3, 12))
# docs.nvidia.com/deploy/cuda-compatibility, minor version compatibility: of CUDA 12.x and 11.x.
DRIVER_12, DRIVER_11 = (525, 60), (450, 80)
PROCESSORS = ("x86_64", "AMD64")  # that there are builds for GPUs for
PATIENCE = 15  # seconds for an index to answer
FOR_CPUS = "the build for CPUs"
CPU_ANYWAY = "take the build for CPUs: make venv PADDLE=paddlepaddle"

Numbers = tuple[int, ...]


@dataclass(frozen=True)
class Card:
    """An NVIDIA card.

    Attributes:
        driver: its driver's version.
        capability: its compute capability; empty where the driver is too old to say.
    """

    driver: Numbers
    capability: Numbers = ()

    def __str__(self) -> str:
        capability = spelled(self.capability) or "unknown"
        return f"NVIDIA card of compute capability {capability}, driver {spelled(self.driver)}"


@dataclass(frozen=True)
class Machine:
    """What the choice depends on.

    Attributes:
        cards: that the driver names.
        complaint: why there are none.
        processor: as Python calls it.
        python: its version, two numbers.
        reachable: whether Paddle's own index answers.
    """

    cards: tuple[Card, ...]
    complaint: str = ""
    processor: str = PROCESSORS[0]
    python: Numbers = PUBLIC_PYTHON[1]
    reachable: bool = True


@dataclass(frozen=True)
class Choice:
    """What to install.

    Attributes:
        requirement: of Paddle, as pip takes it; empty where the user has to decide.
        reason: in words.
        index: beside the one that pip is set to; empty for none.
    """

    requirement: str
    reason: str
    index: str = ""


def numbers(version: str) -> Numbers:
    """The numbers in a version, as in "535.183.01"."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def spelled(version: Numbers) -> str:
    """A version's numbers as text."""
    return ".".join(map(str, version))


def cards_in(text: str) -> tuple[Card, ...]:
    """The cards that ``nvidia-smi`` lists: each as "535.183.01, 8.6", or its driver only."""
    rows = [[numbers(part) for part in row.split(",")] for row in text.splitlines()]
    return tuple(Card(*row) for row in rows if row[0] and len(row) <= 2)


def ask_driver() -> tuple[tuple[Card, ...], str]:
    """The cards that the driver names, and its complaint where it names none."""
    complaint = "it names no card"
    for fields in ("driver_version,compute_cap", "driver_version"):  # the second: old drivers
        command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return (), "there is none" if isinstance(error, FileNotFoundError) else str(error)
        cards = cards_in(done.stdout) if done.returncode == 0 else ()
        if cards:
            return cards, ""
        complaint = " ".join((done.stdout + done.stderr).split()) or complaint
    return (), complaint


def reaches(index: str) -> bool:
    """Whether a package index answers; none does when pip is told to use none."""
    if os.environ.get("PIP_NO_INDEX", "").lower() in ("1", "true", "yes", "on"):
        return False
    try:
        with urllib.request.urlopen(index, timeout=PATIENCE):
            return True
    except (OSError, ValueError):
        return False


def index_for(cards: Sequence[Card]) -> str:
    """The one of Paddle's own indexes whose builds are for these cards."""
    newest = max((card.capability for card in cards), default=())
    return GPU_INDEX_BLACKWELL if newest >= BLACKWELL else GPU_INDEX


def against_public(machine: Machine) -> str:
    """What keeps the public index's build for GPUs from running here, in words; else empty."""
    (oldest, newest), (first, last) = PUBLIC_CARDS, PUBLIC_PYTHON
    if not all(oldest <= (card.capability or oldest) <= newest for card in machine.cards):
        return f"is for compute capability {spelled(oldest)} to {spelled(newest)}"
    if machine.cards[0].driver < DRIVER_11:
        return f"needs driver {spelled(DRIVER_11)}"
    if not first <= machine.python <= last:
        return f"is for Python {spelled(first)} to {spelled(last)}"
    return ""


def choose(machine: Machine, for_cpus: str, index: str) -> Choice:
    """The build for a machine.

    Args:
        machine: what is known of it.
        for_cpus: the project's requirement of Paddle, as "paddlepaddle>=2.6.2".
        index: with Paddle's own builds for GPUs.
    """
    if not machine.cards:
        reason = f"no NVIDIA driver answers here (nvidia-smi: {machine.complaint})"
        return Choice(for_cpus, f"{FOR_CPUS}: {reason}")
    card = machine.cards[0]
    if machine.processor not in PROCESSORS:
        reason = f"those for GPUs are for {' and '.join(PROCESSORS)}, not {machine.processor}"
        return Choice(for_cpus, f"{FOR_CPUS}: {card}; {reason}")
    if (card.capability or OLDEST_CARD) < OLDEST_CARD:
        reason = f"those for GPUs are for {spelled(OLDEST_CARD)} and above"
        return Choice(for_cpus, f"{FOR_CPUS}: {card}; {reason}")
    if card.driver < DRIVER_12:
        obstacle = f"newer builds need driver {spelled(DRIVER_12)}"
        remedy = "update the driver"
    elif not machine.reachable:
        obstacle = f"{index} does not answer"
        remedy = "see to the connection, or name a mirror: make venv GPU_INDEX=ADDRESS"
    else:
        for_gpus = for_cpus.replace("paddlepaddle", "paddlepaddle-gpu", 1)
        return Choice(for_gpus, f"Paddle's own build for GPUs: {card}", index)
    against = against_public(machine)
    if against:
        reason = f"{card}: {obstacle}, and {PUBLIC_GPU} of the public index {against}"
        return Choice("", f"{reason}; {remedy}; or {CPU_ANYWAY}")
    return Choice(PUBLIC_GPU, f"the public index's build for GPUs: {card}; {obstacle}")


def as_asked(requirement: str, index: str, reachable: bool) -> Choice:
    """What the user asked for, from where it can be had."""
    if "-gpu" not in requirement:
        return Choice(requirement, "as asked for")
    if reachable:
        return Choice(requirement, "as asked for", index)
    return Choice(
        requirement, f"as asked for; {index} does not answer, and others end at {PUBLIC_GPU}"
    )


def project_requirement(path: Path) -> str:
    """The line of a requirements file that names Paddle."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith("paddlepaddle"))


def decide(asked: str, index: str) -> Choice:
    """What to install on this machine.

    Args:
        asked: the requirement that the user gave; empty for none.
        index: the index with builds for GPUs that the user gave; empty for Paddle's own.
    """
    if asked:
        index = index or GPU_INDEX
        return as_asked(asked, index, "-gpu" in asked and reaches(index))
    cards, complaint = ask_driver()
    index = index or index_for(cards)
    reachable = bool(cards) and reaches(index)
    machine = Machine(cards, complaint, platform.machine(), sys.version_info[:2], reachable)
    return choose(machine, project_requirement(ROOT / "requirements.txt"), index)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the requirements file; 1 where the user has to decide."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asked", default="", help="the requirement that the user gave")
    parser.add_argument("--index", default="", help="the index for GPUs that the user gave")
    options = parser.parse_args(argv)
    choice = decide(options.asked, options.index)
    if not choice.requirement:
        print(f"error: {choice.reason}", file=sys.stderr)
        return 1
    source = choice.index or "the package index that pip is set to"
    print(f"Paddle: {choice.requirement} from {source}; {choice.reason}", file=sys.stderr)
    lines = [f"--extra-index-url {choice.index}"] if choice.index else []
    print(*lines, choice.requirement, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
