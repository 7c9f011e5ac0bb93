"""What several tests share: one tiny generated street, and the folder of real data if there."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.streets.generate import StreetSettings, generate_streets
from system import cpu_math
from system.locks import locked
from system.terminal import lock_bars

# The same rounding on every processor of the last years, twice as fast as the library's own choice
# where it does not know the processor (docs/performance.md).
os.environ.setdefault(cpu_math.VARIABLE, cpu_math.common_type(cpu_math.read_facts()))
# Loaded before pytest starts to report crashes, which Paddle's own handlers would hide.
importlib.import_module("paddle")
lock_bars()
# Nothing is kept in the user's cache folder, for a next command that does not come.
importlib.import_module("prediction.compiled").MOST_BYTES = -1


@pytest.fixture(scope="session")
def made_once(tmp_path_factory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Makes the folder of a name once for all processes of the tests, by a function of its path."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def made_once(name: str, make: Callable[[Path], None]) -> Path:
        with locked(base / f"{name}.lock", f"another process makes {name}"):
            if not (base / name).exists():
                new = base / f"{name}.new"
                shutil.rmtree(new, ignore_errors=True)
                make(new)
                new.rename(base / name)
        return base / name

    return made_once


@pytest.fixture(scope="session")
def streets(made_once) -> Path:
    """A data folder with its split files in ``splits``: 2 + 1 + 1 drives of 5 frames."""
    settings = StreetSettings(
        width=160, height=64, train_drives=2, val_drives=1, test_drives=1, frames=5
    )
    return made_once("streets", lambda folder: generate_streets(folder, settings, 1))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real frames and golden figures beside the project."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder `shared` with KITTI frames beside the project")
    return folder
