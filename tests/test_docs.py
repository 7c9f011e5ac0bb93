"""The documentation: its links lead somewhere, its commands have their options, its code runs."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import paddle
import pytest
from PIL import Image

from datasets.conventions import STEREO
from networks.monodepth import Architecture, Monodepth
from options import PUBLISHED, DemoOptions, EvaluateOptions, ExportOptions, TrainOptions
from system.command_line import by_task, options_of, shorthands_of
from tools.align import AlignOptions
from tools.check_device import CheckDeviceOptions
from tools.convert_weights import ConvertOptions
from tools.evaluate_objects import EvaluateObjectsOptions
from tools.evaluate_pose import EvaluatePoseOptions
from tools.export_model import ModelExportOptions
from tools.reproduce import ReproduceOptions
from web.__main__ import AppOptions
from weight_files.folder import save_weights
from weight_files.model_info import ModelInfo

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("benchmarks/*.md")])
OPTIONS = {
    "train.py": TrainOptions,
    "evaluate_depth.py": EvaluateOptions,
    "tools.evaluate_objects": EvaluateObjectsOptions,
    "tools.evaluate_pose": EvaluatePoseOptions,
    "export_gt_depth.py": ExportOptions,
    "tools.export_model": ModelExportOptions,
    "demo.py": DemoOptions,
    "tools.align": AlignOptions,
    "tools.check_device": CheckDeviceOptions,
    "web": AppOptions,
    "tools.convert_weights": ConvertOptions,
    "tools.reproduce": ReproduceOptions,
}


def text_of(page):
    return page.read_text(encoding="utf-8")


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def commands(page):
    """Every ``python …`` line of the page: the program, and its words."""
    for line in re.findall(r"^ {4}(?:[A-Z_]+=\S+ )*python (.+)$", text_of(page), re.MULTILINE):
        words = shlex.split(line.split(" > ")[0], comments=True)
        yield words[0] if words[0] != "-m" else words[1], words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_their_programs_and_options(page):
    for program, words in commands(page):
        if program.endswith(".py"):
            assert (ROOT / program).is_file() or program.startswith("docs/"), program
        elif program != "venv":
            if program != "paddle.distributed.launch":
                assert importlib.util.find_spec(program) is not None, program
            continue
        if program in OPTIONS:
            known = set().union(*map(options_of, by_task(OPTIONS[program]).values()))
            known |= set().union(*map(shorthands_of, by_task(OPTIONS[program]).values()))
            for word in words:
                if word.startswith("--") and word != "--help":
                    assert word.lstrip("-[").rstrip("]") in known, f"{program} {word}"


def test_functions_that_hold_the_equations_are_there():
    page = text_of(ROOT / "docs" / "method.md")
    names = re.findall(r"`((?:layers|training\.objective)\.\w+)`", page)
    assert len(names) > 12
    for name in names:
        module, _, function = name.rpartition(".")
        assert hasattr(importlib.import_module(module), function), name


def test_both_readmes_have_the_same_commands_figures_and_links():
    english, chinese = (text_of(ROOT / name) for name in ("README.md", "README.zh-CN.md"))

    def parts(text):
        code = re.findall(r"^    .+$", text, re.MULTILINE) + re.findall(r"```.*?```", text, re.S)
        rows = [
            re.findall(r"\d[\d.]*", row)
            for row in re.findall(r"^\|.*\d\.\d.*$", text, re.MULTILINE)
        ]
        links = sorted(set(re.findall(r"\]\(([^)\s]+)\)", text)) - {"README.md", "README.zh-CN.md"})
        return code, rows, links, len(re.findall(r"^#", text, re.MULTILINE))

    for ours, theirs in zip(parts(english), parts(chinese)):
        assert ours == theirs


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_a_readme_fits_on_screens(name):
    """Lines under 100 characters, the picture first, sections of at most 40 lines."""
    text = text_of(ROOT / name)
    assert max(map(len, text.splitlines())) < 100
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    assert max(len(section.splitlines()) for section in sections) <= 40
    assert "(docs/quickstart.png)" in sections[0]
    assert "    make quickstart\n" in sections[0]
    assert sections[1].count("\n    ") <= 10


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with weights of random numbers and a picture, as the pages name them."""
    folder = tmp_path_factory.mktemp("docs")
    paddle.seed(0)
    architecture = Architecture(source_ids=(STEREO,))
    weights = folder / "runs/quickstart/model/last"
    weights.mkdir(parents=True)
    info = ModelInfo(architecture, 64, 96, name="street")
    save_weights(weights, Monodepth(architecture), info)
    (folder / "assets").mkdir()
    picture = Image.radial_gradient("L").convert("RGB").resize((200, 120))
    picture.save(folder / "assets/test_image.jpg")
    return folder


def test_python_of_the_pages_runs(place):
    blocks = []
    for page in (ROOT / "README.md", ROOT / "docs" / "predict.md"):
        blocks += re.findall(r"```python\n(.*?)```", text_of(page), re.S)
    assert len(blocks) >= 3
    # One after the other in one process, each as if it were alone.
    code = (
        f"import json, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "for code in json.load(sys.stdin):\n"
        "    print('BLOCK', flush=True)\n"
        "    exec(compile(code, 'page.py', 'exec'), {'__name__': '__main__'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(blocks),
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split("BLOCK\n")[1:]
    assert len(printed) == len(blocks)
    assert all(text.strip() for text in printed)


def test_the_published_flags_of_the_page_are_taken():
    """Each of them by the command of its kind; none is missing from what the commands know."""
    page = text_of(ROOT / "docs" / "coming-from-monodepth2.md")
    table = page.split("## Flag by flag")[1].split("##")[0]
    rows = re.findall(r"^\| (`--.+?) \|", table, re.MULTILINE)
    flags = re.findall(r"--(\w+)", " ".join(rows))
    assert len(flags) == len(set(flags)) == 47
    known = set()
    for cls in (TrainOptions, EvaluateOptions, DemoOptions):
        for each in by_task(cls).values():
            known |= options_of(each).keys() | shorthands_of(each).keys()
    assert set(flags) <= known
    differing = re.findall(r"^\| `--(\w+)` \|", page.split("## Flag by flag")[0], re.MULTILINE)
    assert differing == list(PUBLISHED)
