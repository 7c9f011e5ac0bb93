"""Timing several ways of doing the same in turns, so that what else the machine does hits all."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, CalledProcessError, Popen, run
from typing import IO, Callable, NamedTuple

from benchmarks import GIVEN_ENVIRONMENT
from system.errors import InputError, run_command
from system.files import write_json
from tools.stages import ROOT, environment


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        height: of the networks' input, pixels.
        width: likewise.
        rounds: turns of what is compared, after one that does not count.
        share: of the items, pictures and steps of each turn.
    """

    height: int = 192
    width: int = 640
    rounds: int = 3
    share: float = 1.0

    def of(self, count: int) -> int:
        """The share of a count, 2 at least."""
        return max(2, round(count * self.share))


SMALL = Scale(64, 96, rounds=1, share=0.03)


class Cost(NamedTuple):
    """What something takes.

    Attributes:
        wall: seconds on the clock, or what else is measured.
        processor: seconds of all cores; None where that is not known.
    """

    wall: float
    processor: float | None = None

    def times(self, factor: float) -> Cost:
        """Of so many of them, or in another unit."""
        return Cost(self.wall * factor, self.processor and self.processor * factor)


class Row(NamedTuple):
    """One comparison.

    Attributes:
        what: is compared.
        ours: seconds on the clock, or another cost; None where it could not be measured.
        other: of what it is compared with.
        ratio: ``other`` over ``ours``: above 1 where ours costs less.
        ours_processor: ``ours`` in time of all cores, which other work on the machine changes
            less; None where it is not known.
        other_processor: likewise.
        processor_ratio: likewise.
        repeats: turns, of which the least counts.
        note: what else there is to say.
    """

    what: str
    ours: float | None = None
    other: float | None = None
    ratio: float | None = None
    ours_processor: float | None = None
    other_processor: float | None = None
    processor_ratio: float | None = None
    repeats: int = 1
    note: str = ""

    def __str__(self) -> str:
        if self.ours is None:
            return f"{self.what:50s} {self.note}"
        costs = (self.ours, self.other, self.ratio)
        costs += (self.ours_processor, self.other_processor, self.processor_ratio)
        columns = " ".join(f"{'-' if cost is None else format(cost, '.4g'):>9s}" for cost in costs)
        return f"{self.what:50s} {columns} {self.repeats:3d}  {self.note}"


_COLUMNS = ("ours", "other", "ratio", "ours/cpu", "other/cpu", "ratio/cpu")
HEADER = f"{'':50s} {' '.join(f'{name:>9s}' for name in _COLUMNS)}   n"


def compared(
    what: str, ours: Cost | float, other: Cost | float, note: str = "", repeats: int = 1
) -> Row:
    """A row from two costs."""
    ours, other = (each if isinstance(each, Cost) else Cost(each) for each in (ours, other))
    ratio = other.processor / ours.processor if ours.processor and other.processor else None
    costs = (ours.wall, other.wall, other.wall / ours.wall)
    return Row(what, *costs, ours.processor, other.processor, ratio, repeats, note)


def unavailable(what: str, why: object) -> Row:
    """The row of what cannot be measured here."""
    return Row(what, note=f"not available: {why}")


def processor_time() -> float:
    """Processor seconds of this process and, but on Windows, of those that it has waited for."""
    return time.process_time() + sum(os.times()[2:4])


def in_turns(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, Cost]:
    """The least that each way takes, after one round that does not count.

    What else a machine does only adds. A way that is run elsewhere returns its :class:`Cost`.
    """
    least = dict.fromkeys(ways, Cost(math.inf, math.inf))
    for turn in range(rounds + 1):
        for name, way in ways.items():
            wall, processor = time.perf_counter(), processor_time()
            spent = way()
            if not isinstance(spent, Cost):
                spent = Cost(time.perf_counter() - wall, processor_time() - processor)
            if turn:
                before = least[name]
                known = None not in (before.processor, spent.processor)
                processor = min(before.processor, spent.processor) if known else None
                least[name] = Cost(min(before.wall, spent.wall), processor)
    return least


