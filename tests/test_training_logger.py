"""What a run logs: read back, and whole whatever the disk has room for."""

from __future__ import annotations

import errno
import json

import numpy as np
import pytest
from visualdl import LogReader

from training.logger import METRICS_FILE, Logger, append


def test_what_is_logged_can_be_read(tmp_path):
    logger = Logger(tmp_path)
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    for step in (0, 5):
        logger.scalars("train", step, {"loss": 0.5 + step, "rate": 0.1})
    logger.scalars("val", 5, {"loss": 2.5})
    logger.pictures("train", 5, {"input": picture})
    (file,) = (tmp_path / "train").glob("vdlrecords*.log")  # read while the run goes on
    reader = LogReader(file_path=str(file))
    assert set(reader.get_tags()["scalar"]) == {"loss", "rate"}
    losses = reader.get_data("scalar", "loss")
    assert [(each.id, each.value) for each in losses] == [(0, 0.5), (5, 5.5)]
    assert [each.id for each in reader.get_data("image", "input")] == [5]
    logger.close()
    rows = list(map(json.loads, (tmp_path / METRICS_FILE).read_text().splitlines()))
    assert rows[0] == {"step": 0, "phase": "train", "loss": 0.5, "rate": 0.1}
    assert [row["phase"] for row in rows] == ["train", "train", "val"]


class SmallFile:
    """An open file on a disk that has room for so many bytes."""

    def __init__(self, path, room):
        self.name, self._file, self._room = str(path), path.open("ab", buffering=0), room

    def write(self, content):
        count = min(len(content), self._room)
        if not count:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._room -= count
        return self._file.write(content[:count])

    def __getattr__(self, name):
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [0, 1, 5])
def test_a_line_without_room_leaves_nothing(tmp_path, room):
    path = tmp_path / "metrics"
    path.write_bytes(b"one\n")
    with pytest.raises(OSError, match="No space left") as error:
        append(SmallFile(path, room), b"second\n")
    assert error.value.filename == str(path)
    assert path.read_bytes() == b"one\n"
    append(SmallFile(path, 99), b"second\n")
    assert path.read_bytes() == b"one\nsecond\n"
