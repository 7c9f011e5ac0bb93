"""The folder of a run."""

from __future__ import annotations

import shutil

from training.run_folder import warn_of_a_full_disk


def test_a_disk_without_room_for_the_checkpoints_is_told(tmp_path, monkeypatch, caplog):
    usage = shutil.disk_usage(tmp_path)._replace(free=2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    fits = 2**28 // 10  # weights and moments of three checkpoints, weights of the best one
    warn_of_a_full_disk(tmp_path, fits, keep_checkpoints=2)
    assert not caplog.records
    warn_of_a_full_disk(tmp_path, fits + 1, keep_checkpoints=2)
    assert f"{tmp_path}: has 1.0 GiB free, the checkpoints of this run take 1.0" in caplog.text


def test_a_checkpoint_of_averaged_weights_takes_a_third_more(tmp_path, monkeypatch, caplog):
    usage = shutil.disk_usage(tmp_path)._replace(free=2**30)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    fits = 2**28 // 13  # three checkpoints of four numbers a weight, one of the best
    warn_of_a_full_disk(tmp_path, fits, keep_checkpoints=2, averaged=True)
    assert not caplog.records
    warn_of_a_full_disk(tmp_path, fits + 1, keep_checkpoints=2, averaged=True)
    assert "the checkpoints of this run take 1.0" in caplog.text