def run_part(rows: Callable[..., Iterable[Row]]) -> None:
    """The command line of a part: ``python -m benchmarks.NAME [--small] [RESULT.json [WORD …]]``.

    Prints its rows and, where a file is named, writes them there as JSON. What it needs and is not
    there ends it with a row that says so.

    Args:
        rows: measures at a scale; is given the words, too.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true", help="a trial whose figures say nothing")
    parser.add_argument("result", nargs="?", type=Path, help="file to write")
    parser.add_argument("words", nargs=argparse.REMAINDER, help="see the part")

    def main() -> None:
        args = parser.parse_args()
        logging.disable(logging.WARNING)
        measured: list[Row] = []
        print(HEADER)
        try:
            for row in rows(SMALL if args.small else Scale(), *args.words):
                print(row, flush=True)
                measured.append(row)
        except (InputError, ImportError) as error:
            measured.append(unavailable(Path(sys.argv[0]).stem, error))
            print(measured[-1])
        finally:
            logging.disable(logging.NOTSET)
        if args.result is not None:
            write_json(args.result, [row._asdict() for row in measured])

    run_command(main)


def run_quietly(line: Sequence[object]) -> None:
    """Run a command that must succeed.

    Raises:
        InputError: it does not; with the last of what it said.
    """
    try:
        run(list(map(str, line)), env=environment(), cwd=ROOT, check=True, capture_output=True)
    except CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()[-500:]
        raise InputError(
            f"{Path(str(line[1])).name} ended with {error.returncode}: {said}"
        ) from error


class Peer:
    """Another implementation: a process that answers each line of its input with a line.

    It finds the environment that we were started with, so as many threads as it would take alone.

    Args:
        command: that starts it.
        failure: what to say when it ends without an answer.

    Raises:
        InputError: there is no such command.
    """

    def __init__(self, command: list[str], failure: str) -> None:
        try:
            self._process = Popen(
                command, stdin=PIPE, stdout=PIPE, text=True, env=GIVEN_ENVIRONMENT
            )
        except OSError as error:
            raise InputError(f"{failure}: {error}") from error
        self._failure = failure
        self.process_id = self._process.pid

    def ask(self, line: str) -> str:
        """Its answer to a line.

        Raises:
            InputError: it ended.
        """
        with suppress(BrokenPipeError):
            print(line, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        if not answer:
            raise InputError(self._failure)
        return answer

    def close(self) -> None:
        """Let it end."""
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


def resident_bytes(process: int, at_most: bool = False) -> int:
    """Memory that a process holds, or has held ``at_most``; needs ``/proc``."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(status.split("VmHWM:" if at_most else "VmRSS:")[1].split()[0])


def peak_gib(line: Sequence[object]) -> float:
    """GiB that a command holds at most. (What the system counts includes who started it.)

    Raises:
        InputError: it fails, or the system does not say.
    """
    if sys.platform != "linux":
        raise InputError("memory of a process is read from /proc, which only Linux has")
    process = Popen(list(map(str, line)), env=environment(), stdout=DEVNULL, stderr=DEVNULL)
    peak = 0
    while process.poll() is None:
        with suppress(OSError, IndexError):  # it has just ended
            peak = resident_bytes(process.pid, at_most=True)
        time.sleep(0.05)
    if process.returncode:
        raise InputError(f"{Path(str(line[1])).name} ended with {process.returncode}")
    return peak / 2**30


def at_dashes(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line in two: options of its own, and those after ``--`` for another command."""
    end = words.index("--") if "--" in words else len(words)
    return list(words[:end]), list(words[end + 1 :])


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


def wait_for_step(process: Popen, run: Path, step: int) -> None:
    """Wait until a run has logged a step.

    Raises:
        InputError: it ended before.
    """
    while last_step(run) < step:
        if process.poll() is not None:
            raise InputError(f"train.py ended with {process.returncode} before step {step}")
        time.sleep(0.02)


def last_step(run: Path) -> int:
    """The newest logged step of a run, -1 before the first."""
    return max((row["step"] for row in logged(run)), default=-1)


def logged(run: Path) -> list[dict]:
    """What a training run has logged so far: the whole lines of its ``metrics.jsonl``."""
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]
