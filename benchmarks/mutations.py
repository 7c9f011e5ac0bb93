"""Thousands of mutated files, each given to what reads it: does anything but a refusal come out?

python -m benchmarks.mutations [--count 2000] [--seed 0] [--only GROUP] [--out RESULT.json]

Files of every kind that people bring are mutated (:mod:`benchmarks.mutators`) and read as a command
reads them (:mod:`benchmarks.mutated_kinds`), in processes that are watched. Each file is read
(fine: not all damage can be told), refused in words (fine), or one of :data:`WRONG`. A file is
decided by the seed and its number alone, so ``--first NUMBER --count 1`` tries one again.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import logging
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mutators import write_mutated
from system.errors import DISK_REMEDIES, InputError, run_command
from system.files import write_json

READ, REFUSED = "read", "refused"
WRONG = ("traceback", "slow", "memory", "crash", "executed")
MOST_SECONDS = 10.0  # that a file may take
MOST_MEMORY = 1 << 30  # bytes beyond what the process had
MOST_ADDRESSES = 8 << 30  # bytes beyond that, so that no trial takes the whole machine
STARTING_SECONDS = 300.0


@dataclass(frozen=True)
class Trial:
    """What became of a mutated file.

    Attributes:
        number: of the file.
        kind: of the file.
        mutation: what was done to it.
        outcome: :data:`READ`, :data:`REFUSED`, or one of :data:`WRONG`.
        words: what was said.
        seconds: that it took.
        memory: bytes beyond what the process had before.
    """

    number: int
    kind: str
    mutation: str
    outcome: str
    words: str
    seconds: float
    memory: int


def try_one(folder: Path, sound: Path, kinds: Sequence[Any], number: int, seed: int) -> Trial:
    """Mutate a file in ``folder``, which is a copy of ``sound``, read it, and bring it back."""
    from benchmarks.mutated_kinds import TRACE  # noqa: PLC0415 - imports everything

    kind = kinds[number % len(kinds)]
    rng = np.random.default_rng((seed, number))
    path = folder / kind.path
    _remove(path)
    mutation = write_mutated(path, (sound / kind.path).read_bytes(), kind.mutators, rng)
    words, outcome = "", READ
    before, start = _restart_memory(), time.perf_counter()
    try:
        kind.read(folder)
    except InputError as error:
        outcome, words = REFUSED, str(error)
    except OSError as error:  # which run_command says in words
        outcome = REFUSED if error.errno in DISK_REMEDIES else WRONG[0]
        words = str(error) if outcome == REFUSED else traceback.format_exc()
    except Exception:
        outcome, words = WRONG[0], traceback.format_exc()
    seconds, memory = time.perf_counter() - start, max(0, _peak_memory() - before)
    if memory > MOST_MEMORY:
        outcome = "memory"
    if seconds > MOST_SECONDS:
        outcome = "slow"
    if (folder / TRACE).exists():
        (folder / TRACE).unlink()
        outcome = "executed"
    _remove(path)
    shutil.copyfile(sound / kind.path, path)
    return Trial(number, kind.name, mutation, outcome, words, seconds, memory)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _restart_memory() -> int:
    """Begin to measure the peak anew, where the system can; the bytes in use now."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak_memory()


def _peak_memory() -> int:
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) << 10
    except (OSError, IndexError):
        return 0


def work(connection: Connection, sound: Path, folder: Path, seed: int) -> None:
    """Try the files whose numbers come; a process of its own."""
    faulthandler.enable(sys.stderr)
    logging.disable(logging.WARNING)
    os.environ["TQDM_DISABLE"] = "1"
    from benchmarks.mutated_kinds import kinds  # noqa: PLC0415 - imports everything

    found = kinds(sound)
    _limit_addresses()
    connection.send(len(found))
    for number in iter(connection.recv, None):
        connection.send(try_one(folder, sound, found, number, seed))
        gc.collect()


