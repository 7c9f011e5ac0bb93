"""Longer jobs as a series of the project's own commands, each printed before it runs."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from files import written_whole

try:
    import resource
except ImportError:  # Windows has none
    resource = None

ROOT = Path(__file__).resolve().parent

# Paddle recommends a compiler cache at every start; nothing here compiles.
QUIET = {"PYTHONWARNINGS": "ignore:No ccache found:UserWarning"}


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
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(paths)}
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, *words], env=environment)
    try:
        code = process.wait()
    except KeyboardInterrupt:  # the command hears Ctrl-C too, and ends as it should
        process.wait()
        raise
    if code:
        sys.exit(code)
    return time.monotonic() - start


def peak_memory_mib() -> float | None:
    """Memory of the largest process so far that was waited for, or None where it is not known."""
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return round(peak * unit / 2**20, 1)


def settings_of(seed: int, training: Sequence[str]) -> dict[str, Any]:
    """What the figures of a training depend on."""
    import paddle  # noqa: PLC0415 - stages are run without it

    return {
        "seed": seed,
        "training": shlex.join(training),
        "device": paddle.device.get_device(),
        "cpu_cores": os.cpu_count(),
        "python": platform.python_version(),
        "paddle": paddle.__version__,
        "numpy": version("numpy"),
        "system": platform.platform(),
    }


def write_result(
    run: Path,
    figures: Mapping[str, Any],
    seconds: Mapping[str, float],
    start: float,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Write ``result.json`` of a run: its figures, times, memory and what they depend on.

    Args:
        run: folder of the run.
        figures: what was measured.
        seconds: of the stages.
        start: of the run, by ``time.monotonic``.
        settings: see :func:`settings_of`.

    Returns:
        What is written.
    """
    result = {
        **figures,
        "seconds": {stage: round(value, 1) for stage, value in seconds.items()},
        "total_seconds": round(time.monotonic() - start, 1),
        "peak_memory_mib": peak_memory_mib(),
        "settings": dict(settings),
    }
    with written_whole(run / "result.json") as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result
