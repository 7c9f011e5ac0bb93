"""How a command ends: its exit code, and what it prints."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from subprocess import PIPE, Popen, run

import pytest

from system.errors import EXIT_BROKEN_PIPE, InputError, run_command

ROOT = Path(__file__).resolve().parents[1]


def end_of(error: BaseException | None) -> object:
    def main():
        if error is not None:
            raise error

    with pytest.raises(SystemExit) as ended:
        run_command(main)
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (None, 0, ""),
        (InputError("--height 5: too small"), 2, "error: --height 5: too small\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_a_command_says_how_it_ended(capsys, error, code, message):
    assert end_of(error) == code
    assert capsys.readouterr().err == message


def test_a_command_ends_as_usual_where_nobody_can_read_it(monkeypatch):
    class Closed:
        def write(self, text):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys, "stderr", Closed())
    assert end_of(KeyboardInterrupt()) == 130
    assert end_of(InputError("--height 5: too small")) == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_disk_that_refuses_is_named(capsys, number):
    assert end_of(OSError(number, os.strerror(number), "depth.npz")) == 2
    assert capsys.readouterr().err.startswith(f"error: depth.npz: {os.strerror(number)}; ")


def test_a_refusal_without_a_file_name_is_told_too(capsys):
    assert end_of(OSError(errno.ENOSPC, "No space left on device")) == 2
    assert capsys.readouterr().err == "error: No space left on device; make room on the disk\n"


def test_messages_are_harmless_and_not_endless(capsys):
    error = InputError("a.txt: '\x1b[2J\0\udc80' is no number\nbut " + "7" * 10**6 + " is")
    assert end_of(error) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: a.txt: '\\x1b[2J\\x00\\udc80' is no number\nbut 777")
    assert said.endswith("777 is\n")
    assert len(said) < 10_000
    for words in ("Größe: 深度 ok", "10.32\u202fAM\u00a0.png: no such image"):
        assert str(InputError(words)) == words


COMMAND = """
from system.errors import run_command
run_command(lambda: print("line\\n" * 100_000))
"""


@pytest.mark.skipif(os.name != "posix", reason="pipes of other systems break in other ways")
def test_a_reader_that_has_seen_enough_is_no_error():
    process = Popen([sys.executable, "-c", COMMAND], stdout=PIPE, stderr=PIPE, cwd=ROOT)
    assert process.stdout.readline() == b"line\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == EXIT_BROKEN_PIPE


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_cannot_be_written_is_told_once():
    with Path("/dev/full").open("w") as full:
        done = run([sys.executable, "-c", COMMAND], stdout=full, stderr=PIPE, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr == b"error: No space left on device; make room on the disk\n"


def test_other_errors_are_bugs_and_keep_their_traceback():
    with pytest.raises(OSError, match="bad descriptor"):
        end_of(OSError(errno.EBADF, "bad descriptor"))
