"""The figure of a comparison of gradient modes: error, time and memory, a bar a mode."""

import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from unrolljax.gradients.checks.comparison import Comparison, Row
from unrolljax.lab.report import show

PANELS = {
    "relative error": "error",
    "run time, ms": "run_milliseconds",
    "temporary memory, MB": "temporary_megabytes",
}
"""The title of each panel, and the number of a row that it shows."""


def draw(comparison: Comparison, configured: str, path: Path) -> None:
    """Write the figure in the format of the file's name; the configured mode is set apart.

    The dashed line in the first panel is the uncertainty of the finite differences.
    """
    rows = comparison.rows
    figure = Figure(figsize=(11, 1.6 + 0.42 * len(rows)), layout="constrained")
    columns: Any = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (title, name) in zip(columns, PANELS.items(), strict=True):
        _draw_bars(axes, rows, name, configured)
        axes.set_title(title)
    if 0 < comparison.uncertainty < math.inf:
        label = "uncertainty of the differences"
        columns[0].axvline(comparison.uncertainty, color="black", linestyle="--", label=label)
        low, high = columns[0].get_xlim()
        columns[0].set_xlim(min(low, comparison.uncertainty / 3), high)
        figure.legend(loc="outside lower left", frameon=False)
    columns[0].set_yticks(range(len(rows)), [row.name for row in rows])
    columns[0].set_ylim(len(rows) - 0.5, -0.5)
    if comparison.remarks:
        figure.supxlabel("\n".join(comparison.remarks), fontsize="small", wrap=True)
    figure.savefig(path, dpi=120)


def _draw_bars(axes: Axes, rows: tuple[Row, ...], name: str, configured: str) -> None:
    """A horizontal bar a row on a logarithmic axis, or a word where there is no number."""
    values = [getattr(row, name) for row in rows]
    shown = [value for value in values if 0 < value < math.inf]
    axes.set_xscale("log")
    if shown:
        axes.set_xlim(min(shown) / 5, max(shown) * 30)
    for place, (row, value) in enumerate(zip(rows, values, strict=True)):
        color = "tab:orange" if row.name == configured else "tab:blue"
        if 0 < value < math.inf:
            axes.barh(place, value, color=color)
            axes.text(value, place, f" {show(float(f'{value:.2g}'))}", va="center")
        else:
            word = "refused" if row.refused else show(value)
            axes.text(
                0.02, place, word, va="center", color="grey", transform=axes.get_yaxis_transform()
            )
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
