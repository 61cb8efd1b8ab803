"""Runs side by side: one table, and one figure of their curves and what they took."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from unrolljax.lab import folder, metrics
from unrolljax.lab.experiment import Line
from unrolljax.lab.report import show, table

COSTS = {
    "seconds": "seconds",
    "compile seconds": "compile_seconds",
    "host MB": "peak_host_mb",
    "device MB": "peak_device_mb",
}
"""What a run took: the name in the table, and in result.json."""


class NoRun(ValueError):
    """A path that holds no run."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run folder says, however far the run has come."""

    path: Path
    config: dict[str, Any]
    lines: list[Line]
    result: dict[str, Any]

    @property
    def steps(self) -> int:
        """Outer steps that are in the metrics."""
        return max((line["step"] for line in self.lines), default=0)

    @property
    def status(self) -> str:
        """`finished`, `failed`, or `unfinished` with the last step."""
        if self.result:
            return self.result["status"]
        report = self.path / "report.md"
        failed = report.exists() and report.read_text().startswith("# Failed")
        return "failed" if failed else f"unfinished: step {self.steps}"


def find(paths: Sequence[Path]) -> list[Run]:
    """The runs in these folders: run folders themselves, or folders with runs below (a sweep).

    Raises `NoRun` for a path where there is none.
    """
    folders: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise NoRun(f"{path} is no folder.")
        own = (path / "launch.json").exists()
        below = [path] if own else [file.parent for file in path.rglob("launch.json")]
        if not below:
            raise NoRun(f"{path} holds no run: there is no launch.json in it or below it.")
        folders |= dict.fromkeys(p.absolute() for p in sorted(below, key=_natural))
    return [load(path) for path in folders]


def load(path: Path) -> Run:
    """Read a run folder; what a run has not written yet is empty."""
    file = path / "config.yaml"
    config: Any = OmegaConf.to_container(OmegaConf.load(file)) if file.exists() else {}
    launch = folder.read(path / "launch.json") or {}
    flat = {"experiment": launch.get("module")} | metrics.flatten(config)
    named = {key.replace("/", ".").removesuffix("._target_"): flat[key] for key in flat}
    lines = metrics.read(path / "metrics.jsonl")
    return Run(path, named, lines, folder.read(path / "result.json") or {})


def differences(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """For each run, the keys of the configuration in which the runs are not all alike."""
    keys = dict.fromkeys(key for run in runs for key in run.config)
    differ = [key for key in keys if len({str(run.config.get(key, "")) for run in runs}) > 1]
    return [{key: run.config.get(key, "") for key in differ} for run in runs]


def compare(runs: Sequence[Run]) -> str:
    """A table of what differs, the headline numbers, and what each run took.

    Runs are its rows where they are more than the numbers, else its columns.
    """
    rows = {}
    for name, differs, run in zip(names(runs), differences(runs), runs, strict=True):
        results = metrics.flatten(run.result.get("results", {}))
        costs = {name: _cost(run, name) for name in COSTS}
        rows[name] = {"status": run.status, **differs, **results, "steps": run.steps, **costs}
    every = dict.fromkeys(column for row in rows.values() for column in row)
    known = [c for c in every if any(row.get(c) is not None for row in rows.values())]
    cells = {name: {c: _cell(row.get(c)) for c in known} for name, row in rows.items()}
    if len(cells) < len(known):
        cells = {c: {name: row[c] for name, row in cells.items()} for c in known}
    return table("run", cells)


def names(runs: Sequence[Run]) -> list[str]:
    """The end of each path, as much of it as tells the runs apart."""
    parts = [run.path.parts for run in runs]
    common = 0
    while all(len(p) - 1 > common and p[common] == parts[0][common] for p in parts):
        common += 1
    return ["/".join(p[common:]) for p in parts]


def labels(runs: Sequence[Run]) -> list[str]:
    """The keys in which each run differs, with its name where they do not tell the runs apart."""
    texts = [", ".join(f"{k}={v}" for k, v in differs.items()) for differs in differences(runs)]
    if len(set(texts)) == len(texts) > 1:
        return texts
    pairs = zip(names(runs), texts, strict=True)
    return [f"{name}: {text}" if text else name for name, text in pairs]


def draw(runs: Sequence[Run], path: Path) -> None:
    """Curves of the loss and of every evaluation metric by step; below, what each run took."""
    curves = ["loss", *_evaluations(runs)]
    bars = [name for name in COSTS if any(_cost(run, name) for run in runs)] or ["seconds"]
    width, height = 3.6 * max(len(curves), len(bars), 2), 0.8 + 0.4 * len(runs)
    figure = Figure(figsize=(width, 3.6 + height), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(3.6, height))
    for axes, name in zip(parts[0].subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
        _draw_curves(axes, runs, name)
    columns = parts[1].subplots(1, len(bars), sharey=True, squeeze=False)[0]
    for axes, name in zip(columns, bars, strict=True):
        _draw_bars(axes, runs, name)
    columns[0].set_yticks(range(len(runs)), labels(runs))
    columns[0].set_ylim(len(runs) - 0.5, -0.5)
    figure.savefig(path, dpi=110)


def _draw_curves(axes: Axes, runs: Sequence[Run], name: str) -> None:
    values: list[float] = []
    for k, (run, label) in enumerate(zip(runs, labels(runs), strict=True)):
        points = [(line["step"], line[name]) for line in run.lines if _is_number(line.get(name))]
        steps, numbers = zip(*points, strict=True) if points else ((), ())
        values += numbers
        marker = "" if name == "loss" else "."
        axes.plot(steps, numbers, marker=marker, color=f"C{k % 10}", label=label, linewidth=1)
    if values and min(values) > 0:
        axes.set_yscale("log")
    axes.set_title(name)
    axes.set_xlabel("step")
    if name == "loss":
        axes.legend(fontsize="small")


def _draw_bars(axes: Axes, runs: Sequence[Run], name: str) -> None:
    """A horizontal bar a run, in the colour of its curve."""
    colors = [f"C{k % 10}" for k in range(len(runs))]
    values = [_cost(run, name) for run in runs]
    bars = axes.barh(range(len(runs)), [value or 0 for value in values], color=colors)
    axes.bar_label(bars, ["-" if v is None else show(v) for v in values], padding=2)
    axes.margins(x=0.2)
    axes.set_title(name)


def _evaluations(runs: Sequence[Run]) -> list[str]:
    found = (
        key
        for run in runs
        for line in run.lines
        for key, value in line.items()
        if key.startswith("evaluation/") and _is_number(value)
    )
    return list(dict.fromkeys(found))


def _cost(run: Run, name: str) -> float | None:
    return run.result.get(COSTS[name])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _cell(value: Any) -> Any:
    return "-" if value is None else value


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts run 10 of a sweep behind run 9."""
    pieces = re.split(r"(\d+)", str(path))
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in pieces]
