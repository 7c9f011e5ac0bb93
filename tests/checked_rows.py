"""Rows of the check of a device, as the command that prints them takes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tools import check_device
from tools.device.children import Outcome
from tools.device.rows import OFF, OK, Row

MACHINE = Row("device", OK, "cpu", figures={"device": "cpu"})


def exit_code(tmp_path: Path, rows: Sequence[Row]) -> int:
    """Of the command, where its checks give these rows."""

    def run(check, settings, time_limit):
        return Outcome([MACHINE] if check.name == check_device.MACHINE else list(rows))

    out = tmp_path / "out" / "result.json"
    return check_device.check_device(
        check_device.CheckDeviceOptions(checks=("paths",), out=out), run
    )


def assert_off(tmp_path: Path, capsys, row: Row) -> None:
    """It is off, with what to do about it, and the command says so."""
    assert row.status == OFF
    assert row.remedy
    assert exit_code(tmp_path, [row]) == 1
    said = capsys.readouterr().out
    assert f"- {row.name}: {row.remedy}" in said
    assert json.loads((tmp_path / "out" / "result.json").read_text())["off"] == [row.name]
