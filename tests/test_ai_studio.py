"""The steps for AI Studio: commands that are taken, the same on the page and in the notebook."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from options import DemoOptions, EvaluateOptions, ExportOptions, TrainOptions, parse
from tests.architecture import ROOT

OPTIONS = {
    "train.py": TrainOptions,
    "export_gt_depth.py": ExportOptions,
    "evaluate_depth.py": EvaluateOptions,
    "demo.py": DemoOptions,
}


def lines_of_the_page():
    text = (ROOT / "docs" / "ai-studio.md").read_text(encoding="utf-8")
    return re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)


def cells():
    text = (ROOT / "docs" / "ai-studio.ipynb").read_text(encoding="utf-8")
    return json.loads(text)["cells"]


def test_the_notebook_has_the_lines_of_the_page():
    code = "\n".join("".join(cell["source"]) for cell in cells() if cell["cell_type"] == "code")
    assert re.findall(r"^!(.+)$", code, re.MULTILINE) == lines_of_the_page()


def test_every_command_is_taken_and_follows_from_the_one_before():
    made = set()
    for line in lines_of_the_page():
        program, *words = shlex.split(line)
        if program != "python":
            continue
        command, *words = words
        options = parse(OPTIONS[command], words)
        weights = getattr(options, "load_weights_folder", None)
        assert weights is None or weights.parent in made
        if command == "train.py":
            made.add(options.log_dir / options.model_name)
        if command in ("export_gt_depth.py", "evaluate_depth.py"):
            assert options.data_path == Path("data/eigen")
    assert len(made) == 2


def test_the_notebook_holds_no_results_and_its_cells_have_names():
    assert not any(cell.get("outputs") for cell in cells())
    assert len({cell["id"] for cell in cells()}) == len(cells())
