"""Longer jobs as a series of the project's own commands, each printed before it runs."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
