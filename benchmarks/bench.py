"""All measurements of speed, one program after the other: a table and runs/bench/result.json.

python -m benchmarks.bench [--out DIR] [--only NAME ...] [--reference DIR]
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

from benchmarks.measure import HEADER, Row
from system.errors import InputError, run_command
from system.files import read_json, write_json
from tools.stages import ROOT, environment

PROGRAMS = ("loader", "step", "engines", "relative", "devices", "growth")


def run_program(name: str, result: Path, extra: list[str]) -> list[Row]:
    """Run one measurement in a process of its own.

    Raises:
        InputError: it failed.
    """
    command = [sys.executable, "-m", f"benchmarks.{name}", str(result), *extra]
    quiet = {**environment(), "GLOG_minloglevel": "2"}
    done = subprocess.run(command, env=quiet, cwd=ROOT, check=False)
    if done.returncode:
        raise InputError(f"benchmarks.{name}: failed, see above")
    return [Row(**row) for row in read_json(result)]


def main() -> None:
    """Run all, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, default=PROGRAMS)
    parser.add_argument("--reference", type=Path, help="a PyTorch Monodepth2 to time as well")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows, start = {}, time.monotonic()
    programs = {name: [] for name in args.only}
    if args.reference is not None:
        programs["reference"] = [str(args.reference)]
    for name, extra in programs.items():
        print(f"\n{name}", flush=True)
        rows[name] = run_program(name, args.out / f"{name}.json", extra)
    print(f"\n{HEADER}", *chain(*rows.values()), sep="\n")
    result = {
        "machine": {"cpu": platform.processor(), "cores": os.cpu_count()},
        "minutes": (time.monotonic() - start) / 60,
        "rows": {name: [row._asdict() for row in part] for name, part in rows.items()},
    }
    write_json(args.out / "result.json", result)
    print(f"{result['minutes']:.1f} minutes; wrote {args.out / 'result.json'}")


if __name__ == "__main__":
    run_command(main)
