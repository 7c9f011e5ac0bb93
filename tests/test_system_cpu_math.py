"""The matrix library is told about AMD's processors before it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from system import cpu_math

ROOT = Path(__file__).resolve().parents[1]
FULL = "fpu avx2 fma avx512f avx512bw avx512dq avx512vl"


@pytest.mark.parametrize(
    ("vendor", "flags", "expected", "common"),
    [
        ("AuthenticAMD", FULL, "7", "5"),
        ("AuthenticAMD", "fpu avx2 fma avx512f", "5", "5"),
        ("AuthenticAMD", "fpu avx", None, "0"),
        ("GenuineIntel", FULL, None, "5"),
    ],
)
def test_what_is_told(vendor, flags, expected, common):
    facts = f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {flags}\nbugs\t\t: avx2 fma\n"
    assert cpu_math.cpu_type(facts) == expected
    assert cpu_math.common_type(facts) == common


def test_what_the_user_has_set_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu_math, "CPU_FACTS", tmp_path / "cpuinfo")
    cpu_math.prepare()  # no such file: another system
    (tmp_path / "cpuinfo").write_text("vendor_id : AuthenticAMD\nflags : avx2 fma\n")
    monkeypatch.setenv(cpu_math.VARIABLE, "4")
    cpu_math.prepare()
    assert os.environ[cpu_math.VARIABLE] == "4"
    monkeypatch.delenv(cpu_math.VARIABLE)
    cpu_math.prepare()
    assert os.environ[cpu_math.VARIABLE] == "5"


@pytest.mark.parametrize("package", ["networks", "weight_files", "training", "prediction"])
def test_packages_tell_it_before_they_load_paddle(package):
    code = (
        "import sys\nfrom system import cpu_math\n"
        "cpu_math.prepare = lambda: print('paddle' in sys.modules)\n"
        f"import {package}.{'monodepth' if package == 'networks' else '__init__'}"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[0] == "False"
