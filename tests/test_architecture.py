"""The structure that docs/architecture.md describes."""

import ast
import re

import pytest

from tests import architecture
from tests.architecture import ROOT, arrows, floors, import_graph, lines_of, reached, room

COMMANDS = ("train", "evaluate_depth", "export_gt_depth", "demo")
PUBLISHED_NAMES = ("test_simple", "evaluate_pose")  # of commands, for those who type them
# From below: a room may use those before it, and none after it.
ORDER = (
    ("system",),
    ("layers",),
    ("datasets",),
    ("networks",),
    ("weight_files",),
    ("options",),
    ("prediction",),
    ("evaluation",),
    ("training",),
    (*COMMANDS, "tools", "web"),
    PUBLISHED_NAMES,
    ("benchmarks", "hubconf"),
)
WITHOUT_PADDLE = ("datasets", "options")


@pytest.fixture(scope="module")
def graph():
    return import_graph()


def test_a_circle_is_named():
    graph = {"a.one": {"b.two"}, "b.two": {"c.three"}, "c.three": {"b.two"}}
    with pytest.raises(ValueError, match=re.escape("['a', 'b', 'c']")):
        floors(graph)
    assert floors({"a.one": {"b.two"}, "b.two": set()}) == {"b": 1, "a": 2}


def test_rooms_use_those_below_them_only(graph):
    floors(graph)
    height = {name: floor for floor, names in enumerate(ORDER) for name in names}
    assert {room(module) for module in graph} == height.keys()
    backwards = [(a, b) for a, b in arrows(graph) if height[a] <= height[b]]
    assert backwards == []


def test_no_file_comes_back_to_itself(graph):
    for module, others in graph.items():
        back = [other for other in others if module in reached(graph, other)]
        assert not back, f"{module} imports {back}, which lead back to it"


def test_the_root_is_the_design_card(graph):
    files = {path.name for path in ROOT.glob("*.py")}
    names = (*COMMANDS, *PUBLISHED_NAMES, "layers", "options", "hubconf")
    assert files == {f"{name}.py" for name in names}
    assert all(lines_of(ROOT / f"{name}.py") <= 10 for name in PUBLISHED_NAMES)
    assert len({room(module) for module in graph}) <= 19


@pytest.mark.parametrize("command", COMMANDS)
def test_command_lines_parse_call_and_print(command):
    path = ROOT / f"{command}.py"
    assert lines_of(path) <= 80
    names = {node.name for node in ast.walk(ast.parse(path.read_text())) if hasattr(node, "name")}
    assert "main" in names


def test_loading_data_and_options_needs_no_paddle(graph):
    files = architecture.source_files()
    for module in graph:
        if room(module) in WITHOUT_PADDLE:
            loaded = [files[name] for name in reached(graph, module)]
            assert not [path for path in loaded if "paddle" in loaded_names(path)], module


def loaded_names(path):
    """The first parts of what loading a file imports, not what its functions do."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    named = [n for n in body if isinstance(n, ast.ImportFrom)]
    plain = [alias for n in body if isinstance(n, ast.Import) for alias in n.names]
    return {n.module.partition(".")[0] for n in named} | {a.name.partition(".")[0] for a in plain}
