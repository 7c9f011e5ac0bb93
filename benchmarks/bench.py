"""All measurements of speed, one program after the other: a table and runs/bench/result.json.

python -m benchmarks.bench [--out DIR] [--only NAME ...] [--reference DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import HEADER, Row
from errors import InputError, run_command
from stages import QUIET, ROOT

PROGRAMS = ("loader", "step", "engines", "relative", "devices", "growth")


def run_program(name: str, result: Path, extra: list[str]) -> list[Row]:
    """Run one measurement in a process of its own.

    Raises:
        InputError: it failed.
    """
    environment = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT), "GLOG_minloglevel": "2"}
    command = [sys.executable, "-m", f"benchmarks.{name}", str(result), *extra]
    done = subprocess.run(command, env=environment, cwd=ROOT, check=False)
    if done.returncode:
        raise InputError(f"benchmarks.{name}: failed, see above")
    return [Row(**row) for row in json.loads(result.read_text())]


def main() -> int:
    """Run all, print the table, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--only", nargs="+", choices=PROGRAMS, default=PROGRAMS)
    parser.add_argument("--reference", type=Path, help="a PyTorch Monodepth2 to time as well")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows, start = {}, time.monotonic()
    for name in args.only:
        print(f"\n{name}", flush=True)
        rows[name] = run_program(name, args.out / f"{name}.json", [])
    if args.reference is not None:
        print("\nreference", flush=True)
        reference = [str(args.reference)]
        rows["reference"] = run_program("reference", args.out / "reference.json", reference)
    print(f"\n{HEADER}")
    for row in (row for part in rows.values() for row in part):
        print(row)
    result = {
        "machine": {"cpu": platform.processor(), "cores": os.cpu_count()},
        "minutes": (time.monotonic() - start) / 60,
        "rows": {name: [vars(row) for row in part] for name, part in rows.items()},
    }
    (args.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"{result['minutes']:.1f} minutes; wrote {args.out / 'result.json'}")
    return 0


if __name__ == "__main__":
    run_command(main)
