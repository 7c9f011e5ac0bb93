"""Check the project on this machine's GPU, or CPU: whether it computes what it should, how fast.

Prints a row for everything that it looks at, what to do about each that is off, and writes all of
it as JSON. Each check runs in a process of its own, so that a crash is a row as well.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from options import DeviceOptions, option, parse
from system.errors import InputError, run_command
from system.files import make_writable_folder, write_json
from tools.device.children import Check, Outcome, run_check
from tools.device.rows import NOT_HERE, OFF, OK, Row, Settings, advice, in_table

MACHINE = "machine"  # always looked at, and first: it says what the device is
BATCHES, SMALL_BATCHES = (1, 2, 4, 8, 12, 16, 24), (1, 2)
PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
# What there is to look at: the function of each, in the order in which they run.
FUNCTIONS = {
    MACHINE: "tools.device.machine:check_machine",
    "parity": "tools.device.parity:check_parity",
    "paths": "tools.device.paths:check_paths",
    "compiled": "tools.device.training:check_compiled",
    "resume": "tools.device.training:check_resume",
    "steps": "tools.device.training:check_steps",
    "speed": "tools.device.speed:check_speed",
    "processes": "tools.device.processes:check_processes",
    "engines": "tools.device.engines:check_engines",
}
# What of it takes a process that is told otherwise from its start, and is for GPUs only.
MORE_ON_GPUS = {
    "parity": "tools.device.parity:check_tf32",
    "paths": "tools.device.paths:check_deterministic_paths",
}
Runner = Callable[[Check, Settings, float], Outcome]


@dataclass(frozen=True)
class CheckDeviceOptions(DeviceOptions):
    """Check the project on this machine's GPU, or CPU: whether it computes what it should."""

    checks: tuple[str, ...] = option(
        tuple(FUNCTIONS),
        "what to look at; the machine is always among it",
        choices=tuple(FUNCTIONS),
    )
    quick: bool = option(False, "small sizes and few batches, as on CPUs, which always take them")
    time_limit: float = option(900.0, "seconds that one check may take", above=0)
    out: Path = option(Path("check_device.json"), "JSON file to write")


def checks_of(name: str, small: bool, on_gpu: bool) -> list[Check]:
    """The checks that a word of ``--checks`` stands for."""
    function = FUNCTIONS[name]
    if name == "steps":
        return [Check(f"{name}_{p}", function, {"precision": p}) for p in PRECISIONS]
    if name == "speed":
        sizes = SMALL_BATCHES if small else BATCHES
        return [Check(f"{name}_{size}", function, {"batch_size": size}) for size in sizes]
    checks = [Check(name, function)]
    if on_gpu and name in MORE_ON_GPUS:
        checks.append(Check(f"{name}_more", MORE_ON_GPUS[name]))
    return checks


def outcomes(
    options: CheckDeviceOptions, folder: Path, run: Runner
) -> Iterator[tuple[Check, Outcome]]:
    """Run one check after the other.

    Raises:
        InputError: there is no such device.
    """
    settings = Settings(options.device, folder, options.quick)
    (first,) = checks_of(MACHINE, small=True, on_gpu=False)
    outcome = run(first, settings, options.time_limit)
    if outcome.refusal is not None:
        raise InputError(outcome.refusal)
    yield first, outcome
    device = next((row.figures["device"] for row in outcome.rows if "device" in row.figures), None)
    if device is None:  # Paddle itself does not start, and each check would say so again
        return
    on_gpu = device.startswith("gpu")
    settings = Settings(
        options.device or device.partition(":")[0], folder, settings.small or not on_gpu
    )
    for name in FUNCTIONS:
        if name != MACHINE and name in options.checks:
            for check in checks_of(name, settings.small, on_gpu):
                yield check, run(check, settings, options.time_limit)


def rows_of(check: Check, outcome: Outcome) -> list[Row]:
    """The rows of a check; one that refused something is off."""
    if outcome.refusal is None:
        return outcome.rows
    return [*outcome.rows, Row(check.name, OFF, outcome.refusal, "do what it says, or send it")]


def check_device(options: CheckDeviceOptions, run: Runner = run_check) -> int:
    """Run the checks, print and write what they find.

    Returns:
        The exit code: 1 where something is off.

    Raises:
        InputError: there is no such device, or the file cannot be written.
        KeyboardInterrupt: on Ctrl-C, after what is known so far was written.
    """
    make_writable_folder(options.out.parent, "give another place with --out")
    start, rows, seconds = time.monotonic(), [], {}
    whole = False
    folder = Path(tempfile.mkdtemp(prefix="check_device_"))
    try:
        began = start
        for check, outcome in outcomes(options, folder, run):
            found = rows_of(check, outcome)
            rows += found
            print(*map(in_table, found), sep="\n", flush=True)
            seconds[check.name], began = time.monotonic() - began, time.monotonic()
        whole = True
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if rows:
            write_json(options.out, report(options, rows, seconds, whole))
            print(summary(rows, time.monotonic() - start, whole, options.out), flush=True)
    return 1 if any(row.status == OFF for row in rows) else 0


def report(
    options: CheckDeviceOptions, rows: Sequence[Row], seconds: dict[str, float], whole: bool
) -> dict[str, Any]:
    """What is written."""
    return {
        "asked": vars(options),
        "whole": whole,
        "off": [row.name for row in rows if row.status == OFF],
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "rows": [row.as_json() for row in rows],
    }


def summary(rows: Sequence[Row], seconds: float, whole: bool, out: Path) -> str:
    """How many rows there are of each kind, what to do, and where it is written."""
    counts = [(sum(row.status == s for row in rows), s) for s in (OK, OFF, NOT_HERE)]
    lines = [", ".join(f"{count} {status}" for count, status in counts)]
    lines[0] += f", in {seconds:.0f} s" + ("" if whole else "; stopped before the end")
    wrong = advice(rows)
    if wrong:
        lines += ["", "what to do:", *(f"- {line}" for line in wrong)]
    return "\n".join(["", *lines, f"wrote {out}"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Raises:
        InputError: see :func:`check_device`.
    """
    return check_device(parse(CheckDeviceOptions, argv))


if __name__ == "__main__":
    run_command(main)
