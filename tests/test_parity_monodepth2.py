"""The reference check: the committed figures of the published implementation, and one gone off."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from system.errors import EXIT_BAD_INPUT, run_command
from tests import parity
from tests.parity_monodepth2 import (
    CONFIGURATIONS,
    GoldenBatch,
    check_configuration,
    check_trajectory,
)
from training.cpu.fast_paths import fast_paths

GOLDEN = Path(__file__).parent / "data" / "monodepth2_seed0_96x64.npz"


def check(monkeypatch, path: Path) -> int:
    """The exit code of ``python -m tests.parity PATH``."""
    monkeypatch.setattr(sys, "argv", ["parity", str(path)])
    with pytest.raises(SystemExit) as end:
        run_command(parity.main)
    return end.value.code


def test_every_published_figure_is_reproduced(monkeypatch, capsys):
    assert check(monkeypatch, GOLDEN) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 150
    assert lines[-1] == f"{len(lines) - 1} figures, 0 off"


@pytest.fixture
def arrays():
    with np.load(GOLDEN, allow_pickle=False) as archive:
        return dict(archive)


def test_training_as_on_cpus_reproduces_them_too(arrays):
    """One configuration of fourteen; ``python -m tests.parity FILE --fast`` checks them all."""
    if not (fast_paths().onednn and fast_paths().kernels):
        pytest.skip("needs oneDNN in Paddle, and Numba, an extra; and is for CPUs")
    batch, seed = GoldenBatch(arrays), int(arrays["seed"])
    name = "mono_stereo"
    figures = [
        *check_configuration(arrays, batch, seed, name, *CONFIGURATIONS[name], fast=True),
        *check_trajectory(arrays, batch, seed, fast=True),
    ]
    assert len(figures) > 40
    assert [str(figure) for figure in figures if not figure.ok] == []


def test_a_loss_that_is_off_by_a_thousandth_is_noticed(arrays):
    name = "stereo"
    key = f"objective/{name}/loss"
    arrays[key] = arrays[key] * np.float32(1.001)
    batch, seed = GoldenBatch(arrays), int(arrays["seed"])
    figures = check_configuration(arrays, batch, seed, name, *CONFIGURATIONS[name], fast=False)
    figure = next(iter(figures))
    assert figure.name == key
    assert not figure.ok
    assert "OFF" in str(figure)


def test_a_file_of_something_else_is_refused(monkeypatch, capsys, tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(1))
    assert check(monkeypatch, tmp_path / "other.npz") == EXIT_BAD_INPUT
    assert "other.npz" in capsys.readouterr().err


def test_a_third_loss_that_is_off_is_off_in_double_precision_too(arrays):
    arrays["trajectory/loss"][2] *= 1.003
    figures = check_trajectory(arrays, GoldenBatch(arrays), int(arrays["seed"]), fast=False)
    assert [figure.name for figure in figures if not figure.ok] == [
        "trajectory/loss step 2 (float64)"
    ]
