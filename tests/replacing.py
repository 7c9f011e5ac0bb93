"""A folder that another process replaces all the time, as training does with a checkpoint."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.architecture import ROOT

WRITER = """
import itertools, shutil, sys, time
from pathlib import Path
from system.files import replace_folder
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


@contextmanager
def replaced(folder: Path, sources: Sequence[Path], seconds: float) -> Iterator[None]:
    """Have copies of ``sources`` in turn in the place of ``folder``, each for some seconds."""
    words = [sys.executable, "-c", WRITER, folder, str(seconds), *sources]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield
        finally:
            folder.with_name(f"{folder.name}.end").touch()
            count = int(process.communicate(timeout=60)[0])
    assert process.returncode == 0
    assert count > 3
