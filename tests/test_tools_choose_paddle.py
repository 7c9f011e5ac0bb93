"""Which build of Paddle is installed on which machine; drivers and indexes are stand-ins."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.architecture import ROOT
from tools import choose_paddle
from tools.choose_paddle import GPU_INDEX, PUBLIC_GPU, Card, Machine, cards_in, choose, numbers

CPU, GPU = "paddlepaddle>=2.6.2,<4", "paddlepaddle-gpu>=2.6.2,<4"
TURING, ADA = Card((535, 183, 1), (7, 5)), Card((535, 183, 1), (8, 9))
SCRIPT = ROOT / "tools" / "choose_paddle.py"


def chosen(*cards, **facts):
    return choose(Machine(cards, **facts), CPU, GPU_INDEX)


def test_without_a_driver_it_is_the_build_for_cpus():
    choice = chosen(complaint="there is none")
    assert (choice.requirement, choice.index) == (CPU, "")
    assert "no NVIDIA driver answers here (nvidia-smi: there is none)" in choice.reason


@pytest.mark.parametrize("card", [TURING, ADA])
def test_with_paddles_own_index_it_is_the_newest_build_for_gpus(card):
    choice = chosen(card)
    assert (choice.requirement, choice.index) == (GPU, GPU_INDEX)
    assert str(card) in choice.reason


def test_without_it_the_public_indexs_build_is_for_older_cards():
    choice = chosen(TURING, reachable=False)
    assert (choice.requirement, choice.index) == (PUBLIC_GPU, "")
    assert f"{GPU_INDEX} does not answer" in choice.reason


def test_an_older_driver_takes_the_build_of_cuda_11_whatever_is_reached():
    choice = chosen(Card((470, 82)))  # which does not say the capability
    assert (choice.requirement, choice.index) == (PUBLIC_GPU, "")
    assert "newer builds need driver 525" in choice.reason


@pytest.mark.parametrize(
    ("cards", "facts", "why", "remedy"),
    [
        ([ADA], {}, "is for compute capability 6.1 to 8.6", "GPU_INDEX=ADDRESS"),
        ([TURING, ADA], {}, "is for compute capability 6.1 to 8.6", "GPU_INDEX=ADDRESS"),
        ([Card((535,), (6, 0))], {}, "is for compute capability 6.1", "GPU_INDEX=ADDRESS"),
        ([TURING], {"python": (3, 13)}, "is for Python 3.9 to 3.12", "GPU_INDEX=ADDRESS"),
        ([Card((440, 33), (7, 5))], {}, "needs driver 450", "update the driver"),
    ],
)
def test_where_no_build_is_known_to_work_the_user_decides(cards, facts, why, remedy):
    choice = chosen(*cards, reachable=False, **facts)
    assert choice.requirement == ""
    assert why in choice.reason
    assert remedy in choice.reason
    assert "make venv PADDLE=paddlepaddle" in choice.reason


@pytest.mark.parametrize(
    ("card", "processor", "why"),
    [(TURING, "aarch64", "not aarch64"), (Card((470,), (5, 2)), "x86_64", "6.0 and above")],
)
def test_what_no_gpu_build_is_made_for_takes_that_for_cpus(card, processor, why):
    choice = chosen(card, processor=processor)
    assert (choice.requirement, choice.index) == (CPU, "")
    assert why in choice.reason


def test_newer_cards_take_another_index():
    assert choose_paddle.index_for([TURING]) == GPU_INDEX
    assert choose_paddle.index_for([]) == GPU_INDEX
    assert choose_paddle.index_for([Card((570,), (12, 0))]) != GPU_INDEX


def test_what_the_driver_says_is_read():
    text = "535.183.01, 8.6\n535.183.01, 6.1\n"
    assert cards_in(text) == (Card((535, 183, 1), (8, 6)), Card((535, 183, 1), (6, 1)))
    assert cards_in("470.82.01\n") == (Card((470, 82, 1)),)
    assert cards_in("No devices were found\n") == cards_in("") == ()


def answering(folder):
    """The address of an index that answers."""
    (folder / "index.html").touch()
    return (folder / "index.html").as_uri()


def run(tmp_path, driver, index, *words):
    """Output, words and exit code of the program with a stand-in for nvidia-smi."""
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{driver}\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-I", SCRIPT, "--index", index, *words],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.splitlines(), done.stderr, done.returncode


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a script for a shell")
def test_the_program_asks_the_driver_and_the_index(tmp_path):
    project = choose_paddle.project_requirement(ROOT / "requirements.txt")
    for_gpus = project.replace("paddlepaddle", "paddlepaddle-gpu")
    nowhere = (tmp_path / "nowhere").as_uri()
    here = answering(tmp_path)
    turing = "echo '535.183.01, 7.5'"

    assert run(tmp_path, turing, here)[0] == [f"--extra-index-url {here}", for_gpus]
    lines, words, _ = run(tmp_path, turing, nowhere)
    assert lines == [PUBLIC_GPU] if numbers(sys.version)[:2] <= (3, 12) else lines == []
    assert "does not answer" in words
    # A driver that does not know what is asked first.
    old = 'case "$1" in *compute_cap*) echo "not a valid field"; exit 2;; esac; echo 470.82.01'
    assert "compute capability unknown, driver 470.82.1" in run(tmp_path, old, here)[1]
    lines, words, code = run(tmp_path, "echo Driver/library version mismatch; exit 18", here)
    assert (lines, code) == ([project], 0)
    assert "nvidia-smi: Driver/library version mismatch" in words
    lines, words, code = run(tmp_path, "echo '535.183.01, 8.9'", nowhere)
    assert (lines, code) == ([], 1)
    assert words.startswith("error: NVIDIA card of compute capability 8.9, driver 535.183.1: ")


def test_what_is_asked_for_is_taken(tmp_path, capsys):
    assert choose_paddle.main(["--asked", "paddlepaddle==3.2.2"]) == 0
    assert capsys.readouterr().out == "paddlepaddle==3.2.2\n"
    asked = ["--asked", "paddlepaddle-gpu==3.3.1", "--index"]
    assert choose_paddle.main([*asked, answering(tmp_path)]) == 0
    index = f"--extra-index-url {answering(tmp_path)}"
    assert capsys.readouterr().out.splitlines() == [index, "paddlepaddle-gpu==3.3.1"]
    assert choose_paddle.main([*asked, (tmp_path / "nowhere").as_uri()]) == 0
    said = capsys.readouterr()
    assert said.out == "paddlepaddle-gpu==3.3.1\n"
    assert f"others end at {PUBLIC_GPU}" in said.err


def test_without_an_index_for_pip_there_is_none(tmp_path, monkeypatch):
    assert choose_paddle.reaches(answering(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert not choose_paddle.reaches(answering(tmp_path))
