"""A folder that another process replaces all the time, as training does with a checkpoint."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.architecture import ROOT

WRITER = """
import itertools, shutil, sys, time
from pathlib import Path
from system.folders import replace_folder
folder, seconds, *sources = sys.argv[1:]
folder, end = Path(folder), Path(folder + ".end")
for count, source in enumerate(itertools.cycle(sources)):
    if end.exists():
        break
    new = folder.with_name(f".{folder.name}.new")
    replace_folder(shutil.copytree(source, new), folder)
    time.sleep(float(seconds))
print(count)
"""


def inode(folder: Path) -> int | None:
    """What tells a folder from the one that was in its place; None while there is none."""
    try:
        return folder.stat().st_ino
    except FileNotFoundError:
        return None


@contextmanager
def replaced(folder: Path, sources: Sequence[Path], seconds: float) -> Iterator[None]:
    """Have copies of ``sources`` in turn in the place of ``folder``, each for some seconds."""
    before = inode(folder)
    words = [sys.executable, "-c", WRITER, folder, str(seconds), *sources]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            while inode(folder) in (before, None):
                assert process.poll() is None
                time.sleep(0.005)
            yield
        finally:
            folder.with_name(f"{folder.name}.end").touch()
            count = int(process.communicate(timeout=60)[0])
    assert process.returncode == 0
    assert count > 3
