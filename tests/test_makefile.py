"""What each target of the Makefile installs."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.architecture import ROOT

MAKE = shutil.which("make")


@pytest.fixture
def copy(tmp_path):
    """The Makefile and requirements without an environment."""
    for path in (ROOT / "Makefile", *ROOT.glob("requirements*.txt")):
        shutil.copy(path, tmp_path)
    return tmp_path


def would_run(folder, target, *words):
    done = subprocess.run(
        [MAKE, "-n", target, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.strip() for line in done.stdout.splitlines()]


@pytest.mark.skipif(MAKE is None, reason="needs make")
@pytest.mark.parametrize("target", ["venv", "quickstart", "quickstart-midas", "reproduce"])
def test_running_installs_what_running_needs(copy, target):
    text = "\n".join(would_run(copy, target))
    assert "-r requirements-cpu.txt" in text
    for extra in ("test", "web", "engines", "heic"):
        assert f"requirements-{extra}.txt" not in text


@pytest.mark.skipif(MAKE is None, reason="needs make")
def test_tests_add_the_rest(copy):
    installs = [line for line in would_run(copy, "test") if "pip install" in line or "-r " in line]
    assert any("-r requirements-test.txt" in line for line in installs)
    assert any("-r requirements-cpu.txt" in line for line in installs)


@pytest.mark.skipif(MAKE is None, reason="needs make")
def test_what_is_asked_for_is_installed_anew(copy):
    (copy / ".venv").mkdir()
    (copy / ".venv" / ".installed").touch()
    assert not any("pip install" in line for line in would_run(copy, "venv"))
    asked = would_run(copy, "venv", "PADDLE=paddlepaddle-gpu==3.3.1", "GPU_INDEX=file:///mirror")
    choice = next(line for line in asked if "choose_paddle.py" in line)
    assert '--asked "paddlepaddle-gpu==3.3.1" --index "file:///mirror"' in choice
