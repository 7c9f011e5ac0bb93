"""The structure of the code, drawn from its imports.

``python -m tests.architecture`` prints the rooms with their lines, the arrows between them, and how
many files each journey passes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NO_ROOMS = {"tests", "docs"}
NO_TRAFFIC = {"system", "benchmarks"}  # what every room uses, and what nobody needs
# Where each journey starts: what its command may load.
JOURNEYS = {"a batch": "train.py", "a picture": "demo.py", "a measurement": "evaluate_depth.py"}


def source_files(root: Path = ROOT) -> dict[str, Path]:
    """The Python files of the project by their module names, without tests and documents."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[0].startswith(".") or parts[0] in NO_ROOMS:
            continue
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_names(path: Path) -> set[str]:
    """Every module that a file names in an import, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            names |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    return names


def import_graph(root: Path = ROOT) -> dict[str, set[str]]:
    """The project's modules, each with those of them that it imports, their packages included."""
    files = source_files(root)
    graph = {}
    for module, path in files.items():
        names = imported_names(path)
        names |= {name.rpartition(".")[0] for name in names} if module else set()
        graph[module] = {name for name in names if name in files} - {module}
    return graph


def reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """All modules that loading ``start`` may load, itself included."""
    seen, waiting = set(), [start]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += graph[module]
    return seen


def room(module: str) -> str:
    """The room of a module: the first part of its name."""
    return module.partition(".")[0]


def arrows(graph: dict[str, set[str]]) -> set[tuple[str, str]]:
    """Pairs of rooms of which the first one imports the second one."""
    return {
        (room(module), room(other))
        for module, others in graph.items()
        for other in others
        if room(module) != room(other)
    }


def crossings(graph: dict[str, set[str]], inside: Iterable[str], outside: Iterable[str]) -> int:
    """Imports that lead from modules of some rooms to modules of others."""
    inside, outside = set(inside), set(outside)
    return sum(
        room(module) in inside and room(other) in outside and "." in other
        for module, others in graph.items()
        for other in others
    )


def floors(graph: dict[str, set[str]]) -> dict[str, int]:
    """The rooms by height: each one above all those that it imports.

    Raises:
        ValueError: rooms import each other in a circle, which is named.
    """
    below: dict[str, set[str]] = {room(module): set() for module in graph}
    for upper, lower in arrows(graph):
        below[upper].add(lower)
    heights: dict[str, int] = {}
    while len(heights) < len(below):
        ready = [name for name in below if name not in heights and below[name] <= heights.keys()]
        if not ready:
            raise ValueError(f"a circle among {sorted(below.keys() - heights.keys())}")
        for name in ready:
            heights[name] = 1 + max((heights[other] for other in below[name]), default=0)
    return heights


def lines_of(path: Path) -> int:
    """Number of lines."""
    return len(path.read_text(encoding="utf-8").splitlines())


def main() -> None:
    """Print the structure."""
    files, graph = source_files(), import_graph()
    heights = floors(graph)
    for name in sorted(heights, key=lambda name: (-heights[name], name)):
        inside = [files[module] for module in files if room(module) == name]
        lines = sum(map(lines_of, inside))
        to = sorted(lower for upper, lower in arrows(graph) if upper == name)
        size = f"{len(inside):3d} files {lines:6d} lines"
        print(f"{heights[name]:2d}  {name:16s} {size}  -> {' '.join(to)}")
    total = sum(map(lines_of, files.values()))
    print(f"{len(heights)} rooms, {len(arrows(graph))} arrows, {len(files)} files, {total} lines")
    for name, command in JOURNEYS.items():
        modules = reached(graph, command.partition(".")[0])
        count = sum(files[module].name != "__init__.py" for module in modules)
        print(f"{name}: {command} reaches {count} files")
    inside, outside = {"weight_files"}, heights.keys() - {"weight_files"} - NO_TRAFFIC
    print(
        f"a weights file: {crossings(graph, outside, inside)} imports lead into weight_files/, "
        f"{crossings(graph, inside, outside)} out of it"
    )


if __name__ == "__main__":
    main()
