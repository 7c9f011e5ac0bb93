"""The judge of killed jobs: it tells those that leave half files from those that do not."""

from __future__ import annotations

import pytest

from benchmarks.kill_and_resume import Job, kill_job, whole

WRITE = """
import sys, time
from pathlib import Path
from system.files import written_whole
path = Path(sys.argv[1]) / "made"
path.parent.mkdir(parents=True, exist_ok=True)
def write(path):
    with path.open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(b"some")
            time.sleep(0.01)
if sys.argv[2] == "careful":
    with written_whole(path) as temporary:
        write(temporary)
else:
    write(path)
"""


@pytest.mark.parametrize("how", ["careful", "careless"])
def test_a_job_that_leaves_half_a_file_is_found_out(tmp_path, how):
    job = Job(lambda folder: ["-c", WRITE, folder, how], ["made"])
    assert kill_job(job, tmp_path, kills=2, seed=0) == (how == "careful")


@pytest.mark.parametrize(
    ("found", "grows", "good"),
    [
        ({}, False, True),
        ({"a": b"12345"}, False, True),
        ({"a": b"123"}, False, False),
        ({"a": b"123"}, True, True),
        ({"a": b"124"}, True, False),
        ({"a": b"12345", "b": b"1"}, False, False),
    ],
)
def test_what_is_there_is_whole_or_a_beginning(found, grows, good):
    assert whole(found, {"a": b"12345"}, grows) == good
