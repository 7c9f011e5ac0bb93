"""``python -m web`` until its first answer, against Python that imports Gradio and no more.

python -m benchmarks.page [--small] [RESULT.json]
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.measure import Row, Scale, compared, in_turns, run_part, run_quietly
from benchmarks.models import write_model
from benchmarks.page_load import start_page
from system.errors import InputError


def rows(scale: Scale) -> Iterator[Row]:
    """One.

    Raises:
        InputError: there is no Gradio.
    """
    gradio = partial(run_quietly, [sys.executable, "-c", "import gradio"])
    try:
        gradio()
    except InputError as error:
        raise InputError("there is no Gradio: pip install -r requirements-web.txt") from error
    with tempfile.TemporaryDirectory() as name:
        os.environ["MONODEPTH_HOME"] = str(Path(name) / "home")
        weights = write_model(Path(name) / "weights", scale)
        ways = {"page": lambda: first_answer(weights), "gradio": gradio}
        costs = in_turns(ways, scale.rounds)
    what = "page, start to first answer, s (import gradio)"
    yield compared(what, costs["page"], costs["gradio"], repeats=scale.rounds)


def first_answer(weights: Path) -> None:
    """Start the page, and end it as soon as it has answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = start_page(weights, port)
    process.terminate()
    process.wait()


if __name__ == "__main__":
    run_part(rows)
