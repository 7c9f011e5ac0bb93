"""A Python without the packages: commands say so, and what to do."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from subprocess import run

import pytest

from system.packages import missing_packages

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("command", [["train.py"], ["-m", "datasets.prepare"], ["-m", "web"]])
def test_a_command_without_packages_says_what_to_do(command):
    """-S: without site-packages, as where nobody has activated the environment."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = run(
        [sys.executable, "-S", *command, "--help"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"error: this Python, {sys.executable}, has no numpy, PIL, cv2")
    assert "requirements.txt" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("made", "remedy"),
    [
        (None, "; make venv, then source .venv/bin/activate; "),
        ("bin/activate", "; source {root}/.venv/bin/activate; "),
        ("Scripts/activate", "; {root}/.venv/Scripts/activate; "),
    ],
)
def test_the_environment_that_is_there_is_named(tmp_path, made, remedy):
    if made:
        script = tmp_path / ".venv" / made
        script.parent.mkdir(parents=True)
        script.touch()
    words = missing_packages(["sys", "no_such_package"], tmp_path)
    assert words.startswith(f"this Python, {sys.executable}, has no no_such_package; ")
    assert remedy.format(root=tmp_path) in words.replace("\\", "/")


def test_nothing_is_said_where_all_is_there(tmp_path):
    assert missing_packages(["sys", "numpy"], tmp_path) is None
    assert missing_packages() is None
