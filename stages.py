"""Longer jobs as a series of the project's own commands, each printed before it runs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

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
