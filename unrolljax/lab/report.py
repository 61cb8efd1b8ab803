"""A run in words: its headline numbers on the terminal, and `report.md`."""

from collections import Counter
from typing import Any

from unrolljax.lab.experiment import Line


def headline(results: dict[str, Any]) -> str:
    """Numbers as lines; where names are nested, a table with a row per inner name."""
    plain = {name: value for name, value in results.items() if not isinstance(value, dict)}
    width = max(map(len, plain), default=0)
    parts = ["\n".join(f"{name:{width}}  {show(value)}" for name, value in plain.items())]
    for name, value in results.items():
        if isinstance(value, dict):
            parts.append(table(name, value))
    return "\n\n".join(part for part in parts if part)


def markdown(result: dict[str, Any], lines: list[Line]) -> str:
    """The report of a finished run."""
    evaluations = [line for line in lines if "evaluation/loss" in line]
    statuses = Counter()
    for line in lines:
        statuses.update(line.get("status", {}))
    device = result["peak_device_mb"]
    skipped = max((line.get("skipped", 0) for line in lines), default=0)
    facts = {
        "Steps": f"{result['steps']}" + (f", {skipped} of them left out" if skipped else ""),
        "Training loss": _course([line["loss"] for line in lines if "loss" in line]),
        "Held-out loss": _course([line["evaluation/loss"] for line in evaluations]),
        "Solves": ", ".join(f"{name} {n}" for name, n in statuses.items()) or "none",
        "Wall time": f"{result['seconds']:.1f} s",
        "Compilations": f"{result['compilations']} in {result['compile_seconds']:.1f} s, "
        f"{result['compilations_after_warmup']} of them after warm-up",
        "Peak memory": f"host {result['peak_host_mb']:.0f} MB"
        + ("" if device is None else f", device {device:.0f} MB"),
        "Devices": f"{result['devices']} x {result['platform']}, {result['processes']} process(es)",
        "Configuration": result["config_sha256"][:12],
        "Parameters": result["parameters_sha256"][:12],
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return (
        f"# {result['experiment']}\n\n    {result['command']}\n\n"
        f"```text\n{headline(result['results'])}\n```\n\n| | |\n|---|---|\n{rows}\n"
    )


def show(value: Any) -> str:
    """A number with as many digits as are read; anything else as it is."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def table(title: str, rows: dict[str, Any]) -> str:
    """A row per name; rows that are nested once more have a column for each of their names."""
    cells = {name: row if isinstance(row, dict) else {"": row} for name, row in rows.items()}
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    first = max([len(title), *(len(name) + 2 for name in cells)])
    text = {name: [show(row.get(c, "")) for c in columns] for name, row in cells.items()}
    widths = [max(len(c), *(len(row[k]) for row in text.values())) for k, c in enumerate(columns)]
    out = [
        f"{title:{first}}" + "".join(f"  {c:>{w}}" for c, w in zip(columns, widths, strict=True))
    ]
    for name, row in text.items():
        padded = "".join(f"  {cell:>{w}}" for cell, w in zip(row, widths, strict=True))
        out.append(f"  {name:{first - 2}}{padded}")
    return "\n".join(line.rstrip() for line in out)


def _course(values: list[float]) -> str:
    return f"{show(values[0])} to {show(values[-1])}" if values else "none"
