"""How a command ends: its exit code, and what it prints."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from system.errors import InputError, run_command


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


def test_other_errors_are_bugs_and_keep_their_traceback():
    with pytest.raises(OSError, match="bad descriptor"):
        end_of(OSError(errno.EBADF, "bad descriptor"))
