"""All measurements of speed, one after the other: a table of ratios and runs/bench/result.json.

python -m benchmarks.bench [--only PART ...] [--out DIR] [--reference DIR] [--small]
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import GIVEN_ENVIRONMENT
from benchmarks.measure import HEADER, Row, processor_time, unavailable
from system import cpu_math
from system.errors import run_command
from system.files import read_json, write_json
from tools.stages import ROOT

# Modules of this folder. The first take 12 minutes on two cores that do nothing else.
REFERENCE = "reference"
PARTS = ("engines", "demo", "page", "folders", "loader", "streets", "evaluation", "step", "start")
PARTS += (REFERENCE,)
MORE = ("relative", "devices", "growth")


def run_part(name: str, flags: list[str], result: Path, words: list[str]) -> dict[str, Any]:
    """Run a part in a process of its own.

    Returns:
        Its ``rows``, whether it ``failed``, and the seconds, ``wall`` and ``processor``, it took.
    """
    result.unlink(missing_ok=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", *flags, str(result), *words]
    quiet = {**GIVEN_ENVIRONMENT, "GLOG_minloglevel": "2", "TQDM_DISABLE": "1"}
    wall, processor = time.monotonic(), processor_time()
    code = subprocess.run(command, env=quiet, cwd=ROOT, check=False).returncode
    rows = [Row(**row) for row in read_json(result)] if result.is_file() else []
    if code:
        rows.append(unavailable(name, f"it ended with {code}, see above"))
    return {
        "rows": rows,
        "failed": code != 0,
        "wall": time.monotonic() - wall,
        "processor": processor_time() - processor,
    }


def processor_name() -> str:
    """The processor, in its own words."""
    named = [x.partition(":")[2] for x in cpu_math.read_facts().splitlines() if "model name" in x]
    return named[0].strip() if named else platform.processor() or platform.machine()


def main() -> int:
    """Run all, print the table, write the result; 1 if a part ended with an error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = (*PARTS, *MORE)
    parser.add_argument(
        "--only", nargs="+", choices=names, metavar="PART", help=f"{', '.join(names)}"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder to write to")
    parser.add_argument("--reference", type=Path, help="a PyTorch Monodepth2 to time as well")
    parser.add_argument("--small", action="store_true", help="a trial whose figures say nothing")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    words: dict[str, list[str]] = {name: [] for name in args.only or PARTS}
    if args.reference is not None:
        words[REFERENCE] = [str(args.reference)]
    flags = ["--small"] if args.small else []
    parts = {}
    for name, more in words.items():
        print(f"\n{name}", flush=True)
        parts[name] = run_part(name, flags, args.out / f"{name}.json", more)
    print(f"\n{HEADER}", *(row for part in parts.values() for row in part["rows"]), sep="\n")
    minutes = {
        each: sum(part[each] for part in parts.values()) / 60 for each in ("wall", "processor")
    }
    machine = {"processor": processor_name(), "cores": os.cpu_count()}
    records = {
        name: {**part, "rows": [row._asdict() for row in part["rows"]]}
        for name, part in parts.items()
    }
    result = {"date": date.today().isoformat(), "machine": machine, "minutes": minutes}
    write_json(args.out / "result.json", {**result, "parts": records})
    where = f"{machine['processor']}, {machine['cores']} cores"
    took = f"{minutes['wall']:.1f} minutes, {minutes['processor']:.1f} of processor time"
    print("\nratio: other over ours, above 1 where ours costs less; of n turns the least counts")
    print(f"{where}; {took}; wrote {args.out / 'result.json'}")
    return int(any(part["failed"] for part in parts.values()))


if __name__ == "__main__":
    run_command(main)
