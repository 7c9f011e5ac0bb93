"""What commands say by default, and with --verbose."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from threading import Thread

import pytest
from tqdm import tqdm

from datasets import cache, prepare, rooms, splits
from datasets.streets import generate
from system import terminal
from system.terminal import OURS, Terminal, asks_for_all, set_up
from tests.architecture import ROOT, import_graph, room
from tools import quickstart

# What libraries do: a warning, one that they insist on, a log line, a line from below Python.
NOISE = """
import logging, os, subprocess, sys, warnings
from system.errors import run_command
from datasets import cache, prepare, rooms, splits
from datasets.streets import generate
from system.terminal import without_their_output

def main():
    warnings.warn("a warning")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("an insistent warning")
    logging.getLogger("httpx").warning("a request")
    logging.getLogger("asyncio").error("a failure")
    logging.getLogger("training.trainer").info("a loss")
    child = "import warnings; warnings.warn('a warning of a worker')"
    subprocess.run([sys.executable, "-c", child])
    with without_their_output():
        os.write(1, b"an exporter's line\\n")
    print(sys.argv[1:], os.environ.get("GLOG_minloglevel"))

run_command(main)
"""


def said(*words, python=()):
    command = [sys.executable, *python, "-c", NOISE, *words]
    decided = ("PYTHONWARNINGS", "GLOG", "DEPTH_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(decided)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


def test_only_the_project_and_errors_are_heard():
    out, err = said("--height", "64")
    assert out == "['--height', '64'] 2\n"
    assert err == "a failure\na loss\n"


STOPPED = """
import os
from tqdm import tqdm
from system.terminal import set_up

set_up([])
tqdm.get_lock()
child = os.fork()
if not child:  # ends while it holds the lock
    tqdm.get_lock().acquire()
    os._exit(0)
os.waitpid(child, 0)
for _ in tqdm(range(2)):
    pass
print("shown")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_that_ends_within_a_bar_stops_no_other():
    line = [sys.executable, "-c", STOPPED]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "shown\n"


def test_verbose_brings_all_back_and_is_no_option_of_the_command():
    out, err = said("--verbose", "--height", "64")
    assert out == "an exporter's line\n['--height', '64'] None\n"
    for words in ("a warning", "an insistent warning", "a request", "a loss", "of a worker"):
        assert words in err


def test_it_may_be_shortened_as_other_options():
    words = ("--ve", "--verb", "--verbose", "--v", "--verbosely", "-v", "--video_depth")
    assert list(filter(asks_for_all, words)) == ["--ve", "--verb", "--verbose"]


def test_warnings_asked_of_python_itself_stay():
    assert "a warning" in said(python=["-W", "default"])[1]


def test_every_room_is_ours():
    assert {room(module) for module in import_graph()} <= OURS


@pytest.fixture
def _logging_restored():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("_logging_restored")
def test_log_lines_stand_above_a_bar(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up([])
    with tqdm(total=2, file=stream, desc="bar"):
        logging.getLogger("training").info("a loss")
    screen = [line.rpartition("\r")[2] for line in stream.getvalue().split("\n")]
    assert screen[0] == "a loss"
    assert screen[1].startswith("bar")


@pytest.mark.usefixtures("_logging_restored")
def test_who_ended_in_the_middle_of_a_bar_stops_nobody(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(terminal, "PATIENCE", 0.05)
    monkeypatch.setattr(sys, "stderr", stream)
    before = tqdm.get_lock()
    set_up([])
    try:
        holder = Thread(target=tqdm.get_lock().acquire)
        holder.start()
        holder.join()
        log = logging.getLogger("training")
        lines = [Thread(target=log.info, args=[f"line {n}"], daemon=True) for n in range(3)]
        for each in lines:
            each.start()
        for each in lines:
            each.join(10)
        with tqdm(total=1, file=stream, desc="bar") as bar:
            bar.update()
    finally:
        tqdm.set_lock(before)
    assert all(f"line {n}\n" in stream.getvalue() for n in range(3))
    assert "100%" in stream.getvalue()


def test_lines_are_written_without_bars_too():
    stream = io.StringIO()
    record = logging.LogRecord("demo", logging.INFO, "", 0, "done", None, None)
    Terminal(stream).emit(record)
    assert stream.getvalue() == "done\n"


@pytest.mark.parametrize(
    "main", [prepare.main, rooms.main, cache.main, splits.main, generate.main, quickstart.main]
)
def test_every_help_speaks_of_it(main, capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--verbose" in capsys.readouterr().out
