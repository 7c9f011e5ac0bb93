"""Timing several ways of doing the same in turns, so that what else the machine does hits all."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from typing import IO, Callable, NamedTuple

from system.errors import InputError
from system.files import write_json
from tools.stages import ROOT, environment


class Row(NamedTuple):
    """One comparison.

    Attributes:
        what: is compared.
        ours: seconds, or another cost.
        other: of what it is compared with.
        ratio: ``other`` over ``ours``: above 1 where ours costs less.
        note: what else there is to say.
    """

    what: str
    ours: float
    other: float
    ratio: float
    note: str = ""

    def __str__(self) -> str:
        return (
            f"{self.what:44s} {self.ours:12.5g} {self.other:12.5g} {self.ratio:8.2f}  {self.note}"
        )


HEADER = f"{'':44s} {'ours':>12s} {'other':>12s} {'ratio':>8s}"


def in_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each way, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def compared(what: str, ours: float, other: float, note: str = "") -> Row:
    """A row from two costs."""
    return Row(what, ours, other, other / ours, note)


def report(rows: list[Row]) -> None:
    """Print rows and, when the command line names a file, write them there as JSON."""
    print(HEADER, *rows, sep="\n")
    if len(sys.argv) > 1:
        write_json(Path(sys.argv[1]), [row._asdict() for row in rows])


class Peer:
    """Another implementation: a process that answers each line of its input with a line.

    Args:
        command: that starts it.
        failure: what to say when it ends without an answer.
    """

    def __init__(self, command: list[str], failure: str) -> None:
        self._process = Popen(command, stdin=PIPE, stdout=PIPE, text=True)
        self._failure = failure

    def ask(self, line: str) -> str:
        """Its answer to a line.

        Raises:
            InputError: it ended.
        """
        print(line, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise InputError(self._failure)
        return answer

    def close(self) -> None:
        """Let it end."""
        self._process.stdin.close()
        self._process.wait()


def resident_bytes(process: int) -> int:
    """Memory that a process holds; needs ``/proc``."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(status.split("VmRSS:")[1].split()[0])


@contextmanager
def training(words: Sequence[object], stderr: int | IO[bytes] = DEVNULL) -> Iterator[Popen]:
    """A run of ``train.py``, which is killed at the end; ``words`` are its options."""
    command = [sys.executable, str(ROOT / "train.py"), *map(str, words)]
    process = Popen(command, env=environment(), stderr=stderr)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def last_step(run: Path) -> int:
    """The newest logged step of a run, -1 before the first."""
    return max((row["step"] for row in logged(run)), default=-1)


def logged(run: Path) -> list[dict]:
    """What a training run has logged so far: the whole lines of its ``metrics.jsonl``."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]
