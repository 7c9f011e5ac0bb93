"""What several tests share: one tiny generated street, and the folder of real data if there."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

import cpu_math
from datasets.synthetic import StreetSettings, generate_streets

# Figures are compared in the arithmetic that they were computed in: see docs/performance.md.
os.environ.setdefault(cpu_math.VARIABLE, cpu_math.DEFAULT)
# Loaded before pytest starts to report crashes, which Paddle's own handlers would hide.
importlib.import_module("paddle")


@pytest.fixture(scope="session")
def streets(tmp_path_factory) -> Path:
    """A data folder with its split files in ``splits``: 2 + 1 + 1 drives of 5 frames."""
    folder = tmp_path_factory.mktemp("data") / "streets"
    settings = StreetSettings(
        width=160, height=64, train_drives=2, val_drives=1, test_drives=1, frames=5
    )
    generate_streets(folder, settings, num_workers=1)
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real frames and golden figures beside the project."""
    folder = Path(__file__).resolve().parents[1].parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder `shared` with KITTI frames beside the project")
    return folder
