"""Errors by layer, and by the share of groups in use."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.group_lista.comparison import BLOCKS, ENTRIES, FISTA, GROUPS

STYLES = {
    GROUPS: {"color": "C0", "marker": "o"},
    BLOCKS: {"color": "C1", "marker": "s", "linestyle": "--"},
    ENTRIES: {"color": "C3", "marker": "^"},
    FISTA: {"color": "0.45", "marker": "."},
}


def draw(
    path: Path,
    courses: dict[str, np.ndarray],
    probabilities: list[float],
    shift: dict[str, list[float]],
) -> None:
    """Write the figure as PNG."""
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    by_layer, by_share = figure.subplots(1, 2)
    for name, errors in courses.items():
        by_layer.plot(range(1, len(errors) + 1), errors, markersize=4, label=name, **STYLES[name])
    by_layer.xaxis.set_major_locator(MaxNLocator(integer=True))
    by_layer.set(xlabel="layer or iteration", ylabel="NMSE on test codes, dB")
    for name, errors in shift.items():
        by_share.plot(probabilities, errors, markersize=4, label=name, **STYLES[name])
    by_share.set(xlabel="share of groups in use", ylabel="NMSE after the last step, dB")
    by_layer.legend(frameon=False)
    for axes in (by_layer, by_share):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
