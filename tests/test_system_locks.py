"""One process at an output: the others are refused while it lives, and by nothing that it left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from system import locks
from system.errors import InputError
from system.locks import alone_at

ROOT = Path(__file__).resolve().parents[1]
HOLD = """
import sys
from pathlib import Path
from system.locks import alone_at
with alone_at(Path(sys.argv[1]), "works", "go"):
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder():
    """Starts a process that is at an output, until its input ends."""
    started = []

    def holder(output):
        words = [sys.executable, "-c", HOLD, str(output)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(words, cwd=ROOT, **pipes))
        assert started[-1].stdout.readline() == "holds\n"
        return started[-1]

    yield holder
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_a_second_process_is_refused_and_told_what_to_do(tmp_path, holder):
    output = tmp_path / "out"
    process = holder(output)
    refusal = pytest.raises(InputError, match=r"out: another process works there; .*or go else")
    with refusal, alone_at(output, "works", "go elsewhere"):
        pass
    with alone_at(tmp_path / "other", "works", "go"):
        pass
    process.communicate()
    with alone_at(output, "works", "go"):
        assert not output.exists()
    assert not list(tmp_path.iterdir())


def test_a_killed_process_leaves_no_lock(tmp_path, holder):
    output = tmp_path / "out"
    process = holder(output)
    process.kill()
    process.wait()
    with alone_at(output, "works", "go"):
        pass
    assert not list(tmp_path.iterdir())


def test_folders_that_were_made_go_unless_they_are_used(tmp_path):
    for used in (False, True):
        output = tmp_path / "a" / "b" / "out"
        with alone_at(output, "works", "go"):
            if used:
                output.mkdir()
        assert output.exists() == (tmp_path / "a").exists() == used


def test_a_lock_of_a_file_that_was_removed_locks_nothing(tmp_path, monkeypatch):
    """The first owner ends between the second one's opening and locking the file."""
    output, opened = tmp_path / "out", []
    try_lock = locks._try_lock

    def remove_first(file):
        opened.append(file)
        if len(opened) == 1:
            Path(file.name).unlink()
        return try_lock(file)

    monkeypatch.setattr(locks, "_try_lock", remove_first)
    with alone_at(output, "works", "go"):
        assert len(opened) == 2
        with pytest.raises(InputError, match="another process"), alone_at(output, "works", "go"):
            pass


def test_a_disk_without_locks_is_said(tmp_path, monkeypatch, caplog):
    def refuse(file):
        raise OSError(locks.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_lock", refuse)
    with alone_at(tmp_path / "out", "works", "go"):
        assert "this disk has no locks" in caplog.text
    caplog.clear()
    with locks.locked(tmp_path / "lock", "waiting"):
        assert "this disk has no locks" in caplog.text


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").touch()
    refusal = pytest.raises(InputError, match=r"cannot be written to .*; go elsewhere")
    with refusal, alone_at(tmp_path / "file" / "out", "works", "go elsewhere"):
        pass