def _limit_addresses() -> None:
    statistics = Path("/proc/self/statm")
    if not statistics.exists():
        return
    import resource  # noqa: PLC0415 - not on Windows

    pages = int(statistics.read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + MOST_ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


class Worker:
    """A process that tries files, one at a time."""

    def __init__(self, sound: Path, folder: Path, seed: int) -> None:
        self.sound, self.folder, self.seed = sound, folder, seed
        self.number: int | None = None
        self.start()

    def start(self) -> None:
        """Begin, or begin anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.sound, self.folder)
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        arguments = (other, self.sound, self.folder, self.seed)
        self.process = context.Process(target=work, args=arguments, daemon=True)
        self.process.start()
        other.close()
        if not self.connection.poll(STARTING_SECONDS):
            raise InputError("a process does not start; is the machine busy?")
        self.connection.recv()

    def give(self, number: int) -> None:
        """Have a file tried."""
        self.number, self.since = number, time.monotonic()
        self.connection.send(number)

    def take(self) -> Trial | None:
        """What became of the file, if that is known by now."""
        took = time.monotonic() - self.since
        try:
            if self.connection.poll():
                return self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            return self._ended("crash", f"exit code {self.process.exitcode}", took)
        if took > 2 * MOST_SECONDS:
            return self._ended("slow", "was stopped", took)
        return None

    def _ended(self, outcome: str, words: str, seconds: float) -> Trial:
        self.stop()
        self.start()
        return Trial(self.number, "", "", outcome, words, seconds, 0)

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def try_all(numbers: Sequence[int], seed: int, processes: int) -> Iterator[Trial]:
    """Try the files of these numbers."""
    from benchmarks.mutated_kinds import kinds, make_sound_files  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as place:
        sound = Path(place) / "sound"
        make_sound_files(sound)
        names = [kind.name for kind in kinds(sound)]
        workers = [Worker(sound, Path(place) / f"trial{n}", seed) for n in range(processes)]
        waiting = iter(numbers)
        try:
            busy = []
            for worker in workers:
                number = next(waiting, None)
                if number is not None:
                    worker.give(number)
                    busy.append(worker)
            while busy:
                wait([worker.connection for worker in busy], 1.0)
                for worker in list(busy):
                    trial = worker.take()
                    if trial is None:
                        continue
                    yield Trial(**{**asdict(trial), "kind": names[trial.number % len(names)]})
                    number = next(waiting, None)
                    if number is None:
                        busy.remove(worker)
                    else:
                        worker.give(number)
        finally:
            for worker in workers:
                worker.stop()


def table(trials: Sequence[Trial]) -> str:
    """The count of files by group and outcome, and the largest of time and memory."""
    outcomes = (READ, REFUSED, *WRONG)
    rows = [f"{'':12} {'files':>6} " + " ".join(f"{outcome:>9}" for outcome in outcomes)]
    groups: dict[str, Counter[str]] = {}
    for trial in trials:
        groups.setdefault(trial.kind.partition("/")[0], Counter())[trial.outcome] += 1
    groups["all"] = sum(groups.values(), Counter())
    for group, found in groups.items():
        counts = " ".join(f"{found[outcome]:9}" for outcome in outcomes)
        rows.append(f"{group:12} {sum(found.values()):6} {counts}")
    seconds, memory = max(t.seconds for t in trials), max(t.memory for t in trials) / 2**20
    rows.append(f"longest {seconds:.1f} s, largest {memory:.0f} MiB beyond what the process had")
    return "\n".join(rows)


def main() -> int:
    """Try files, print those that went wrong and the count; the exit code says whether any did."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutations", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="files")
    parser.add_argument("--first", type=int, default=0, help="number of the first of them")
    parser.add_argument("--seed", type=int, default=0, help="decides how each is mutated")
    parser.add_argument("--processes", type=int, default=2, help="that try files")
    parser.add_argument("--out", type=Path, help="JSON file for every file's outcome")
    options = parser.parse_args()
    trials = []
    numbers = range(options.first, options.first + options.count)
    for trial in try_all(numbers, options.seed, options.processes):
        trials.append(trial)
        if len(trials) % 100 == 0:
            print(f"{len(trials)} files", file=sys.stderr, flush=True)
        if trial.outcome in WRONG:
            print(
                f"{trial.number} {trial.kind}, {trial.mutation}: {trial.outcome}, "
                f"{trial.seconds:.1f} s, {trial.memory >> 20} MiB\n{trial.words}",
                flush=True,
            )
    if options.out is not None:
        write_json(options.out, [asdict(trial) for trial in trials])
    print(table(trials))
    return int(any(trial.outcome in WRONG for trial in trials))


if __name__ == "__main__":
    run_command(main)
