"""Longer jobs as a series of the project's own commands, each printed before it runs."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from system.files import write_json
from system.terminal import offer_verbose

try:
    import resource
except ImportError:  # Windows has none
    resource = None

ROOT = Path(__file__).resolve().parents[1]


def environment() -> dict[str, str]:
    """For processes that find the project from any folder."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def run_stage(arguments: Sequence[object]) -> float:
    """Run Python with ``arguments``; return the seconds it took.

    Modules and commands of the project are found from any folder.

    Raises:
        SystemExit: the command failed, having said why; with its exit code.
    """
    words = [str(argument) for argument in arguments]
    print(f"\n$ python {shlex.join(words)}", flush=True)
    if words[0].endswith(".py"):
        words[0] = str(ROOT / words[0])
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, *words], env=environment())
    try:
        code = process.wait()
    except KeyboardInterrupt:  # the command hears Ctrl-C too, and ends as it should
        process.wait()
        raise
    if code:
        sys.exit(code)
    return time.monotonic() - start


@dataclass
class Series:
    """The stages of a longer job, numbered as they run.

    Attributes:
        total: how many there will be.
        done: how many there were.
    """

    total: int
    done: int = 0

    def run(self, arguments: Sequence[object]) -> float:
        """Run the next one, see :func:`run_stage`."""
        self.done += 1
        print(f"\nstage {self.done} of {self.total}", end="")
        return run_stage(arguments)

    def leave_out(self) -> None:
        """Count one that has nothing to do."""
        self.done += 1

    def train_anew(self, training: Sequence[object], model: Path) -> float:
        """Train in the place of an earlier model; return the seconds it took."""
        if model.exists():
            shutil.rmtree(model)
        return self.run(["train.py", *training])


def peak_memory_mib(own: bool = False) -> float | None:
    """Memory of the largest process so far that was waited for, or None where it is not known.

    ``own`` asks for that of this process instead.
    """
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF if own else resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return round(peak * unit / 2**20, 1)


def seed_given(argv: Sequence[str] | None, description: str, decides: str) -> int:
    """The seed on a quickstart's command line, of which its words say what it decides."""
    parser = argparse.ArgumentParser(description=description)
    offer_verbose(parser)
    parser.add_argument("--seed", type=int, default=0, help=f"decides {decides}")
    return parser.parse_args(argv).seed


def write_result(
    run: Path,
    figures: Mapping[str, Any],
    seconds: Mapping[str, float],
    start: float,
    seed: int,
    *training: Sequence[str],
) -> dict[str, Any]:
    """Write ``result.json`` into the folder of a run, and return what is written.

    It holds the figures, the seconds of the stages and since ``start`` (by ``time.monotonic``), the
    memory, and what they depend on: the seed, the options of each training, versions, the machine.
    """
    import paddle  # stages are run without it

    result = {
        **figures,
        "seconds": {stage: round(value, 1) for stage, value in seconds.items()},
        "total_seconds": round(time.monotonic() - start, 1),
        "peak_memory_mib": peak_memory_mib(),
        "settings": {
            "seed": seed,
            "training": [shlex.join(options) for options in training],
            "device": paddle.device.get_device(),
            "cpu_cores": os.cpu_count(),
            "python": platform.python_version(),
            "paddle": paddle.__version__,
            "numpy": version("numpy"),
            "system": platform.platform(),
        },
    }
    write_json(run / "result.json", result)
    return result


def summary(result: Mapping[str, Any], *remarks: str) -> str:
    """A result in a few lines of text: metrics before, at the start of and after training."""
    lines = [f"{'':10s}" + "".join(f"{name:>10s}" for name in result["before"])]
    for row in ("before", "start", "after"):
        if row in result:
            lines.append(f"{row:10s}" + "".join(f"{each:10.3f}" for each in result[row].values()))
    peak = result["peak_memory_mib"]
    memory = "" if peak is None else f", largest process {peak:.0f} MiB"
    return "\n".join([*lines, *remarks, f"{result['total_seconds']:.0f} s in all{memory}"])
