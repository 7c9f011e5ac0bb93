"""What the runs of ``benchmarks.real_kitti`` came to: rows, means over seeds, a table, a curve.

A point is what was measured of one model after so many steps: ``run``, ``seed``, ``steps``,
``train_seconds``, ``command``, and ``metrics`` by test list.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from system.files import written_whole

SHOWN = ("abs_rel", "rmse", "a1")  # in the table; the JSON has all metrics
Row = dict[str, Any]


def rows_of(points: Iterable[Mapping[str, Any]]) -> list[Row]:
    """One row for each point and test list."""
    kept = ("run", "seed", "steps", "train_seconds", "command")
    return [
        {**{name: point[name] for name in kept}, "test": test, "metrics": metrics}
        for point in points
        for test, metrics in point["metrics"].items()
    ]


def means_of(rows: Iterable[Row]) -> list[Row]:
    """The mean over seeds of the rows of one run, test list and number of steps."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault((row["run"], row["test"], row["steps"]), []).append(row)
    means = []
    for (run, test, steps), group in groups.items():
        names = group[0]["metrics"]
        metrics = {name: statistics.fmean(row["metrics"][name] for row in group) for name in names}
        seconds = statistics.fmean(row["train_seconds"] for row in group)
        mean = {"run": run, "test": test, "steps": steps, "seeds": [row["seed"] for row in group]}
        means.append({**mean, "train_seconds": seconds, "metrics": metrics})
    return means


def commands_of(points: Iterable[Mapping[str, Any]]) -> list[str]:
    """The commands of points, one for all seeds of the same run and number of steps."""
    seeds: dict[str, list[int]] = {}
    for point in points:
        before, after = point["command"].split(f" --seeds {point['seed']} ")
        seeds.setdefault(f"{before} --seeds {{}} {after}", []).append(point["seed"])
    return [command.format(" ".join(map(str, each))) for command, each in seeds.items()]


def table(result: Mapping[str, Any]) -> str:
    """A result as Markdown: the last point of each run, curves, lists, how to make it again."""
    parts = [last_points(result["rows"], result["means"])]
    for (run, test), values in curves_of(result["means"]).items():
        head = ["steps", *SHOWN]
        body = [[str(steps), *figures(metrics)] for steps, metrics in values.items()]
        seeds = sorted({r["seed"] for r in result["rows"] if (r["run"], r["test"]) == (run, test)})
        of = f"mean of seeds {', '.join(map(str, seeds))}" if seeds[1:] else f"seed {seeds[0]}"
        parts.append(f"{run} on {test}, {of}:\n\n{markdown(head, body)}")
    machine = result["machine"]
    notes = [f"{machine['processor']}, {machine['cores']} cores; Paddle {machine['paddle']}."]
    notes += list_notes(result["lists"], {row["run"] for row in result["rows"]})
    parts += ["\n".join(notes), "\n".join(f"    {each}" for each in result["commands"])]
    return "\n\n".join(parts) + "\n"


def markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *body])


def figures(metrics: Mapping[str, float]) -> list[str]:
    """The metrics that are shown."""
    return [f"{metrics[name]:.3f}" for name in SHOWN]


def last_points(rows: Sequence[Row], means: Sequence[Row]) -> str:
    """A table of every run and test list after the most steps: each seed, then their mean."""
    most = {key: max(values) for key, values in _steps_of(rows).items()}
    body = []
    for mean in means:
        run, test, steps = (mean[name] for name in ("run", "test", "steps"))
        if steps != most[run, test]:
            continue
        same = [row for row in rows if (row["run"], row["test"]) == (run, test)]
        group = [row for row in same if row["steps"] == steps]
        for row in [*group, mean] if len(group) > 1 else group:
            start = [run, test, str(row.get("seed", "mean")), str(steps)]
            body.append([*start, f"{row['train_seconds']:.0f}", *figures(row["metrics"])])
    return markdown(["run", "tested on", "seed", "steps", "training, s", *SHOWN], body)


def _steps_of(rows: Iterable[Row]) -> dict[tuple[str, str], list[int]]:
    steps: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        steps.setdefault((row["run"], row["test"]), []).append(row["steps"])
    return steps


def list_notes(lists: Mapping[str, Any], runs: Collection[str]) -> list[str]:
    """A line on the lists of each of some runs: from where, how long, which tests it has seen."""
    lines = []
    for run, each in lists["runs"].items():
        if run not in runs:
            continue
        tests = ", ".join(f"{count} of {test}" for test, count in each["test"].items())
        line = f"{run}: {lists['source']} lists, {each['train']} training items; tested on {tests}"
        for test, count in each["seen_as_neighbours"].items():
            line += f"; {count} of {test} are next to a training frame in time" if count else ""
        lines.append(f"- {line}")
    return lines


def curves_of(means: Iterable[Row]) -> dict[tuple[str, str], dict[int, dict[str, float]]]:
    """By run and test list, the mean metrics by number of steps, where there are several."""
    curves: dict[tuple[str, str], dict[int, dict[str, float]]] = {}
    for mean in sorted(means, key=lambda mean: mean["steps"]):
        curves.setdefault((mean["run"], mean["test"]), {})[mean["steps"]] = mean["metrics"]
    return {key: values for key, values in curves.items() if len(values) > 1}


def draw_curves(rows: Sequence[Row], path: Path) -> None:
    """Plot abs_rel and a1 against steps: the mean of the seeds, and each seed faintly."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, metric in zip(figure.subplots(1, 2), ("abs_rel", "a1")):
        top = max(row["metrics"][metric] for row in rows)
        for number, ((run, test), values) in enumerate(curves_of(means_of(rows)).items()):
            mean = [metrics[metric] for metrics in values.values()]
            colour = f"C{number}"
            axes.plot(list(values), mean, "o-", color=colour, label=f"{run} on {test}")
            same = [row for row in rows if (row["run"], row["test"]) == (run, test)]
            for seed in {row["seed"] for row in same}:
                own = sorted((r["steps"], r["metrics"][metric]) for r in same if r["seed"] == seed)
                axes.plot(*zip(*own), "-", color=colour, alpha=0.3)
        axes.set(xlabel="optimiser steps", ylabel=f"{metric}, test pictures", ylim=(0, 1.1 * top))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
