"""Checks in processes of their own, so that a crash or a hang of one is a row and not the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.device.child import REFUSAL
from tools.device.rows import OFF, REPORT, Row, Settings
from tools.stages import environment

LINES = 8  # of the output of a check that failed, which are shown
GRACE = 5  # seconds that a check has to end when it is asked to


@dataclass(frozen=True)
class Check:
    """Something to look at.

    Attributes:
        name: of the row that says that it failed altogether.
        function: ``module:function``; takes :class:`tools.device.rows.Settings` and the arguments,
            and gives rows.
        arguments: for JSON, by name.
    """

    name: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of a check: its rows, and what it refused of what the user gave."""

    rows: list[Row]
    refusal: str | None = None


def run_check(check: Check, settings: Settings, time_limit: float) -> Outcome:
    """Run a check for so many seconds at most; whatever becomes of it, there is a row."""
    path, log = (settings.folder / f"{check.name}.{kind}" for kind in ("rows", "log"))
    path.unlink(missing_ok=True)
    told = {"device": settings.device, "folder": str(settings.folder), "small": settings.small}
    words = [check.function, json.dumps({**told, "arguments": dict(check.arguments)}), str(path)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.device.child", *words],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for this process, which ends that one
        )
        try:
            code = process.wait(time_limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            tail = last_lines(log)  # before it says that it is being stopped
            end_with_all(process)
    rows, refusal = _read(path)
    problem = _problem(code, time_limit)
    if not problem and refusal is None and not rows:
        problem = "said nothing"
    if problem:
        words = f"{problem}, after {len(rows)} rows" if rows else problem
        rows.append(Row(check.name, OFF, words, f"{REPORT}; it said:\n{tail}", {"output": tail}))
    return Outcome(rows, refusal)


def end_with_all(process: subprocess.Popen) -> None:
    """End a process, if it has not ended, and all that it started.

    First with a request, because the launcher of several processes, which have groups of their own,
    hands it on to them.
    """
    if not hasattr(os, "killpg"):
        if process.poll() is None:
            words = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
            subprocess.run(words, capture_output=True, check=False)
        process.wait()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if process.poll() != 0:
            os.killpg(process.pid, signal.SIGTERM)  # its session's group has its number
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
            time.sleep(1)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def last_lines(log: Path) -> str:
    """The end of what a process said."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([line.rstrip() for line in lines if line.strip()][-LINES:])


def _problem(code: int | None, time_limit: float) -> str:
    """How a process failed, from its exit code (None: it was stopped); empty if it did not."""
    if code is None:
        return f"took longer than {time_limit:g} s and was stopped"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"crashed ({signal.Signals(-code).name})"
    return f"failed (exit code {code})" if code else ""


def _read(path: Path) -> tuple[list[Row], str | None]:
    rows, refusal = [], None
    if not path.exists():
        return rows, refusal
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.endswith("\n"):  # it crashed meanwhile
            break
        said = json.loads(line)
        if REFUSAL in said:
            refusal = said[REFUSAL]
        else:
            rows.append(Row(**said))
    return rows, refusal
